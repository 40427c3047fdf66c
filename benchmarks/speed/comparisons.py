"""Tables of what contenders cost, and of how they compare."""

import statistics
from collections.abc import Callable

from benchmarks.report import markdown_table
from benchmarks.speed.columns import ABSENT, figure, times
from benchmarks.speed.matrix import BASE_CLIENTS, WORKLOADS
from benchmarks.speed.outcome import (
    Results,
    disqualified,
    find,
    other_labels,
    ratio,
    ratio_by_cpu,
)


def cost_table(stage: Results) -> str:
    """CPU seconds, memory, time to ready, size, labels."""
    rows = []
    for name, item in stage["contenders"].items():
        cells = [find(stage, name, workload=each, clients=BASE_CLIENTS) for each in WORKLOADS]
        rows.append(
            [
                item["title"],
                *(
                    f"{statistics.median(cell['CPU-s per 1,000 texts']):.2f}" if cell else ABSENT
                    for cell in cells
                ),
                *(figure(item, key) for key in ("idle RSS, MB", "RSS, MB", "ready, s", "disk, MB")),
                f"{other_labels(stage, name):.1%}",
            ]
        )
    header = [f"CPU-s per 1,000 texts, {WORKLOADS[0]}", *WORKLOADS[1:]]
    header += ["idle RSS, MB", "RSS, MB", "ready, s", "on disk, MB", "other labels"]
    return markdown_table(["", *header], rows)


def ratios_table(stage: Results) -> str:
    """Each product's rate as a multiple of its limit's, of its variants' and of the peers'."""
    contenders, rows = stage["contenders"], []
    for name, item in contenders.items():
        if item["group"] != "product":
            continue
        limit = f"limit_{item['precision']}"
        rows.append([f"{item['title']} ÷ its limit", *_multiples(ratio, stage, name, limit)])
        rows.append(["the same, by CPU time", *_multiples(ratio_by_cpu, stage, name, limit)])
        for other, against in contenders.items():
            compared = against["group"] == "peer" or (
                against["group"] == "variant" and against["precision"] == item["precision"]
            )
            if compared and not disqualified(stage, other):
                title = f"{item['title']} ÷ {against['title']}"
                rows.append([title, *_multiples(ratio, stage, name, other)])
    return markdown_table([f"{BASE_CLIENTS} clients", *WORKLOADS], rows)


def _multiples(
    compare: Callable[..., float | None], stage: Results, name: str, other: str
) -> list[str]:
    """By workload."""
    return [
        times(compare(stage, name, other, workload=each, clients=BASE_CLIENTS))
        for each in WORKLOADS
    ]


def disturbance(stage: Results) -> str:
    """How much of the processors others had, without which no figure can be judged."""
    shares = [value for cell in stage["cells"] for value in cell["others' share of the processors"]]
    return (
        f"Other processes of the machine had {statistics.median(shares):.0%} of the processors "
        f"during the median measurement, {max(shares):.0%} at most."
    )


def workloads_table(workloads: Results) -> str:
    """How long the texts are, and what share of tokens would be padding in batches."""
    batches = list(next(iter(workloads.values()))["padded share by texts a request"])
    rows = [
        [
            name,
            str(item["texts"]),
            *(
                f"{size['mean']:g} ({size['shortest']} to {size['longest']})"
                for size in (item["words"], item["tokens"])
            ),
            *(f"{item['padded share by texts a request'][texts]:.0%}" for texts in batches),
        ]
        for name, item in workloads.items()
    ]
    padding = [f"padding in batches of {texts}" for texts in batches]
    return markdown_table(["", "texts", "words", "tokens", *padding], rows)
