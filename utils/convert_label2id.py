#!/usr/bin/env python3
"""Turn a label2id file into an id2label file."""

import argparse
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.errors import run_command
from utils.labels import dump_labels, read_label_file
from utils.output import write_result


def main() -> None:
    """Print the id2label form of a label file, or write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("label_file", type=Path, help="label2id (or already id2label) JSON file")
    parser.add_argument("-o", "--output", type=Path, help="write here instead of stdout")
    arguments = parser.parse_args()
    write_result(dump_labels(read_label_file(arguments.label_file)), arguments.output)


if __name__ == "__main__":
    run_command(main)
