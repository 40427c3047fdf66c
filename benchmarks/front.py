"""What the front costs: the server alone and behind its front, in turn.

    python -m benchmarks.front

Needs nginx with Lua on this machine (apt-get install nginx libnginx-mod-http-lua lua-cjson). Short
texts in int8, where a request costs the least. Writes results/front.json and the table in
docs/reliability.md.
"""

import os
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):
    sys.path[0] = str(ROOT)

from benchmarks.imdb import CACHE, make_imdb_model
from benchmarks.report import markdown_table, replace_block, write_results
from benchmarks.speed.cells import Generator, Observation, Window, observe_server
from benchmarks.speed.rendered import rendered
from benchmarks.speed.servers import Server, serving
from benchmarks.speed.services import Service, product
from benchmarks.speed.workload import make_workloads
from utils.embedded_server import server_for_host
from utils.errors import run_command
from utils.free_ports import free_ports
from utils.load.figures import quantile
from utils.load.generator import Closed, Open, generator
from utils.targets.profiles import read_profile

ALONE, BEHIND = "alone", "behind the front"
LOADS: dict[str, Closed | Open] = {
    "1 client": Closed(1),
    "8 clients": Closed(8),
    "800 requests/s": Open(800, even=True),
}
ROUNDS = 7
WINDOW = Window(warm_up=0.5, seconds=2.0)


def services(repository: Path) -> dict[str, Service]:
    """The same server without and with a front."""
    # Of the front nobody gets Triton's statistics.
    alone = replace(product(repository, "int8"), repository=None)
    tree = server_for_host(CACHE.parent, read_profile("cpu"))

    def behind(port: int) -> list[str]:
        (metrics,) = free_ports(1)
        return [
            *("env", "FRONT=on", f"HTTP_PORT={port}", f"METRICS_PORT={metrics}"),
            *(f"MODEL_REPOSITORY={repository}", str(tree / "bin" / "serve")),
        ]

    return {ALONE: alone, BEHIND: replace(alone, name="product_front", command=behind)}


def figures(observations: Sequence[Observation]) -> dict[str, float]:
    """Medians over rounds: requests/s, p50 in ms, CPU milliseconds of the server a request."""
    return {
        "requests/s": statistics.median(each.rate for each in observations),
        "p50, ms": statistics.median(quantile(each.latencies, 0.5) * 1e3 for each in observations),
        "p99, ms": statistics.median(quantile(each.latencies, 0.99) * 1e3 for each in observations),
        "CPU ms a request": statistics.median(each.server_cpu for each in observations),
        "failures": float(sum(each.failures for each in observations)),
    }


def measure() -> dict[str, dict[str, dict[str, float]]]:
    """By load and server."""
    imdb = make_imdb_model(CACHE)
    texts = make_workloads(imdb)["short"].texts
    # Who answers rightly is another benchmark's question.
    unlabelled = dict.fromkeys(texts, "")
    repository = rendered(imdb.model, "int8", imdb.samples, CACHE)
    cpus = sorted(os.sched_getaffinity(0))
    seen: dict[str, dict[str, list[Observation]]] = {name: {} for name in LOADS}
    with ExitStack() as stack:
        load: Generator = stack.enter_context(generator(cpus))
        servers: dict[str, Server] = {
            name: stack.enter_context(serving(service, cpus))
            for name, service in services(repository).items()
        }
        for number in range(ROUNDS):
            for name, arrivals in LOADS.items():
                for who in (ALONE, BEHIND) if number % 2 else (BEHIND, ALONE):
                    observation = observe_server(
                        servers[who], load, texts, unlabelled, arrivals, WINDOW, cpus
                    )
                    seen[name].setdefault(who, []).append(observation)
    return {
        name: {who: figures(observations) for who, observations in by_server.items()}
        for name, by_server in seen.items()
    }


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """A row for each load and server."""
    rows = []
    for load, by_server in results.items():
        for who in (ALONE, BEHIND):
            values = by_server[who]
            rows.append(
                [
                    f"{load}, {who}",
                    f"{values['requests/s']:.0f}",
                    f"{values['p50, ms']:.2f}",
                    f"{values['p99, ms']:.2f}",
                    f"{values['CPU ms a request']:.2f}",
                ]
            )
    return markdown_table(["", "requests/s", "p50, ms", "p99, ms", "CPU ms a request"], rows)


def main() -> None:
    """Measure, write, show."""
    results = measure()
    write_results("front", {"loads": results})
    replace_block(ROOT / "docs" / "reliability.md", "front", table(results))
    print(table(results))


if __name__ == "__main__":
    run_command(main)
