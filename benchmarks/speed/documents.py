"""The blocks of documents that are made of results, and nothing else.

Each is between the markers that benchmarks.report.replace_block knows.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import RESULTS, replace_block
from benchmarks.speed import comparisons, perf_table, stage_tables
from benchmarks.speed.goals import footprint_table, goals_table
from benchmarks.speed.outcome import Results
from benchmarks.speed.sections import (
    images,
    latencies,
    of_stage,
    one_core,
    refused,
    run_line,
    short_table,
)
from benchmarks.speed.step_tables import joined_table, separate_table

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "performance.md"


@dataclass(frozen=True)
class Block:
    """A part of a document.

    Attributes:
        document: which.
        name: of its markers.
        results: file in benchmarks/results that it is made of.
        text: makes it.
    """

    document: Path
    name: str
    results: str
    text: Callable[[Results], str]

    def current(self) -> str:
        """As the results have it."""
        return self.text(json.loads((RESULTS / self.results).read_text(encoding="utf-8")))


SPEED = "speed.json"

BLOCKS = (
    Block(README, "bench-speed", SPEED, short_table),
    Block(PAGE, "speed-run", SPEED, run_line),
    Block(
        PAGE,
        "speed-workloads",
        SPEED,
        lambda results: comparisons.workloads_table(results["workloads"]),
    ),
    Block(PAGE, "speed-goals", SPEED, of_stage("minilm", goals_table, footprint_table)),
    Block(
        PAGE,
        "speed-contenders",
        SPEED,
        of_stage(
            "minilm",
            stage_tables.rates_table,
            latencies,
            comparisons.cost_table,
            comparisons.ratios_table,
            comparisons.disturbance,
            refused,
        ),
    ),
    Block(PAGE, "speed-steps", SPEED, of_stage("minilm", joined_table, separate_table)),
    Block(PAGE, "speed-clients", SPEED, of_stage("minilm", stage_tables.clients_table)),
    Block(PAGE, "speed-rates", SPEED, of_stage("minilm", stage_tables.open_table)),
    Block(PAGE, "speed-batches", SPEED, of_stage("minilm", stage_tables.batch_table)),
    Block(PAGE, "speed-one-core", SPEED, one_core),
    Block(
        PAGE,
        "speed-bert-base",
        SPEED,
        of_stage(
            "bert-base",
            comparisons.ratios_table,
            stage_tables.rates_table,
            latencies,
            comparisons.cost_table,
            comparisons.disturbance,
            refused,
        ),
    ),
    Block(PAGE, "speed-plots", SPEED, images),
    Block(PAGE, "perf-analyzer", "perf_analyzer.json", perf_table.table),
)


def write_blocks() -> None:
    """Renew all blocks whose results are there."""
    for block in BLOCKS:
        if (RESULTS / block.results).is_file():
            replace_block(block.document, block.name, block.current())
