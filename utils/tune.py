#!/usr/bin/env python3
"""Find the settings with which a rendered repository answers fastest on this machine.

Serves it on the embedded server with each candidate in turn, several times, sends texts with
several numbers of clients, and writes the best into model_onnx/config.pbtxt: how many texts are
worked on at once and with how many threads each, whether texts of several requests share a run, and
how long one waits for others. What it already says wins unless something else is surely better.
Answers stay: candidates that give other labels are out. docs/tuning.md tells more.
"""

import argparse
import signal
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.errors import UserError, run_command
from utils.output import write_result
from utils.tuning.plot import draw
from utils.tuning.repository import give, record
from utils.tuning.results import Result, report, table
from utils.tuning.search import Wish, tune

CLIENTS = (1, 8, 32)

BUDGET_SECONDS = 300.0


def main() -> None:
    """Tune, show, write."""
    arguments = parse()
    # Ends what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    repository = arguments.repository.resolve()

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        if arguments.progress:
            arguments.progress.write_text(line + "\n", encoding="utf-8")

    wish = Wish(
        arguments.samples, arguments.latency_budget_ms, arguments.clients, arguments.budget_s
    )
    result = tune(repository, wish, tell)
    if result is None:
        write_result("nothing to choose from: one CPU, and one text a request\n", arguments.table)
        return
    if arguments.plot:
        _plot(result, arguments.plot)
    if not arguments.dry_run:
        if result.choice.contender is not result.contenders[0]:
            give(repository, result.choice.contender.settings)
        record(repository, report(result))
    write_result(table(result), arguments.table)


def _plot(result: Result, path: Path) -> None:
    """What was measured for minutes is not lost for want of a picture."""
    try:
        files = draw(result, path)
    except UserError as error:
        print(f"warning: no plot: {error}", file=sys.stderr)
    else:
        print(f"plot: {', '.join(map(str, files))}", file=sys.stderr)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("repository", type=Path, help="rendered, of --server embedded")
    add("--samples", type=Path, help="texts as for a build (those that it is checked with)")
    add("--latency-budget-ms", type=positive, metavar="N", help="that p95 may take (any)")
    add("--clients", type=numbers, default=CLIENTS, metavar="N,…", help="at once (1,8,32)")
    add("--budget-s", type=positive, default=BUDGET_SECONDS, metavar="N", help="for all (300)")
    add("--plot", type=Path, metavar="FILE", help="texts/s against p95, as PNG and SVG")
    add("--table", type=Path, metavar="FILE", help="write it here instead of stdout")
    add("--progress", type=Path, metavar="FILE", help="keep a line of what is done now in it")
    add("--dry-run", action="store_true", help="measure and show, write nothing")
    return parser.parse_args()


def positive(text: str) -> float:
    """A number over 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value


def numbers(text: str) -> tuple[int, ...]:
    """Different whole numbers over 0, in order."""
    found = sorted({int(part) for part in text.split(",")})
    if not found or found[0] < 1:
        raise ValueError(text)
    return tuple(found)


if __name__ == "__main__":
    run_command(main)
