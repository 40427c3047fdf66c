#!/usr/bin/env python3
"""Convert a fine-tuned sequence classifier to ONNX and prove that it gives the same answers.

Writes model.onnx (and model.onnx.data for more than 2 GB of weights), tokenizer.json,
id2label.json, thresholds.json (of multi-label models), report.json and reference.json to SAVE_DIR,
or nothing.
"""

import argparse
import math
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import distributions
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.artifacts import DEFAULT_TOLERANCE
from utils.behaviour import DEFAULT_MAX_WINDOWS, Options, check_options, read_thresholds
from utils.errors import UserError, run_command
from utils.folders import cache_key, cached_folder, make_folder
from utils.labels import read_label_file
from utils.samples import read_labelled, read_samples
from utils.snapshot import (
    MODEL_FILES,
    TOKENIZER_FILES,
    check_model_folder,
    check_tokenizer_folder,
    file_digest,
    file_digests,
)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("-m", "--model", type=Path, required=True, help="folder of the fine-tuned checkpoint")
    add("-t", "--tokenizer", type=Path, required=True, help="folder of its tokenizer")
    add("-s", "--save-dir", "--save_dir", type=Path, required=True, help="folder to write to")
    add("-l", "--labels", type=Path, help="id2label file (default: names in config.json)")
    for what in ("model", "tokenizer"):
        add(
            f"--where-{what}",
            f"--where_{what}",
            choices=("local",),
            default="local",
            help=f"storage of the {what}",
        )
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
    return parser.parse_args()


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
    check_model_folder(arguments.model)
    check_tokenizer_folder(arguments.tokenizer)
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
    if arguments.labels:
        read_label_file(arguments.labels)

    digests = {
        f"{what}/{name}": digest
        for what, folder, patterns in (
            ("model", arguments.model, MODEL_FILES),
            ("tokenizer", arguments.tokenizer, TOKENIZER_FILES),
        )
        for name, digest in file_digests(folder, patterns).items()
    }
    if arguments.labels:
        digests["labels"] = file_digest(arguments.labels)

    def make(folder: Path) -> None:
        # Imported here: torch and transformers take seconds, and a reused conversion needs neither.
        from utils.conversion import Conversion, convert

        convert(
            Conversion(
                model=arguments.model,
                tokenizer=arguments.tokenizer,
                labels=arguments.labels,
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
                "sources": [str(arguments.model), str(arguments.tokenizer), str(arguments.labels)],
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


if __name__ == "__main__":
    run_command(main)
