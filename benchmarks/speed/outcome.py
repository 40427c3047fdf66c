"""What results say of a contender: its cells, whether they count, and how they compare."""

import statistics
from typing import Any

# Share of the texts whose label may be another than the original model's; beyond it a contender has
# not done the work, and its figures count for nothing.
MOST_OTHER_LABELS = {"fp32": 0.0, "int8": 0.03}

MOST_FAILURES = 0.01

Results = dict[str, Any]


def find(stage: Results, contender: str, **wanted: Any) -> Results | None:
    """A contender's cell by workload, clients, load and texts; None if it was not measured."""
    wanted = {"load": 0.0, "texts": 1, **wanted, "contender": contender}
    for cell in stage["cells"]:
        if all(cell[name] == value for name, value in wanted.items()):
            return dict(cell)
    return None


def disqualified(stage: Results, contender: str) -> str:
    """Why the figures of a contender do not count; "" if they do."""
    cells = [cell for cell in stage["cells"] if cell["contender"] == contender]
    compared = max((cell["labels"]["compared"] for cell in cells), default=0)
    if not compared:
        return "no answers"
    precision = stage["contenders"][contender]["precision"]
    share = other_labels(stage, contender)
    if share > MOST_OTHER_LABELS[precision]:
        return f"other labels on {share:.1%} of the texts"
    failures = sum(cell["failures"] for cell in cells)
    failed = failures / (failures + sum(cell["answers"] for cell in cells))
    return f"{failed:.1%} of the requests failed" if failed > MOST_FAILURES else ""


def other_labels(stage: Results, contender: str) -> float:
    """Share of the texts, in the cell where it is largest, that have another label."""
    shares = [
        cell["labels"]["other"] / cell["labels"]["compared"]
        for cell in stage["cells"]
        if cell["contender"] == contender and cell["labels"]["compared"]
    ]
    return max(shares, default=0.0)


def ratio(stage: Results, contender: str, to: str, **wanted: Any) -> float | None:
    """Median over rounds of one contender's rate as a multiple of another's in the same round."""
    own, other = find(stage, contender, **wanted), find(stage, to, **wanted)
    if own is None or other is None or not all(other["texts/s"]):
        return None
    pairs = zip(own["texts/s"], other["texts/s"], strict=True)
    return float(statistics.median(one / two for one, two in pairs))


def ratio_by_cpu(stage: Results, contender: str, to: str, **wanted: Any) -> float | None:
    """The same from the CPU time of a text, the client's included, which shares the cores.

    What the ratio of rates would be if all cores were busy, and by nobody else.
    """
    own, other = find(stage, contender, **wanted), find(stage, to, **wanted)
    if own is None or other is None or not all(own["CPU-s per 1,000 texts"]):
        return None
    client = own["client, µs a request"] / own["texts"] / 1000
    pairs = zip(own["CPU-s per 1,000 texts"], other["CPU-s per 1,000 texts"], strict=True)
    return float(statistics.median(two / (one + client) for one, two in pairs))
