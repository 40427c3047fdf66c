"""Statistics of what was measured."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Spread:
    """Of a figure over rounds."""

    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def quantile(values: Sequence[float], share: float) -> float:
    """The least value that at least this share of the values does not exceed (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    # Rounded first: 0.07 * 100 is 7.000000000000001.
    rank = -int(-round(share * len(ordered), 9) // 1)
    return ordered[max(rank, 1) - 1]


def latencies_ms(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds; nothing for nothing."""
    if not seconds:
        return {}
    return {f"p{share * 100:g}": round(quantile(seconds, share) * 1000, 3) for share in QUANTILES}
