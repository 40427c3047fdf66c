"""What Prometheus is told of the front."""

import re

import pytest

from tests.promtool import assert_passes
from tests.reliability.service import Service
from tests.reliability.wire import ask, message

pytestmark = pytest.mark.reliability

NAME = "front_request_seconds"


def exposition(server: Service) -> str:
    answer = ask(server.metrics_address, message("GET", "/metrics"))
    assert answer is not None and answer.status == 200
    return answer.body.decode()


def of_route(text: str, route: str) -> dict[str, float]:
    """Values of the front's metrics that have this route, by what stands before them."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if f'route="{route}"' in line]
    return {name: float(value) for name, value in lines}


def buckets(text: str, route: str) -> list[tuple[float, float]]:
    """Upper bounds and how many requests were within them."""
    found = re.findall(rf'{NAME}_bucket{{route="{route}",le="([^"]+)"}} (\d+)', text)
    return [(float(bound), float(count)) for bound, count in found]


def test_prometheus_understands_them(server: Service) -> None:
    server.classify(text="ok")
    server.classify(text=1)
    text = exposition(server)
    front = "".join(line + "\n" for line in text.splitlines() if "front_" in line)
    assert_passes("check", "metrics", given=front)


def test_requests_are_counted_by_route_and_status(server: Service) -> None:
    before = of_route(exposition(server), "classify")
    for _ in range(5):
        assert server.classify(text="ok").status == 200
    assert server.classify(text=1).status == 400
    after = of_route(exposition(server), "classify")
    for status, more in (("200", 5), ("400", 1)):
        name = f'front_requests_total{{route="classify",code="{status}"}}'
        assert after[name] - before.get(name, 0) == more


def test_times_are_a_histogram_of_all_requests(server: Service) -> None:
    before = of_route(exposition(server), "infer")
    # nginx counts whole milliseconds, and a short text may take less than one.
    text = "the lazy dog " * 10_000
    for _ in range(5):
        assert server.infer([text]).status == 200
    text = exposition(server)
    after, counts = of_route(text, "infer"), [count for _, count in buckets(text, "infer")]
    assert [bound for bound, _ in buckets(text, "infer")] == [
        *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, float("inf"))
    ]
    assert counts == sorted(counts)
    name = f'{NAME}_count{{route="infer"}}'
    assert counts[-1] == after[name] == before.get(name, 0) + 5
    requests = sum(value for key, value in after.items() if key.startswith("front_requests_total"))
    assert requests == after[name]
    # None of them takes as long as a second.
    seconds = f'{NAME}_sum{{route="infer"}}'
    assert 0.0 < after[seconds] - before.get(seconds, 0.0) < 5
