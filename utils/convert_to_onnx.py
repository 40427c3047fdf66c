#!/usr/bin/env python3
"""Convert a fine-tuned sequence classifier to ONNX and prove that it gives the same answers.

Writes model.onnx (and model.onnx.data for more than 2 GB of weights), tokenizer.json,
id2label.json, thresholds.json (of multi-label models), report.json and reference.json to SAVE_DIR,
or nothing.
"""

import argparse
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import distributions
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.artifacts import DEFAULT_TOLERANCE
from utils.behaviour import DEFAULT_MAX_WINDOWS, Options, check_options, read_thresholds
from utils.errors import UserError, run_command
from utils.fetch import CACHE, add_source_arguments, fetch_sources, names_a_storage, source_words
from utils.folders import cache_key, cached_folder, make_folder
from utils.labels import read_label_file
from utils.samples import read_labelled, read_samples
from utils.snapshot import (
    MODEL_FILES,
    TOKENIZER_FILES,
    file_digest,
    file_digests,
)
from utils.sources import Sources, read_sources
from utils.storages.cache import Cache

FETCH = Path(__file__).with_name("fetch.py")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add_source_arguments(parser, required=False)
    add("--sources", type=Path, help="sources.json of utils/fetch.py, instead of these")
    add("-s", "--save-dir", "--save_dir", type=Path, required=True, help="folder to write to")
    add("--function", choices=("softmax", "sigmoid", "none"), help="default: the pipeline's rule")
    add("--threshold", metavar="X|FILE", help="of multi-label scores, or JSON of label to X (0.5)")
    add("--top-k", type=_at_least(1), default=0, metavar="N", help="labels in an answer (all)")
    add("--pairs", action="store_true", help="texts come in pairs")
    add(
        "--max-length", type=_at_least(1), default=0, metavar="N", help="cut at N tokens (the most)"
    )
    add("--long-text", choices=("truncate", "head-tail", "window"), default="truncate")
    add("--stride", type=_at_least(0), metavar="N", help="tokens that windows share (a quarter)")
    add("--merge", choices=("mean", "max"), help="of the windows' logits (mean)")
    add("--max-windows", type=_at_least(1), metavar="N", help=f"of a text ({DEFAULT_MAX_WINDOWS})")
    add("--samples", type=Path, help="texts for the gates, one a line, or .csv, .jsonl (built-in)")
    add("--labelled", type=Path, help=".csv or .jsonl of text and label: accuracy of both models")
    add("--tolerance", type=_tolerance, default=DEFAULT_TOLERANCE, help="difference allowed (1e-4)")
    add("--exporter", choices=("auto", "torchscript", "dynamo", "optimum"), default="auto")
    add("--cache", type=Path, help="keep finished conversions here and use them again")
    arguments = parser.parse_args()
    if (arguments.model is None) == (arguments.sources is None):
        parser.error("one of --model and --sources is needed")
    return arguments


def _at_least(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a number from {least}")
        return int(text)

    return parse


def _tolerance(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError("must be a number over 0")
    return number


def main() -> None:
    """Check what can be checked without loading the model, then convert or reuse."""
    arguments = parse_arguments()
    target: Path = arguments.save_dir
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(target, "exists and is not an empty folder", "choose another or remove it")
    sources = find_sources(arguments)
    options = Options(
        function=arguments.function,
        threshold=read_thresholds(arguments.threshold) if arguments.threshold else None,
        top_k=arguments.top_k,
        pairs=arguments.pairs,
        max_length=arguments.max_length,
        long_text=arguments.long_text,
        stride=arguments.stride,
        merge=arguments.merge,
        max_windows=arguments.max_windows,
    )
    check_options(options)
    samples = read_samples(arguments.samples, arguments.pairs)
    labelled = read_labelled(arguments.labelled, arguments.pairs) if arguments.labelled else []
    digests = {
        f"{what}/{name}": digest
        for what, source, patterns in (
            ("model", sources.model, MODEL_FILES),
            ("tokenizer", sources.tokenizer, TOKENIZER_FILES),
        )
        for name, digest in file_digests(Path(source.path), patterns).items()
    }
    if sources.labels:
        read_label_file(Path(sources.labels.path))
        digests["labels"] = file_digest(Path(sources.labels.path))

    def make(folder: Path) -> None:
        # Imported here: torch and transformers take seconds, and a reused conversion needs neither.
        from utils.conversion import Conversion, convert

        convert(
            Conversion(
                sources=sources,
                options=options,
                samples=samples,
                labelled=labelled,
                tolerance=arguments.tolerance,
                exporter=arguments.exporter,
                digests=digests,
            ),
            folder,
        )

    if arguments.cache:
        # Everything that decides what a conversion writes.
        key = cache_key(
            {
                "sources": [sources.references(), sources.revisions()],
                "digests": digests,
                "options": asdict(options),
                "texts": [asdict(example) for example in (*samples, *labelled)],
                "gates": [len(samples), arguments.tolerance, arguments.exporter],
                "packages": sorted(f"{item.name}=={item.version}" for item in distributions()),
            }
        )
        entry = cached_folder(arguments.cache, key, make)
        make_folder(target, lambda draft: shutil.copytree(entry, draft, dirs_exist_ok=True))
    else:
        make_folder(target, make)


def find_sources(arguments: argparse.Namespace) -> Sources:
    """What --sources says, or what the references lead to.

    Clients of storages run in a process of their own: libraries are told to ask no hub when they
    are imported, and a client would have imported them before.
    """
    if arguments.sources:
        return read_sources(arguments.sources)
    if not names_a_storage(arguments):
        return fetch_sources(arguments, Cache(CACHE))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "sources.json"
        command: list[str | Path] = [
            sys.executable,
            FETCH,
            "--output",
            output,
            *source_words(arguments),
        ]
        done = subprocess.run(command, check=False, stdout=sys.stderr)
        if done.returncode:
            # It has said why.
            sys.exit(done.returncode)
        return read_sources(output)


if __name__ == "__main__":
    run_command(main)
