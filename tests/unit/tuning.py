"""Contenders that were measured, without a server."""

from collections.abc import Mapping, Sequence

from utils.tuning.choice import Contender
from utils.tuning.measure import Point
from utils.tuning.settings import Settings

# Of one round: number of clients to texts/s and p95 in ms.
Figures = Mapping[int, tuple[float, float]]


def settings(name: str) -> Settings:
    """Settings that are told apart by their name alone."""
    return Settings(threads=name, parameters=(), together=False, delay=0)


def points(figures: Figures) -> dict[int, Point]:
    """What a turn gives."""
    return {
        clients: Point(rate, {"p50": tail / 2, "p95": tail, "p99": tail * 2})
        for clients, (rate, tail) in figures.items()
    }


def contender(name: str, *rounds: Figures) -> Contender:
    """Measured settings."""
    return Contender(settings(name), [points(figures) for figures in rounds])


def with_rates(name: str, rates: Sequence[float]) -> Contender:
    """Measured with one client, always with the same p95."""
    return contender(name, *({1: (rate, 10.0)} for rate in rates))
