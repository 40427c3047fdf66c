"""What speed was aimed at, and how far from it the results are."""

import statistics

from benchmarks.report import markdown_table
from benchmarks.speed.columns import ABSENT
from benchmarks.speed.matrix import BASE_CLIENTS, WORKLOADS
from benchmarks.speed.outcome import Results, disqualified, find, ratio

# Least ratios by workload.
OF_LIMIT = {"fp32": (0.94, 0.97, 1.0), "int8": (0.85, 0.93, 0.97)}
OF_CLASSIC = (2.2, 2.0, 2.1)
OF_BEST_PEER = (6.0, 5.0, 4.0)

# Most of each.
MOST_ADDED_MS = 0.6
MOST_RSS_MB = 250.0
MOST_READY_SECONDS = 2.0

CLASSIC = "classic_ensemble"


def goals_table(stage: Results) -> str:
    """Ratios of rates, and latency, memory and time to ready of fp32, each with its goal."""
    rows = [
        _row(f"{precision} ÷ limit", goals, _ratios(stage, precision, f"limit_{precision}"))
        for precision, goals in OF_LIMIT.items()
    ]
    rows += [
        _row("fp32 ÷ classic ensemble", OF_CLASSIC, _ratios(stage, "fp32", CLASSIC)),
        _row(
            "int8 ÷ best other peer",
            OF_BEST_PEER,
            [_ratio_to_best(stage, workload) for workload in WORKLOADS],
        ),
        [
            f"1 client: p50 less the limit's, ms (≤ {MOST_ADDED_MS})",
            *(_at_most(_added_ms(stage, workload), MOST_ADDED_MS) for workload in WORKLOADS),
        ],
    ]
    return markdown_table(["", *WORKLOADS], rows)


def footprint_table(stage: Results) -> str:
    """Memory and time to ready of the product, with their goals."""
    rows = []
    for item in stage["contenders"].values():
        if item["group"] == "product":
            beside = item["idle RSS, MB"] - item["weights, MB"]
            rows.append(
                [
                    item["title"],
                    _at_most(beside, MOST_RSS_MB, digits=0),
                    f"{item['weights, MB']:.0f}",
                    _at_most(item["ready, s"], MOST_READY_SECONDS),
                ]
            )
    header = [
        f"idle RSS less the weights, MB (≤ {MOST_RSS_MB:g})",
        "weights, MB",
        f"ready, s (≤ {MOST_READY_SECONDS:g})",
    ]
    return markdown_table(["", *header], rows)


def best_peer(stage: Results, workload: str) -> str:
    """The peer that counts and is fastest with BASE_CLIENTS clients; "" for none.

    But the classic ensemble, which has a goal of its own.
    """
    rates = {}
    for name, item in stage["contenders"].items():
        cell = find(stage, name, workload=workload, clients=BASE_CLIENTS)
        counts = item["group"] == "peer" and name != CLASSIC and not disqualified(stage, name)
        if counts and cell:
            rates[name] = statistics.median(cell["texts/s"])
    return max(rates, key=lambda name: rates[name], default="")


def _ratios(stage: Results, precision: str, to: str) -> list[float | None]:
    if to in stage["contenders"] and disqualified(stage, to):
        return [None for _ in WORKLOADS]
    return [
        ratio(stage, f"product_{precision}", to, workload=workload, clients=BASE_CLIENTS)
        for workload in WORKLOADS
    ]


def _ratio_to_best(stage: Results, workload: str) -> float | None:
    return ratio(
        stage,
        "product_int8",
        best_peer(stage, workload),
        workload=workload,
        clients=BASE_CLIENTS,
    )


def _added_ms(stage: Results, workload: str) -> float | None:
    """Median over rounds of what the product's p50 has more than the limit's."""
    cells = [
        find(stage, name, workload=workload, clients=1) for name in ("product_fp32", "limit_fp32")
    ]
    own, limit = (cell["p50 by round, ms"] if cell else [] for cell in cells)
    pairs = [(one, two) for one, two in zip(own, limit, strict=False) if one and two]
    return statistics.median(one - two for one, two in pairs) if pairs else None


def _row(title: str, goals: tuple[float, ...], values: list[float | None]) -> list[str]:
    return [title, *map(_at_least, values, goals)]


def _at_least(value: float | None, goal: float) -> str:
    if value is None:
        return f"{ABSENT} (≥ {goal:g})"
    missing = "" if value >= goal else f", {value - goal:+.2f}".replace("-", "−")
    return f"{value:.2f} (≥ {goal:g}{missing})"


def _at_most(value: float | None, goal: float, digits: int = 2) -> str:
    if value is None:
        return ABSENT
    over = "" if value <= goal else f" ({value - goal:+.{digits}f})"
    return f"{value:.{digits}f}{over}"
