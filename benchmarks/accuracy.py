#!/usr/bin/env python3
"""What --labelled says of the demo's classifier on the rows that it was not trained on.

Writes results/accuracy.json and the table in the README.
"""

import csv
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

from benchmarks.report import replace_block, write_results
from utils.artifacts import Accuracy, read_report
from utils.errors import UserError, run_command
from utils.show_accuracy import accuracy_table

DATA = ROOT / "examples" / "support_tickets.csv"


def write_test_rows(path: Path) -> None:
    """The rows of the demo's data that are for testing."""
    with DATA.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def measure() -> Accuracy:
    """Train, convert with the labelled rows, read the report."""
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint, labelled = Path(scratch) / "demo", Path(scratch) / "test.csv"
        write_test_rows(labelled)
        _run(ROOT / "examples" / "train_demo.py", checkpoint)
        _run(
            *(ROOT / "utils" / "convert_to_onnx.py", "--model", checkpoint / "model"),
            *("--tokenizer", checkpoint / "tokenizer", "--labels", checkpoint / "id2label.json"),
            *("--labelled", labelled, "--save-dir", Path(scratch) / "artifacts"),
        )
        accuracy = read_report(Path(scratch) / "artifacts").accuracy
    if accuracy is None:
        raise UserError(DATA, "no accuracy was measured")
    return accuracy


def _run(*command: str | Path) -> None:
    subprocess.run([sys.executable, *command], check=True)


def block(accuracy: Accuracy) -> str:
    """The table as the main command shows it."""
    return f"```\n{accuracy_table(accuracy).rstrip()}\n```"


def main() -> None:
    """Measure, write, and show the table."""
    accuracy = measure()
    write_results("accuracy", {"accuracy": asdict(accuracy)})
    replace_block(ROOT / "README.md", "bench-accuracy", block(accuracy))
    print(accuracy_table(accuracy), end="")


if __name__ == "__main__":
    run_command(main)
