"""Which of the waiting texts are run together.

A run of a graph has a cost of its own beside that of its tokens: on a CPU all weights pass
through its caches, on a GPU kernels are started. Together, texts share it; but rows of a batch are
filled up to the longest, and those tokens cost too. So what a run costs is counted in tokens
(`measured_run_cost`), and texts are put together as long as that is cheaper.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

# Of the waiting texts, as many are looked at.
LOOKED_AT = 64

# Of what a further text saves, as much may be spent on padding: what is left is the gain.
SPENT = 0.5

# A run is filled until its own cost is this part of it; more would only make the first ones wait.
SMALL_PART = 0.1

ROUNDS = 5
SECONDS = 0.3


class Item(Protocol):
    """A text that waits.

    Attributes:
        length: its tokens.
        alone: whether it cannot share a run.
    """

    length: int
    alone: bool


SomeItem = TypeVar("SomeItem", bound=Item)


def group(waiting: Sequence[SomeItem], most: int, run_cost: float) -> list[SomeItem]:
    """The text that has waited longest, and those that are run with it.

    Args:
        waiting: at least one, the longest waiting first.
        most: texts in a run.
        run_cost: of a run itself, in tokens.
    """
    first = waiting[0]
    if first.alone or most < 2:
        return [first]
    others = sorted(
        (item for item in waiting[1:LOOKED_AT] if not item.alone),
        key=lambda item: abs(item.length - first.length),
    )
    chosen, longest, tokens = [first], first.length, first.length
    for item in others[: most - 1]:
        size, wider = len(chosen) + 1, max(longest, item.length)
        padding = size * wider - tokens - item.length
        too_much = padding > SPENT * run_cost * (size - 1)
        if too_much or size * wider * SMALL_PART > run_cost:
            break
        chosen.append(item)
        longest, tokens = wider, tokens + item.length
    return chosen


def measured_run_cost(
    run: Callable[[int], object], length: int, clock: Callable[[], float]
) -> float:
    """What a run costs beside its tokens, in tokens.

    Args:
        run: runs a batch of as many texts.
        length: tokens of each.
        clock: in seconds.
    """
    few, many = 1, 4
    alone = shortest_seconds(lambda: run(few), clock)
    together = shortest_seconds(lambda: run(many), clock)
    per_token = (together - alone) / (length * (many - few))
    if per_token <= 0:
        # Tokens cost nothing that a clock shows: a large machine and a small model.
        return float("inf")
    return max(0.0, (alone - per_token * length * few) / per_token)


def shortest_seconds(run: Callable[[], object], clock: Callable[[], float]) -> float:
    """The shortest time of several runs, after one that is not timed."""
    run()
    shortest, begun = float("inf"), clock()
    for _ in range(ROUNDS):
        started = clock()
        run()
        ended = clock()
        shortest = min(shortest, ended - started)
        if ended - begun > SECONDS:
            break
    return shortest
