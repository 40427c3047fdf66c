#!/usr/bin/env python3
"""Print how many classes a label file (id2label or label2id) names."""

import argparse
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.errors import run_command
from utils.labels import read_label_file


def main() -> None:
    """Print the number of classes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("label_file", type=Path, help="id2label or label2id JSON file")
    print(len(read_label_file(parser.parse_args().label_file)))


if __name__ == "__main__":
    run_command(main)
