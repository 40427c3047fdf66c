"""NVIDIA's perf_analyzer as a second opinion: `python -m benchmarks.speed.perf_analyzer`.

Measures the product on the MiniLM workload with it and with the benchmark's own generator, in turn
and with the same requests: JSON both ways, all outputs. Writes results/perf_analyzer.json and
renews the documents.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.imdb import CACHE, make_imdb_model
from benchmarks.report import write_results
from benchmarks.speed import perf_table
from benchmarks.speed.answers import counted_latencies
from benchmarks.speed.cells import NOTICE_SECONDS, Generator
from benchmarks.speed.documents import write_blocks
from benchmarks.speed.lineup import PRECISIONS, given_repositories
from benchmarks.speed.perf_program import WINDOWS, ask_perf_analyzer, install, link_libraries
from benchmarks.speed.rendered import rendered
from benchmarks.speed.servers import Server, serving, turn
from benchmarks.speed.services import ask, product
from benchmarks.speed.workload import make_workloads
from utils.embedded_server import server_for_host
from utils.errors import run_command
from utils.load.figures import latencies_ms
from utils.load.generator import Closed, Plan, generator
from utils.targets.profiles import read_profile

ROOT = Path(__file__).resolve().parents[2]

CLIENTS = (1, 8)

WARM_UP_SECONDS = 1.0


def ask_ourselves(
    load: Generator, server: Server, texts: Sequence[str], clients: int, seconds: float
) -> dict[str, float]:
    """Measure with the benchmark's own generator."""
    messages = [ask([text], ()) for text in texts]
    with turn(server):
        begin, length = time.perf_counter() + NOTICE_SECONDS, WARM_UP_SECONDS + seconds
        plan = Plan(server.address, messages, Closed(clients), length, begin)
        trace = load(plan).result()
    start, end = trace.start + WARM_UP_SECONDS, trace.start + length
    latencies = counted_latencies(trace.log, False, start, end)
    figures = {f"{share}, ms": value for share, value in latencies_ms(latencies).items()}
    return {"texts/s": round(len(latencies) / seconds, 2), **figures}


def measure(repositories: dict[str, Path], seconds: float) -> list[dict[str, Any]]:
    """Both generators for each precision, workload and number of clients."""
    workloads, cpus = make_workloads(make_imdb_model(CACHE)), sorted(os.sched_getaffinity(0))
    program, rows = install(ROOT / ".cache"), []
    with ExitStack() as stack:
        libraries = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        link_libraries(server_for_host(ROOT / ".cache", read_profile("cpu")), libraries)
        load = stack.enter_context(generator(cpus))
        for precision, repository in repositories.items():
            server = stack.enter_context(serving(product(repository, precision), cpus))
            for name, workload in workloads.items():
                for clients in CLIENTS:
                    row = {"precision": precision, "workload": name, "clients": clients}
                    own = ask_ourselves(load, server, workload.texts, clients, seconds * WINDOWS)
                    other = ask_perf_analyzer(
                        program, libraries, server, workload.texts, clients, seconds
                    )
                    rows.append(row | {perf_table.OWN: own, perf_table.OTHER: other})
                    print(rows[-1])
    return rows


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.perf_analyzer", description=__doc__
    )
    add = parser.add_argument
    add("--seconds", type=float, default=5.0, help="of each window")
    add(
        "--repository", action="append", default=[], metavar="PRECISION=DIR", help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    given, imdb = given_repositories(arguments.repository), make_imdb_model(CACHE)
    repositories = {
        precision: given.get(precision) or rendered(imdb.model, precision, imdb.samples, CACHE)
        for precision in PRECISIONS
    }
    rows = measure(repositories, arguments.seconds)
    write_results("perf_analyzer", {"window, s": arguments.seconds, "rows": rows})
    write_blocks()


if __name__ == "__main__":
    run_command(main)
