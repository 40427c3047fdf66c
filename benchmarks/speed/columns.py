"""Tables with a row for each contender, and how figures are written in them."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.report import markdown_table
from benchmarks.speed.outcome import Results, disqualified, find
from utils.load.figures import spread

ABSENT = "–"

# Title, what shows a cell, and which cell.
Column = tuple[str, Callable[[Results], str], dict[str, Any]]


def table_of(stage: Results, corner: str, columns: Sequence[Column]) -> str:
    """A row for each contender that has any of the columns."""
    rows = []
    for name, item in stage["contenders"].items():
        cells = [find(stage, name, **wanted) for _, _, wanted in columns]
        if not any(cells):
            continue
        why = disqualified(stage, name)
        shown = [
            show(cell) if cell else ABSENT
            for cell, (_, show, _) in zip(cells, columns, strict=True)
        ]
        rows.append([item["title"] + (f" (does not count: {why})" if why else ""), *shown])
    return markdown_table([corner, *(title for title, _, _ in columns)], rows)


def spread_text(values: Sequence[float]) -> str:
    """Median and range."""
    found = spread(values)
    if len(values) == 1:
        return f"{found.median:.1f}"
    return f"{found.median:.1f} ({found.least:.1f} to {found.most:.1f})"


def latency_text(cell: Results) -> str:
    """p50 / p95 / p99."""
    found = cell["latency, ms"]
    return " / ".join(f"{value:.1f}" for value in found.values()) if found else ABSENT


def times(value: float | None) -> str:
    """A ratio."""
    return ABSENT if value is None else f"{value:.2f}"


def figure(item: Results, key: str) -> str:
    """What a contender is described with."""
    return f"{item[key]:g}" if key in item else ABSENT


def clients_text(count: int) -> str:
    """In words."""
    return f"{count} client{'s' * (count > 1)}"
