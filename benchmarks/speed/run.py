"""How fast the product, its limit and its peers answer: `python -m benchmarks.speed`.

Writes results/speed.json and speed.md; benchmarks/speed/plots.py draws it. --quick, which shows
that it works and says little about speed, writes into the cache.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.imdb import CACHE, ImdbModel, make_imdb_model
from benchmarks.report import RESULTS, machine, write_results
from benchmarks.speed.cells import Window
from benchmarks.speed.clock import Clock
from benchmarks.speed.matrix import FULL, QUICK, Stage
from benchmarks.speed.models import make_bert_base, original_labels
from benchmarks.speed.quiet import SECONDS, others_share, warn_if_busy
from benchmarks.speed.rendered import rendered
from benchmarks.speed.servers import prepare
from benchmarks.speed.services import Service, peers, product
from benchmarks.speed.stages import run_stage
from benchmarks.speed.tables import write_tables
from benchmarks.speed.workload import make_workloads
from utils.errors import UsageError, UserError, run_command

PRECISIONS = ("fp32", "int8")

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
    results = {"quick": arguments.quick} | measure(
        QUICK if arguments.quick else FULL,
        QUICK_WINDOW if arguments.quick else FULL_WINDOW,
        arguments.minutes * 60,
        peers_too=not arguments.without_peers,
        only_present=arguments.quick,
        given=_given(arguments.repository),
    )
    if arguments.quick:
        path = CACHE / "speed-quick.json"
        path.write_text(json.dumps({"machine": machine(), **results}, indent=2), encoding="utf-8")
    else:
        write_results("speed", results)
        path = RESULTS / "speed.json"
    print(write_tables(path))


def measure(
    stages: Sequence[Stage],
    window: Window,
    seconds: float,
    peers_too: bool,
    only_present: bool,
    given: dict[str, Path],
) -> dict[str, Any]:
    """All stages.

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
    for name in dict.fromkeys(stage.model for stage in stages):
        model = imdb.model if name == "minilm" else make_bert_base(imdb, CACHE)
        expected[name] = original_labels(model, texts, CACHE)
        services[name], errors = _products(name, model, imdb, given)
        refused |= errors
        services[name] += peers(model, CACHE, only_present) if peers_too else []
        services[name] = [item for item in services[name] if _is_prepared(name, item, refused)]
    everywhere = sorted(os.sched_getaffinity(0))
    print(f"watching the machine for {SECONDS:.0f} s", file=sys.stderr)
    others = others_share(everywhere)
    warn_if_busy(others)
    clock = Clock(seconds, [stage.share for stage in stages])
    done = [
        run_stage(
            stage,
            services[stage.model],
            workloads,
            expected[stage.model],
            everywhere[: stage.cpus or None],
            window,
            clock,
        )
        for stage in stages
    ]
    return {
        "warm-up, s": window.warm_up,
        "window, s": window.seconds,
        "others' share before": round(others, 3),
        "workloads": {name: workload.describe() for name, workload in workloads.items()},
        "not built": refused,
        "stages": done,
    }


def _products(
    name: str, model: Path, imdb: ImdbModel, given: dict[str, Path]
) -> tuple[list[Service], dict[str, str]]:
    """The product in each precision, joined and not, and why one could not be built; fp32 has to be there."""
    services, refused = [], {}
    for precision in PRECISIONS:
        try:
            if name == "minilm":
                repository = given.get(precision) or rendered(model, precision, imdb.samples, CACHE)
            else:
                repository = rendered(model, precision, None, CACHE)
        except UserError as error:
            if precision == PRECISIONS[0]:
                raise
            print(f"warning: {error}", file=sys.stderr)
            refused[f"{name} {precision}"] = str(error)
            continue
        services.append(product(repository, precision))
        services.append(product(repository, precision, separate_steps=True))
    return services, refused


def _is_prepared(model: str, service: Service, refused: dict[str, str]) -> bool:
    """Whether a service has done what it has to before its first start; if not, why."""
    try:
        prepare(service)
    except (UserError, OSError) as error:
        refused[f"{model} {service.name}"] = str(error)
        return False
    return True


def _given(values: Sequence[str]) -> dict[str, Path]:
    pairs = [value.partition("=") for value in values]
    for precision, _, folder in pairs:
        if precision not in PRECISIONS or not Path(folder).is_dir():
            raise UsageError("--repository", f"takes PRECISION=DIR, not '{precision}={folder}'")
    return {precision: Path(folder).absolute() for precision, _, folder in pairs}


if __name__ == "__main__":
    run_command(main)
