#!/usr/bin/env python3
"""Convert a fine-tuned sequence classifier to ONNX and prove that it gives the same answers.

Writes model.onnx (and model.onnx.data for more than 2 GB of weights), tokenizer.json,
id2label.json, settings.json and reference.json to SAVE_DIR, or nothing.
"""

import argparse
import shutil
import sys
from importlib.metadata import distributions
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.errors import UserError, run_command
from utils.folders import cache_key, cached_folder, make_folder
from utils.labels import read_label_file
from utils.samples import read_samples
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
    add("--max-length", type=int, default=0, help="cut texts at N tokens (default: all it takes)")
    add("--samples", type=Path, help="texts for the parity gate, one a line (default: built-in)")
    add("--exporter", choices=("auto", "torchscript", "dynamo", "optimum"), default="auto")
    add("--cache", type=Path, help="keep finished conversions here and use them again")
    arguments = parser.parse_args()
    if arguments.max_length < 0:
        parser.error("argument --max-length: must be 1 or more")
    return arguments


def main() -> None:
    """Check what can be checked without loading the model, then convert or reuse."""
    arguments = parse_arguments()
    target: Path = arguments.save_dir
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(target, "exists and is not an empty folder", "choose another or remove it")
    check_model_folder(arguments.model)
    check_tokenizer_folder(arguments.tokenizer)
    texts = read_samples(arguments.samples)
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
                max_length=arguments.max_length,
                samples=arguments.samples,
                exporter=arguments.exporter,
                digests=digests,
            ),
            folder,
        )

    if arguments.cache:
        key = cache_key(ingredients(arguments, digests, texts))
        entry = cached_folder(arguments.cache, key, make)
        make_folder(target, lambda draft: shutil.copytree(entry, draft, dirs_exist_ok=True))
    else:
        make_folder(target, make)


def ingredients(
    arguments: argparse.Namespace, digests: dict[str, str], texts: list[str]
) -> dict[str, object]:
    """Everything that decides what a conversion writes."""
    return {
        "sources": [str(arguments.model), str(arguments.tokenizer), str(arguments.labels)],
        "digests": digests,
        "texts": texts,
        "options": [arguments.max_length, arguments.exporter],
        "packages": sorted(f"{item.name}=={item.version}" for item in distributions()),
    }


if __name__ == "__main__":
    run_command(main)
