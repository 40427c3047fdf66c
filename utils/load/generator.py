"""The load generator: requests as fast as answers come, or at times that are fixed beforehand.

It shares the cores with the server, so it is one process of its own without threads, sends bytes
that are ready, and leaves the answers to be read after the run. What it costs is in its results.
"""

import gc
import os
import random
import select
import signal
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from time import perf_counter, process_time, sleep

from utils.load.connections import Connections, Log

# Of a server that does not answer any more.
PATIENCE_SECONDS = 60.0

DEFAULT_LIMIT = 512


@dataclass(frozen=True)
class Closed:
    """So many clients, each sends its next request once it has its answer."""

    clients: int


@dataclass(frozen=True)
class Open:
    """Requests at a fixed rate, whether or not earlier ones have been answered.

    Latencies count from the planned time: a server that stalls delays everything that is due
    meanwhile, and a generator that waits for answers would never see it (coordinated omission).

    Attributes:
        rate: requests/s.
        even: evenly spaced; else exponential, as of many users who know nothing of each other.
        limit: most connections; requests beyond it wait, and their latency counts.
        seed: of exponential arrivals.
    """

    rate: float
    even: bool = False
    limit: int = DEFAULT_LIMIT
    seed: int = 0


@dataclass(frozen=True)
class Plan:
    """One run.

    Attributes:
        address: host and port.
        messages: whole requests, sent in turn.
        arrivals: when to send.
        seconds: how long; what is under way then is waited for.
        start: when to begin, on the clock of time.perf_counter, which all processes share.
    """

    address: tuple[str, int]
    messages: Sequence[bytes]
    arrivals: Closed | Open
    seconds: float
    start: float = 0.0


@dataclass(frozen=True)
class Trace:
    """What became of a run.

    Attributes:
        start: when it began, on the clock of time.perf_counter.
        log: all requests.
        connections: that were opened.
        lateness: seconds that each request of an open loop was sent after its time.
        cpu_seconds: the generator's own, user and system.
    """

    start: float
    log: Log
    connections: int
    lateness: list[float]
    cpu_seconds: float


def planned_times(arrivals: Open, seconds: float) -> list[float]:
    """When requests are to be sent, in seconds from the start."""
    if arrivals.even:
        return [number / arrivals.rate for number in range(int(seconds * arrivals.rate))]
    chooser, times, time = random.Random(arrivals.seed), [], 0.0  # noqa: S311
    while (time := time + chooser.expovariate(arrivals.rate)) < seconds:
        times.append(time)
    return times


def run_load(plan: Plan) -> Trace:
    """Run a plan in this process."""
    connections = Connections(plan.address, plan.messages)
    sleep(max(0.0, plan.start - perf_counter()))
    start, cpu = perf_counter(), process_time()
    lateness: list[float] = []
    try:
        if isinstance(plan.arrivals, Closed):
            _closed(connections, plan.arrivals.clients, start + plan.seconds)
        else:
            times = [start + time for time in planned_times(plan.arrivals, plan.seconds)]
            lateness = _open(connections, plan.arrivals.limit, times)
    except ConnectionError:
        # Nobody answers; the log says so.
        pass
    finally:
        cpu = process_time() - cpu
        connections.close()
    return Trace(start, connections.log, connections.opened, lateness, cpu)


def _closed(connections: Connections, clients: int, deadline: float) -> None:
    request = 0
    while (now := perf_counter()) < deadline:
        while connections.under_way < clients:
            connections.send(request, perf_counter())
            request += 1
        connections.wait(deadline - now)
    _drain(connections)


def _open(connections: Connections, limit: int, times: Sequence[float]) -> list[float]:
    request, lateness = 0, []
    # epoll alone rounds timeouts up to whole milliseconds, select does not.
    watched = [connections.epoll.fileno()]
    while request < len(times):
        now = perf_counter()
        while request < len(times) and times[request] <= now and connections.under_way < limit:
            lateness.append(now - times[request])
            connections.send(request, times[request])
            request += 1
            now = perf_counter()
        full = connections.under_way >= limit
        due = PATIENCE_SECONDS if full or request == len(times) else times[request] - now
        if request < len(times) and due > 0:
            ready, _, _ = select.select(watched, [], [], due)
            if not ready and full:
                return lateness
        connections.wait(0)
    _drain(connections)
    return lateness


def _drain(connections: Connections) -> None:
    last = perf_counter()
    while connections.under_way and perf_counter() - last < PATIENCE_SECONDS:
        if connections.wait(1.0):
            last = perf_counter()


def _prepare(cpus: Collection[int]) -> None:
    os.sched_setaffinity(0, cpus)
    # Ctrl-C is for the process that started this one, which then ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()


def _run_and_tidy(plan: Plan) -> Trace:
    gc.collect()
    return run_load(plan)


@contextmanager
def generator(cpus: Collection[int]) -> Iterator[Callable[[Plan], "Future[Trace]"]]:
    """A process on these processors that runs plans, one after the other."""
    with ProcessPoolExecutor(1, get_context("spawn"), _prepare, (cpus,)) as pool:
        yield lambda plan: pool.submit(_run_and_tidy, plan)
