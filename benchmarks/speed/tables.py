"""The tables of results/speed.json: `python -m benchmarks.speed.tables` writes speed.md.

It also renews the blocks of the documents that are made of results. Nothing is measured.
"""

import json
import sys
from pathlib import Path

from benchmarks.report import RESULTS
from benchmarks.speed.comparisons import (
    cost_table,
    disturbance,
    ratios_table,
    workloads_table,
)
from benchmarks.speed.documents import write_blocks
from benchmarks.speed.outcome import Results
from benchmarks.speed.stage_tables import batch_table, latency_table, open_table, rates_table


def document(results: Results) -> str:
    """All tables, the texts first, then a section for each stage."""
    parts = [workloads_table(results["workloads"])]
    for stage in results["stages"]:
        clients = sorted({cell["clients"] for cell in stage["cells"]} - {0})
        cpus = stage["cpus"]
        parts += [
            f"### {stage['model']}, {cpus} core{'s' * (cpus > 1)}",
            ratios_table(stage),
            rates_table(stage),
            *(latency_table(stage, count) for count in clients),
            open_table(stage),
            batch_table(stage),
            cost_table(stage),
            disturbance(stage),
            *(f"{name} was not started: {why}" for name, why in stage["refused"].items()),
        ]
    return "\n\n".join(part for part in parts if part)


def write_tables(path: Path) -> str:
    """Write the tables of a JSON file beside it, ending .md; what was written."""
    text = document(json.loads(path.read_text(encoding="utf-8")))
    path.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    return text


def main() -> None:
    """Write and show the tables of the results, or of the file that is named."""
    if len(sys.argv) > 1:
        print(write_tables(Path(sys.argv[1])))
        return
    print(write_tables(RESULTS / "speed.json"))
    write_blocks()


if __name__ == "__main__":
    main()
