#!/usr/bin/env python3
"""Copy a folder to a place that does not exist or is empty: all of it, or nothing."""

import argparse
import shutil
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.errors import run_command
from utils.folders import make_folder


def main() -> None:
    """Copy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    make_folder(
        arguments.target.absolute(),
        lambda draft: shutil.copytree(arguments.source, draft, dirs_exist_ok=True),
    )


if __name__ == "__main__":
    run_command(main)
