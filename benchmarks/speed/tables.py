"""The tables of results/speed.json: `python -m benchmarks.speed.tables` writes speed.md."""

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS, markdown_table
from benchmarks.speed.matrix import BASE_CLIENTS, WORKLOADS
from benchmarks.speed.outcome import (
    Results,
    disqualified,
    find,
    other_labels,
    ratio,
    ratio_by_cpu,
)
from utils.load.figures import spread

ABSENT = "–"


def rates_table(stage: Results) -> str:
    """Texts/s with the range over rounds, by workload."""
    return _table(
        stage,
        "texts/s",
        [
            (workload, lambda cell: _spread(cell["texts/s"]), {"workload": workload})
            for workload in WORKLOADS
        ],
    )


def latency_table(stage: Results, clients: int) -> str:
    """p50 / p95 / p99 by workload."""
    return _table(
        stage,
        f"ms, {clients} client{'s' * (clients > 1)}",
        [
            (workload, _latency, {"workload": workload, "clients": clients})
            for workload in WORKLOADS
        ],
    )


def cost_table(stage: Results) -> str:
    """CPU seconds, memory, time to ready, labels."""
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
                *(_figure(item, key) for key in ("PSS, MB", "RSS, MB", "ready, s")),
                f"{other_labels(stage, name):.1%}",
            ]
        )
    header = [f"CPU-s per 1,000 texts, {WORKLOADS[0]}", *WORKLOADS[1:]]
    return markdown_table(["", *header, "PSS, MB", "RSS, MB", "ready, s", "other labels"], rows)


def ratios_table(stage: Results) -> str:
    """Each product's rate as a multiple of its limit's and of the best peer's."""
    rows = []
    peers = [
        name
        for name, item in stage["contenders"].items()
        if item["group"] == "peer" and not disqualified(stage, name)
    ]
    for name, item in stage["contenders"].items():
        if item["group"] != "product":
            continue
        limit = f"limit_{item['precision']}"
        rows.append(
            [f"{item['title']} ÷ its limit"]
            + [
                _times(ratio(stage, name, limit, workload=each, clients=BASE_CLIENTS))
                for each in WORKLOADS
            ]
        )
        rows.append(
            ["the same, by CPU time"]
            + [
                _times(ratio_by_cpu(stage, name, limit, workload=each, clients=BASE_CLIENTS))
                for each in WORKLOADS
            ]
        )
        for peer in peers:
            rows.append(
                [f"{item['title']} ÷ {stage['contenders'][peer]['title']}"]
                + [
                    _times(ratio(stage, name, peer, workload=each, clients=BASE_CLIENTS))
                    for each in WORKLOADS
                ]
            )
    return markdown_table([f"{BASE_CLIENTS} clients", *WORKLOADS], rows)


def open_table(stage: Results) -> str:
    """Latencies at fixed rates, of the mixed workload; "" where none was measured."""
    loads = sorted({cell["load"] for cell in stage["cells"] if not cell["clients"]})
    columns = [
        (
            f"{stage['open loop, requests/s'][f'{load:g}']:g} requests/s",
            _latency,
            {"workload": "mixed", "clients": 0, "load": load},
        )
        for load in loads
    ]
    return _table(stage, "ms, mixed", columns) if columns else ""


def batch_table(stage: Results) -> str:
    """Texts/s by texts in a request; "" where none was measured."""
    batches = sorted({cell["texts"] for cell in stage["cells"]} - {1})
    columns = [
        (
            f"{texts} a request",
            lambda cell: _spread(cell["texts/s"]),
            {"workload": "mixed", "clients": BASE_CLIENTS, "texts": texts},
        )
        for texts in [1, *batches]
    ]
    return _table(stage, "texts/s, mixed", columns) if batches else ""


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


def document(results: Results) -> str:
    """All tables, the texts first, then a section for each stage."""
    parts = [workloads_table(results["workloads"])]
    for stage in results["stages"]:
        clients = sorted({cell["clients"] for cell in stage["cells"]} - {0})
        cpus = stage["cpus"]
        parts += [
            f"### {stage['model']}, {cpus} core{'s' * (cpus > 1)}",
            ratios_table(stage),
            _at(stage, rates_table),
            *(latency_table(stage, count) for count in clients),
            open_table(stage),
            batch_table(stage),
            cost_table(stage),
            disturbance(stage),
            *(f"{name} was not started: {why}" for name, why in stage["refused"].items()),
        ]
    return "\n\n".join(part for part in parts if part)


Column = tuple[str, Callable[[Results], str], dict[str, Any]]


def _at(stage: Results, table: Callable[[Results], str]) -> str:
    """The table of cells with BASE_CLIENTS."""
    cells = [cell for cell in stage["cells"] if cell["clients"] == BASE_CLIENTS]
    return table({**stage, "cells": cells})


def _table(stage: Results, corner: str, columns: Sequence[Column]) -> str:
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


def _spread(values: Sequence[float]) -> str:
    found = spread(values)
    if len(values) == 1:
        return f"{found.median:.1f}"
    return f"{found.median:.1f} ({found.least:.1f} to {found.most:.1f})"


def _latency(cell: Results) -> str:
    found = cell["latency, ms"]
    return " / ".join(f"{value:.1f}" for value in found.values()) if found else ABSENT


def _times(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.2f}"


def _figure(item: Results, key: str) -> str:
    return f"{item[key]:g}" if key in item else ABSENT


def write_tables(path: Path) -> str:
    """Write the tables of a JSON file beside it, ending .md; what was written."""
    text = document(json.loads(path.read_text(encoding="utf-8")))
    path.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    return text


def main() -> None:
    """Write and show the tables of the results, or of the file that is named."""
    print(write_tables(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS / "speed.json"))


if __name__ == "__main__":
    main()
