#!/usr/bin/env python3
"""Which of transformers' text classifiers can be converted and served?

Every type of the mapping in turn, or the named TYPEs: a tiny checkpoint with random weights is
converted, served on the real tritonserver and compared with transformers' pipeline. Writes
results.json and the table in docs/supported-models.md.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __package__ in (None, ""):
    sys.path[0] = str(ROOT)

from benchmarks.report import replace_block
from utils.errors import UserError, run_command

RESULTS = Path(__file__).with_name("results.json")
DOCUMENT = ROOT / "docs" / "supported-models.md"
README = ROOT / "README.md"

# Each has a process that computes and a server.
AT_ONCE = 2

MEMORY_BYTES = 4 << 30
TIMEOUT_SECONDS = 300

# Texts to compare in every test run, and for what is published.
FEW, MANY = 12, 500


@dataclass(frozen=True)
class Row:
    """What became of one type.

    Attributes:
        model_type: as in config.json.
        works: whether the served answers are the pipeline's.
        exporter: the one whose graph passed, "" for none.
        padding: the side on which texts are padded, none, or "".
        reason: why it does not work, "" when it does.
    """

    model_type: str
    works: bool
    exporter: str
    padding: str
    reason: str


def model_types() -> list[str]:
    """All types of the mapping, sorted."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    )

    return sorted(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)


def walk(model_types: Sequence[str], count: int) -> Iterator[Row]:
    """Walk types with `count` texts each, some at a time; rows in the order of the types."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda model_type: walk_one(model_type, count), model_types)


def walk_one(model_type: str, count: int) -> Row:
    """Walk one type in a process of its own, within limits of memory and time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.architectures.steps"])
    ours, theirs = context.Pipe(duplex=False)
    # Made here: a process that is killed leaves its folder behind.
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(target=_report, args=(model_type, count, Path(folder), theirs))
        process.start()
        theirs.close()
        try:
            if not ours.poll(TIMEOUT_SECONDS):
                return Row(model_type, False, "", "", f"takes more than {TIMEOUT_SECONDS} s")
            found = ours.recv()
        except EOFError:
            return Row(model_type, False, "", "", "its process died")
        finally:
            _end(process)
    return Row(model_type, not found["reason"], **found)


def _report(model_type: str, count: int, folder: Path, answer: "Connection[Any, Any]") -> None:
    """In the process of the type: send its exporter and the reason of its failure."""
    # A group of its own, so that the server ends with it.
    os.setsid()
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    # Imported here: only the server of forks and its children need torch.
    from tests.architectures.steps import outcome

    answer.send(asdict(outcome(model_type, folder, count)))


def _end(process: Any) -> None:
    """Wait for a process that has answered; kill it and its children otherwise."""
    process.join(timeout=10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def read_rows() -> tuple[str, dict[str, Row]]:
    """The version of transformers that was walked, and the rows by type."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    return results["transformers"], {row["model_type"]: Row(**row) for row in results["rows"]}


def write_rows(rows: dict[str, Row]) -> None:
    """Write results.json and the tables in the documents."""
    ordered = [rows[model_type] for model_type in sorted(rows)]
    transformers = version("transformers")
    results = {"transformers": transformers, "rows": [asdict(row) for row in ordered]}
    text = json.dumps(results, indent=1, ensure_ascii=False)
    RESULTS.write_text(text + "\n", encoding="utf-8")
    replace_block(DOCUMENT, "supported-models", table(transformers, ordered))
    replace_block(README, "supported-models-short", short_table(ordered))


def table(transformers: str, rows: Sequence[Row]) -> str:
    """The document's generated block: a count and a Markdown table."""
    lines = [
        summary(transformers, rows),
        "",
        "| model type | works | exporter, or why not |",
        "| --- | --- | --- |",
        *(f"| `{row.model_type}` | {_works(row)} | {row.reason or row.exporter} |" for row in rows),
    ]
    return "\n".join(lines)


def summary(transformers: str, rows: Sequence[Row]) -> str:
    """How many work."""
    working = sum(row.works for row in rows)
    return (
        f"{working} of the {len(rows)} types in transformers {transformers} work; compared with"
        f" {MANY} texts over HTTP and gRPC."
    )


def short_table(rows: Sequence[Row]) -> str:
    """The README's generated block: which types work and which do not, in few lines."""
    kinds = {
        "work": [row for row in rows if row.works and row.padding != "none"],
        "work with `MAX_BATCH_SIZE` 1": [
            row for row in rows if row.works and row.padding == "none"
        ],
        "refused": [row for row in rows if not row.works],
    }
    lines = [
        "| | `model_type` in `config.json` |",
        "| --- | --- |",
        *(
            f"| {len(found)} {kind} | {', '.join(f'`{row.model_type}`' for row in found)} |"
            for kind, found in kinds.items()
        ),
    ]
    return "\n".join(lines)


def _works(row: Row) -> str:
    if not row.works:
        return "no"
    return "one text at a time" if row.padding == "none" else "yes"


def main() -> None:
    """Walk, show each row as it comes, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("types", nargs="*", metavar="TYPE", help="default: all")
    arguments = parser.parse_args()
    known = model_types()
    unknown = sorted(set(arguments.types) - set(known))
    if unknown:
        raise UserError(", ".join(unknown), "not in transformers' text-classification mapping")
    rows = read_rows()[1] if arguments.types and RESULTS.exists() else {}
    for row in walk(arguments.types or known, MANY):
        print(row.model_type, _works(row), row.reason or row.exporter, sep=": ", flush=True)
        rows[row.model_type] = row
    write_rows(rows)


if __name__ == "__main__":
    run_command(main)
