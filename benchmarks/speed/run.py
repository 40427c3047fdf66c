"""How fast the product, its limit and its peers answer: `python -m benchmarks.speed`.

Writes results/speed.json and speed.md; benchmarks/speed/plots.py draws it. --quick, which shows
that it works and says little about speed, writes into the cache.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.imdb import CACHE, make_imdb_model
from benchmarks.report import RESULTS, machine
from benchmarks.speed.cells import Window
from benchmarks.speed.clock import Clock
from benchmarks.speed.lineup import given_repositories, is_prepared, products
from benchmarks.speed.matrix import FULL, QUICK, Stage
from benchmarks.speed.models import make_bert_base, original_labels
from benchmarks.speed.quiet import SECONDS, others_share, warn_if_busy
from benchmarks.speed.services import Service, peers
from benchmarks.speed.stages import run_stage, takes_part
from benchmarks.speed.tables import write_tables
from benchmarks.speed.workload import make_workloads
from utils.errors import run_command

FULL_WINDOW = Window(warm_up=1.0, seconds=3.0)
QUICK_WINDOW = Window(warm_up=0.5, seconds=2.0)


def main() -> None:
    """Measure, write, and show the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="one small round, peers only if they are installed")
    add("--minutes", type=float, default=45.0, help="of measuring; a round that began is ended")
    add("--without-peers", action="store_true")
    add(
        "--repository", action="append", default=[], metavar="PRECISION=DIR", help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    # Ends what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    path = CACHE / "speed-quick.json" if arguments.quick else RESULTS / "speed.json"
    for results in measure(
        QUICK if arguments.quick else FULL,
        QUICK_WINDOW if arguments.quick else FULL_WINDOW,
        arguments.minutes * 60,
        peers_too=not arguments.without_peers,
        only_present=arguments.quick,
        given=given_repositories(arguments.repository),
    ):
        # Whatever happens to a later stage, what was measured is there.
        content = {"machine": machine(), "quick": arguments.quick, **results}
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(write_tables(path))


def measure(
    stages: Sequence[Stage],
    window: Window,
    seconds: float,
    peers_too: bool,
    only_present: bool,
    given: dict[str, Path],
) -> Iterator[dict[str, Any]]:
    """All stages; after each of them, what has been measured.

    Args:
        stages: what to measure.
        window: of each cell.
        seconds: for all stages.
        peers_too: whether to measure peers.
        only_present: of the peers, those whose environments have been made before.
        given: precision to a repository of MiniLM that has been rendered before.
    """
    imdb = make_imdb_model(CACHE)
    workloads = make_workloads(imdb)
    texts = [text for workload in workloads.values() for text in workload.texts]
    services: dict[str, list[Service]] = {}
    expected: dict[str, dict[str, str]] = {}
    refused: dict[str, str] = {}
    everywhere = sorted(os.sched_getaffinity(0))
    for name in dict.fromkeys(stage.model for stage in stages):
        model = imdb.model if name == "minilm" else make_bert_base(imdb, CACHE)
        expected[name] = original_labels(model, texts, CACHE)
        services[name], errors = products(name, model, imdb, given)
        refused |= errors
        services[name] += peers(model, CACHE, only_present) if peers_too else []
        own = [stage for stage in stages if stage.model == name]
        services[name] = [
            service
            for service in services[name]
            if any(takes_part(stage, service) for stage in own)
            and is_prepared(name, service, everywhere, refused)
        ]
    print(f"watching the machine for {SECONDS:.0f} s", file=sys.stderr)
    others = others_share(everywhere)
    warn_if_busy(others)
    clock = Clock(seconds, [stage.share for stage in stages])
    results: dict[str, Any] = {
        "warm-up, s": window.warm_up,
        "window, s": window.seconds,
        "others' share before": round(others, 3),
        "workloads": {name: workload.describe() for name, workload in workloads.items()},
        "not built": refused,
        "stages": [],
    }
    for stage in stages:
        cpus = everywhere[: stage.cpus or None]
        results["stages"].append(
            run_stage(
                stage,
                services[stage.model],
                workloads,
                expected[stage.model],
                cpus,
                window,
                clock,
            )
        )
        yield results


if __name__ == "__main__":
    run_command(main)
