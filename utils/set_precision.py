#!/usr/bin/env python3
"""Rewrite a converted model for other hardware or in fewer bits, and prove that it still answers.

Every graph that one of PRECISIONS can mean is run over the reference's texts, and the labelled ones
if there are any, on the engine of the profile: the fastest that keeps enough labels is taken. On a
machine without that hardware it is the CPU's engine, and what could not be seen is said.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.errors import run_command
from utils.folders import ROOT, cache_key, cached_folder, make_folder
from utils.precision.choose import DETAILS_FILE, Wanted, choose_graph
from utils.snapshot import file_digest
from utils.targets.machine import this_machine
from utils.targets.profiles import profile_names, read_profile


def precision_key(wanted: Wanted, artifacts: Path) -> str:
    """Digest of everything that decides what is chosen, this machine's CPU among it."""
    profile = wanted.profile
    files = [path for path in sorted(artifacts.rglob("*")) if path.is_file()]
    files += [path for path in sorted(profile.engine_file.parent.iterdir()) if path.is_file()]
    files += [wanted.labelled] if wanted.labelled else []
    # What runs the graphs, and decides by its speed.
    files += sorted((ROOT / "backends").rglob("*.py"))
    return cache_key(
        {
            "files": [[path.name, file_digest(path)] for path in files],
            "wanted": [list(wanted.precisions), wanted.lacks, wanted.max_batch_size],
            "machine": [sorted(this_machine().cpu_flags), len(os.sched_getaffinity(0))],
        }
    )


def main() -> None:
    """Write the artifacts of the chosen graph."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("artifacts", type=Path, help="folder that convert_to_onnx.py wrote")
    add("output", type=Path, help="new folder of the same form")
    add("--hardware", choices=profile_names(), default="cpu")
    add("--precisions", nargs="+", required=True, metavar="NAME", help="to choose from")
    add("--lacks", default="", help="what this machine has not of what the profile needs")
    add("--max-batch-size", type=int, default=4)
    add("--labelled", type=Path, help="the texts of the conversion's --labelled")
    add("--details", type=Path, help="write here what changed, for people")
    add("--cache", type=Path, default=ROOT / ".cache")
    arguments = parser.parse_args()
    wanted = Wanted(
        profile=read_profile(arguments.hardware),
        precisions=arguments.precisions,
        lacks=arguments.lacks,
        max_batch_size=arguments.max_batch_size,
        labelled=arguments.labelled,
        details=arguments.details,
        cache=arguments.cache.absolute(),
    )
    entry = cached_folder(
        wanted.cache / "precisions",
        precision_key(wanted, arguments.artifacts),
        lambda draft: choose_graph(wanted, arguments.artifacts, draft),
    )
    make_folder(arguments.output, lambda draft: shutil.copytree(entry, draft, dirs_exist_ok=True))
    details = arguments.output / DETAILS_FILE
    if arguments.details and details.is_file():
        shutil.copy(details, arguments.details)


if __name__ == "__main__":
    run_command(main)
