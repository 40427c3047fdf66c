#!/usr/bin/env python3
"""Fetch a model, its tokenizer and its labels from wherever they live.

Prints, or writes to OUTPUT, where each lies now and what exactly it is: the sources.json that
convert_to_onnx.py takes. A folder of the user's is left where it is; what is fetched goes to the
cache, once. REFERENCE is a path or a URI: see python -m utils.storages.
"""

import argparse
import shutil
import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.errors import UserError, run_command
from utils.output import write_result
from utils.pickles import PICKLED_WEIGHTS, convert_pickles, scanner
from utils.snapshot import check_model_folder, check_tokenizer_folder, file_digests
from utils.sources import Source, Sources, dump_sources
from utils.storages.cache import Cache
from utils.storages.obtain import obtain
from utils.storages.progress import Show, on_terminal, to_file
from utils.storages.reference import LOCAL, Reference, parse_reference
from utils.storages.refusals import without_secrets
from utils.storages.wanted import WANTED, Wanted, wanted_labels

CACHE = Path(__file__).resolve().parents[1] / ".cache" / "checkpoints"

PARTS = ("model", "tokenizer", "labels")

_MODEL = WANTED["model"]
WANTED_WITH_PICKLES = replace(
    _MODEL,
    patterns=(*_MODEL.patterns, *PICKLED_WEIGHTS),
    weights=(*_MODEL.weights, *PICKLED_WEIGHTS),
)

# Stands for "what the model brings along".
OF_THE_MODEL = "-"


def add_source_arguments(parser: argparse.ArgumentParser, required: bool) -> None:
    """The options that name sources, for every command that takes them."""
    add = parser.add_argument
    add("-m", "--model", metavar="REFERENCE", required=required, help="the fine-tuned checkpoint")
    add(
        "-t",
        "--tokenizer",
        metavar="REFERENCE",
        default=OF_THE_MODEL,
        help="its tokenizer (-: the model's)",
    )
    add(
        "-l",
        "--labels",
        metavar="REFERENCE",
        default=OF_THE_MODEL,
        help="id2label file (-: names in config.json)",
    )
    for part in PARTS:
        add(
            f"--where-{part}",
            f"--where_{part}",
            metavar="STORAGE",
            help=f"storage of the {part}'s name",
        )
    add("--offline", action="store_true", help="take what was fetched before, ask nobody")
    add(
        "--allow-pickle",
        action="store_true",
        help="take pickled weights, if a scanner finds nothing else in them",
    )


def names_a_storage(arguments: argparse.Namespace) -> bool:
    """Whether anything has to come from elsewhere than this machine's files."""
    return any(
        parse_reference(getattr(arguments, part), getattr(arguments, f"where_{part}")).scheme
        != LOCAL
        for part in PARTS
    )


def source_words(arguments: argparse.Namespace) -> list[str]:
    """The command line that says the same to another command."""
    options = [*PARTS, *(f"where_{part}" for part in PARTS)]
    given = {option: getattr(arguments, option) for option in options}
    words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value]
    flags = {"--offline": arguments.offline, "--allow-pickle": arguments.allow_pickle}
    return [*words, *(flag for flag, wanted in flags.items() if wanted)]


def fetch_sources(arguments: argparse.Namespace, cache: Cache, show: Show | None = None) -> Sources:
    """Fetch all parts and look at them before any library does.

    Raises:
        UserError: of a storage, or what came cannot be converted.
    """
    for part in ("tokenizer", "labels"):
        if getattr(arguments, part) == OF_THE_MODEL and getattr(arguments, f"where_{part}"):
            raise UserError(f"--where-{part}", "is for a name, and - is none")
    fetch = partial(_fetch, cache=cache, offline=arguments.offline, show=show)
    named = parse_reference(arguments.model, arguments.where_model)
    model = fetch(named, WANTED_WITH_PICKLES if arguments.allow_pickle else WANTED["model"])
    if arguments.tokenizer != OF_THE_MODEL:
        named = parse_reference(arguments.tokenizer, arguments.where_tokenizer)
    tokenizer = fetch(named, WANTED["tokenizer"])
    if arguments.tokenizer == OF_THE_MODEL and tokenizer.revision != model.revision:
        raise UserError(model.reference, "changed while it was fetched", "run it again")
    labels = None
    if arguments.labels != OF_THE_MODEL:
        named = parse_reference(arguments.labels, arguments.where_labels)
        wanted = wanted_labels(named)
        labels = _label_file(fetch(named, wanted), wanted)
    check_tokenizer_folder(Path(tokenizer.path))
    if arguments.allow_pickle and not any(Path(model.path).glob("*.safetensors")):
        model = _without_pickles(model, cache)
    check_model_folder(Path(model.path))
    return Sources(model, tokenizer, labels)


def _fetch(
    reference: Reference, wanted: Wanted, cache: Cache, offline: bool, show: Show | None
) -> Source:
    obtained = obtain(reference, wanted, cache, offline, show)
    return Source(str(obtained.folder), without_secrets(str(reference)), obtained.revision)


def _label_file(source: Source, wanted: Wanted) -> Source:
    path = Path(source.path)
    if path.is_dir():
        names = [item.name for item in path.iterdir() if item.is_file()]
        path = path / wanted.choose(names, source.reference)[0]
    return replace(source, path=str(path))


def _without_pickles(model: Source, cache: Cache) -> Source:
    """The model with safetensors in the place of its pickles, kept in the cache."""
    folder, scanned_by = Path(model.path), scanner()

    def convert(target: Path) -> None:
        shutil.copy(folder / "config.json", target)
        convert_pickles(folder, target, model.reference)

    digests = file_digests(folder, ("config.json", *PICKLED_WEIGHTS))
    made = cache.snapshot(
        (scanned_by, *(f"{name} {digest}" for name, digest in digests.items())), convert
    )
    return replace(model, path=str(made), scanner=scanned_by)


def main() -> None:
    """Fetch and say where everything is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_source_arguments(parser, required=True)
    parser.add_argument("--cache", type=Path, default=CACHE, help="default: .cache/checkpoints")
    parser.add_argument("--progress", type=Path, help="keep a line of progress in this file")
    parser.add_argument("-o", "--output", type=Path, help="write here instead of stdout")
    arguments = parser.parse_args()
    with (
        on_terminal()
        if arguments.progress is None
        else nullcontext(to_file(arguments.progress)) as show
    ):
        sources = fetch_sources(arguments, Cache(arguments.cache), show)
    write_result(dump_sources(sources), arguments.output)


if __name__ == "__main__":
    run_command(main)
