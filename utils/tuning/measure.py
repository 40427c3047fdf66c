"""One turn of one candidate: some clients ask its server."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from utils.load.connections import Log
from utils.load.figures import latencies_ms
from utils.load.generator import Closed, Open, Plan, Trace
from utils.samples import Example
from utils.tuning.pool import Pool
from utils.tuning.settings import Settings
from utils.tuning.texts import OK, ask_alone, messages, read_labels

Generator = Callable[[Plan], "Future[Trace]"]

# Of a window, before what counts.
WARM_UP_SHARE = 0.25


@dataclass(frozen=True)
class Point:
    """What so many clients got in one round.

    Attributes:
        rate: texts/s.
        latencies: p50, p95 and p99 in ms.
    """

    rate: float
    latencies: dict[str, float]


@dataclass
class Turn:
    """What one turn gave.

    Attributes:
        points: by number of clients.
        labels: what was answered to each text, by its number.
        failures: requests without an answer.
    """

    points: dict[int, Point] = field(default_factory=dict)
    labels: dict[int, set[str]] = field(default_factory=dict)
    failures: int = 0

    def count(self, log: Log, texts: int) -> None:
        """Read a log's answers."""
        labels, failures = read_labels(log.requests, log.statuses, log.bodies, texts)
        self.failures += failures
        for number, found in labels.items():
            self.labels.setdefault(number, set()).update(found)


@dataclass(frozen=True)
class Bench:
    """What all turns share.

    Attributes:
        pool: of servers.
        model: name of the ensemble.
        texts: one a request.
        generator: runs loads.
    """

    pool: Pool
    model: str
    texts: Sequence[Example]
    generator: Generator

    def alone(self, settings: Settings) -> tuple[dict[int, set[str]], float]:
        """What is answered to each text while nobody else asks, and in how many seconds."""
        with self.pool.turn(settings) as address:
            begun = time.monotonic()
            labels = ask_alone(address, self.model, self.texts)
            return labels, time.monotonic() - begun

    def closed(self, settings: Settings, windows: Mapping[int, float]) -> Turn:
        """So many clients, each for so many seconds that count.

        Raises:
            UserError: the server does not start.
        """
        turn = Turn()
        with self.pool.turn(settings) as address:
            for clients, seconds in windows.items():
                warm_up = seconds * WARM_UP_SHARE
                trace = self._run(address, Closed(clients), warm_up + seconds)
                turn.points[clients] = _counted(trace, warm_up, seconds)
                turn.count(trace.log, len(self.texts))
        return turn

    def open(self, settings: Settings, rate: float, seconds: float) -> tuple[Turn, Point]:
        """Requests at random times, whether earlier ones have been answered or not.

        Raises:
            UserError: the server does not start.
        """
        turn = Turn()
        with self.pool.turn(settings) as address:
            trace = self._run(address, Open(rate), seconds)
        turn.count(trace.log, len(self.texts))
        return turn, Point(len(trace.log.requests) / seconds, _latencies(trace.log, trace.start))

    def _run(self, address: tuple[str, int], arrivals: Closed | Open, seconds: float) -> Trace:
        requests = messages(self.texts, self.model)
        return self.generator(Plan(address, requests, arrivals, seconds)).result()


def _counted(trace: Trace, warm_up: float, seconds: float) -> Point:
    start = trace.start + warm_up
    done = sum(
        start <= ended < start + seconds and status == OK
        for ended, status in zip(trace.log.ended, trace.log.statuses, strict=True)
    )
    return Point(done / seconds, _latencies(trace.log, start))


def _latencies(log: Log, since: float) -> dict[str, float]:
    return latencies_ms(
        [
            latency
            for latency, ended, status in zip(log.latencies, log.ended, log.statuses, strict=True)
            if status == OK and ended >= since
        ]
    )
