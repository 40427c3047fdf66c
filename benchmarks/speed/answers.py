"""What answers say: how long they took, and whether they are right."""

import json
from collections.abc import Mapping, Sequence

from benchmarks.speed.limit import OK
from benchmarks.speed.servers import Server
from utils.load.connections import Log

# Of an answer: whoever waits for one longer has gone.
TIMEOUT_SECONDS = 30.0


def counted_latencies(log: Log, planned: bool, start: float, end: float) -> list[float]:
    """Latencies of answers between start and end, or, with `planned`, to what was due then."""
    return [
        latency
        for latency, ended, status in zip(log.latencies, log.ended, log.statuses, strict=True)
        if status == OK and start <= (ended - latency if planned else ended) <= end
    ]


def read_labels(
    server: Server, log: Log, texts: Sequence[str], expected: Mapping[str, str]
) -> tuple[dict[int, bool], int]:
    """Number of a text to whether all answers to it had the expected label; and failures."""
    labels: dict[int, bool] = {}
    failures = 0
    answers = zip(log.requests, log.statuses, log.latencies, log.bodies, strict=True)
    for request, status, latency, body in answers:
        number = request % len(texts)
        answered = status == OK and latency <= TIMEOUT_SECONDS
        try:
            label = server.service.label(json.loads(body)) if answered else None
        except (ValueError, LookupError, TypeError):
            label = None
        if label is None:
            failures += 1
        else:
            labels[number] = labels.get(number, True) and label == expected[texts[number]]
    return labels, failures
