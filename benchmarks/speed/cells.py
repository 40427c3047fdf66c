"""One cell: one contender, one load, a warm-up that is thrown away and a window that counts."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain

from benchmarks.speed import processes
from benchmarks.speed.answers import counted_latencies, read_labels
from benchmarks.speed.limit import Limit
from benchmarks.speed.servers import Server, get, turn
from benchmarks.speed.steps import Totals, between, read_totals
from utils.load.figures import quantile
from utils.load.generator import Closed, Open, Plan, Trace, planned_times

Generator = Callable[[Plan], "Future[Trace]"]

# Until all processes have heard of the start.
NOTICE_SECONDS = 0.1


@dataclass(frozen=True)
class Window:
    """The warm-up before, and the seconds that count."""

    warm_up: float
    seconds: float


@dataclass(frozen=True)
class Observation:
    """What a cell gave in one round.

    Attributes:
        rate: texts answered in a second of the window.
        latencies: seconds; of a closed loop what was answered in the window, of an open loop
            what was due in it, however late the answer.
        answers: with status 200, within TIMEOUT_SECONDS.
        failures: all others, and what an open loop could not send any more.
        labels: number of a text to whether its label was the original's, of all answers.
        server_cpu: seconds of the contender's processes for each 1,000 texts.
        others: share of the processors' time in the window that went to whoever else is there.
        client_cpu: microseconds of the generator for each request.
        lateness: p99 of the seconds that an open loop's requests were sent after their time.
        steps: Triton's statistics.
    """

    rate: float
    latencies: list[float]
    answers: int
    failures: int
    labels: dict[int, bool]
    server_cpu: float
    others: float = 0.0
    client_cpu: float = 0.0
    lateness: float = 0.0
    steps: Totals = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """Of the clocks: time.perf_counter, a contender's processors' seconds, and everybody's."""

    time: float
    own: float
    busy: float


def observe_server(
    server: Server,
    generator: Generator,
    texts: Sequence[str],
    expected: Mapping[str, str],
    arrivals: Closed | Open,
    window: Window,
    cpus: Sequence[int],
    texts_a_request: int = 1,
) -> Observation:
    """Measure a server in its turn."""
    firsts = range(0, len(texts) - texts_a_request + 1, texts_a_request)
    messages = [server.service.message(texts[at : at + texts_a_request]) for at in firsts]
    with turn(server):
        totals = _totals(server)
        begin = time.perf_counter() + NOTICE_SECONDS
        length = window.warm_up + window.seconds
        future = generator(Plan(server.address, messages, arrivals, length, begin))
        time.sleep(max(0.0, begin + window.warm_up - time.perf_counter()))
        first = _reading(server.pid, cpus)
        time.sleep(max(0.0, begin + length - time.perf_counter()))
        last = _reading(server.pid, cpus)
        trace = future.result()
        steps = between(totals, _totals(server))
    log, (start, end) = trace.log, (trace.start + window.warm_up, trace.start + length)
    done = sum(start <= ended <= end for ended in log.ended) * texts_a_request
    # On a busy machine the readings come late, and so do not hold for the window.
    read = sum(first.time <= ended <= last.time for ended in log.ended) * texts_a_request
    own = last.own - first.own
    generated = trace.cpu_seconds / length * (last.time - first.time)
    total = (last.time - first.time) * len(cpus)
    labels, failures = read_labels(server, log, [texts[at] for at in firsts], expected)
    planned = planned_times(arrivals, length) if isinstance(arrivals, Open) else []
    unsent = max(0, len(planned) - len(log.requests))
    return Observation(
        rate=done / window.seconds,
        latencies=counted_latencies(log, isinstance(arrivals, Open), start, end),
        answers=len(log.requests) - failures,
        failures=failures + unsent,
        labels={firsts[number]: right for number, right in labels.items()},
        server_cpu=own / read * 1000 if read else 0.0,
        others=max(0.0, last.busy - first.busy - own - generated) / total,
        client_cpu=trace.cpu_seconds / max(1, len(log.requests)) * 1e6,
        lateness=quantile(trace.lateness, 0.99) if trace.lateness else 0.0,
        steps=steps,
    )


def observe_limit(
    limit: Limit,
    names: Sequence[str],
    texts: Sequence[str],
    expected: Mapping[str, str],
    clients: int,
    window: Window,
    cpus: Sequence[int],
) -> Observation:
    """Measure the limit: a process for each client, as many as there are processors at most."""
    begin = time.perf_counter() + NOTICE_SECONDS
    length = window.warm_up + window.seconds
    futures = limit.begin(texts, min(clients, limit.processes), begin, length)
    time.sleep(max(0.0, begin - time.perf_counter()))
    busy, since = processes.busy_seconds(cpus), time.perf_counter()
    shares = [future.result() for future in futures]
    busy, total = processes.busy_seconds(cpus) - busy, (time.perf_counter() - since) * len(cpus)
    own = sum(share.cpu_seconds for share in shares)
    start, end = begin + window.warm_up, begin + length
    logs = [share.log for share in shares]
    answers = sum(len(log.requests) for log in logs)
    done = sum(start <= ended <= end for log in logs for ended in log.ended)
    labels = {
        number % len(texts): names[int(body)] == expected[texts[number % len(texts)]]
        for log in logs
        for number, body in zip(log.requests, log.bodies, strict=True)
    }
    return Observation(
        rate=done / window.seconds,
        latencies=list(chain(*(counted_latencies(log, False, start, end) for log in logs))),
        answers=answers,
        failures=0,
        labels=labels,
        server_cpu=own / max(1, answers) * 1000,
        others=max(0.0, busy - own) / total,
    )


def _reading(pid: int, cpus: Sequence[int]) -> Reading:
    own, busy = processes.cpu_seconds(pid), processes.busy_seconds(cpus)
    return Reading(time.perf_counter(), own, busy)


def _totals(server: Server) -> Totals:
    if server.service.repository is None:
        return {}
    return read_totals(get(server.port, "/v2/models/stats")[1])
