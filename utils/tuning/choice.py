"""Which settings are taken, of those that were measured."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from utils.tuning.measure import Point
from utils.tuning.settings import Settings

TAIL = "p95"

# Less is not worth a change, however surely it is there.
LEAST_GAIN = 0.02

# Fewer have no spread to speak of.
LEAST_ROUNDS = 3


@dataclass
class Contender:
    """Settings and what they gave.

    Attributes:
        settings: what was tried.
        rounds: by number of clients, one for each round that it took part in.
        out: why it cannot be taken; "" for nothing.
    """

    settings: Settings
    rounds: list[dict[int, Point]] = field(default_factory=list)
    out: str = ""

    def rate(self, clients: int) -> float:
        """Texts/s, the median over rounds."""
        return statistics.median(points[clients].rate for points in self.rounds)

    def tail(self, clients: int) -> float:
        """p95 in ms, the median over rounds."""
        return statistics.median(
            points[clients].latencies.get(TAIL, float("inf")) for points in self.rounds
        )

    def best(self, budget: float | None) -> "Score":
        """Its best point: the highest rate within the budget, else the lowest p95.

        Args:
            budget: ms that p95 may take; None for any.
        """
        scores = [
            Score(
                budget is None or self.tail(clients) <= budget,
                self.rate(clients),
                self.tail(clients),
                clients,
            )
            for clients in self.rounds[0]
        ]
        return max(scores, key=Score.rank)


@dataclass(frozen=True)
class Score:
    """A point of a contender.

    Attributes:
        within: whether it keeps the latency budget.
        rate: texts/s.
        tail: p95 in ms.
        clients: how many asked.
    """

    within: bool
    rate: float
    tail: float
    clients: int

    def rank(self) -> tuple[bool, float]:
        """Greater is better."""
        return self.within, self.rate if self.within else -self.tail


@dataclass(frozen=True)
class Choice:
    """What is taken and why.

    Attributes:
        contender: the settings.
        score: its point.
        gain: over the current settings in rate, or in p95 where the budget cannot be kept; 0 if
            they are the ones.
        spread: of that over rounds.
        reason: in words.
    """

    contender: Contender
    score: Score
    gain: float
    spread: float
    reason: str


def choose(contenders: Sequence[Contender], budget: float | None) -> Choice:
    """The best; the current settings unless others are better by more than rounds differ.

    Args:
        contenders: measured, the current settings first.
        budget: ms that p95 may take; None for any.
    """
    now = contenders[0]
    # What was given up early has been compared once or twice only.
    left = [item for item in contenders if not item.out and len(item.rounds) == len(now.rounds)]
    best = max(left, key=lambda item: item.best(budget).rank())
    score, old = best.best(budget), now.best(budget)
    within = f" with p95 within {budget:g} ms" if budget is not None else ""
    what = f"the highest rate{within}"
    if not score.within:
        what = f"the lowest p95; no settings keep it within {budget:g} ms"
    if best is now:
        return Choice(now, old, 0.0, 0.0, f"{what}: the current settings")
    gains = _gains(best, now, budget)
    gain = statistics.median(gains)
    spread = 2 * statistics.median(abs(value - gain) for value in gains)
    figures = f"{gain:+.0%} in {len(gains)} rounds, spread {spread:.0%}"
    if len(gains) < LEAST_ROUNDS:
        figures += "; more rounds need a longer --budget-s"
    if score.within and not old.within:
        return Choice(best, score, gain, spread, f"{what}, which the current settings do not keep")
    if len(gains) >= LEAST_ROUNDS and gain > max(spread, LEAST_GAIN):
        return Choice(best, score, gain, spread, f"{what}: {figures}")
    return Choice(
        now,
        old,
        0.0,
        spread,
        f"the current settings: none is surely better ({best.settings.name}: {figures})"
        + ("" if old.within else f"; p95 is not within {budget:g} ms with any"),
    )


def _gains(best: Contender, now: Contender, budget: float | None) -> list[float]:
    """Of each round: what disturbs the machine for long disturbs both."""
    new, old = best.best(budget), now.best(budget)
    pairs = list(zip(best.rounds, now.rounds, strict=True))
    if new.within:
        return [one[new.clients].rate / max(two[old.clients].rate, 1e-9) - 1 for one, two in pairs]
    return [
        two[old.clients].latencies.get(TAIL, new.tail)
        / one[new.clients].latencies.get(TAIL, new.tail)
        - 1
        for one, two in pairs
    ]
