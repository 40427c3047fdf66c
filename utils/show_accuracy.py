#!/usr/bin/env python3
"""Print how the original and the exported model did on the labelled texts, as a table."""

import argparse
import io
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.console import Console
from rich.table import Table

from utils.artifacts import Accuracy, read_report
from utils.errors import UserError, run_command
from utils.output import write_result


def accuracy_table(accuracy: Accuracy) -> str:
    """One row for each measure."""
    table = Table(f"{accuracy.examples} labelled texts")
    for heading in ("before", "after", "difference"):
        table.add_column(heading, justify="right")
    for measure, before in accuracy.before.items():
        after = accuracy.after[measure]
        table.add_row(measure, f"{before:.4f}", f"{after:.4f}", f"{after - before:+.4f}")
    text = io.StringIO()
    Console(file=text, width=80).print(table)
    return text.getvalue()


def main() -> None:
    """Print or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifacts", type=Path, help="folder that convert_to_onnx.py wrote")
    parser.add_argument("-o", "--output", type=Path, help="write here instead of stdout")
    arguments = parser.parse_args()
    accuracy = read_report(arguments.artifacts).accuracy
    if accuracy is None:
        raise UserError(arguments.artifacts, "was converted without labelled texts", "--labelled")
    write_result(accuracy_table(accuracy), arguments.output)


if __name__ == "__main__":
    run_command(main)
