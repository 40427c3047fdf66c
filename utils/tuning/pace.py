"""How many candidates can be measured in the time there is, and for how long."""

from collections.abc import Sequence
from dataclasses import dataclass

from utils.errors import UserError
from utils.tuning.choice import LEAST_ROUNDS
from utils.tuning.measure import WARM_UP_SHARE

# Of the seconds that count, for one number of clients.
LEAST_SECONDS, MOST_SECONDS = 0.5, 4.0

# On a busy machine a server takes longer to start at another time.
SLACK = 1.3

# Seconds that a server takes to end, and that a turn takes beside its load.
END, AROUND = 2.0, 0.1

# Each client gets that many answers at least.
LEAST_ANSWERS = 2

# Before anybody is given up: a neighbour that was busy during one turn shall not decide.
FULL_ROUNDS = 2


@dataclass(frozen=True)
class Pace:
    """What fits into the time.

    Attributes:
        contenders: how many are measured.
        windows: number of clients to seconds.
    """

    contenders: int
    windows: dict[int, float]


def survivors(count: int) -> int:
    """How many of so many go into the next round; the current settings are one of them."""
    return max(2, 1 + count // 2) if count > 2 else count


def field_sizes(count: int) -> list[int]:
    """How many take part in each round."""
    sizes = [count] * FULL_ROUNDS
    while len(sizes) < LEAST_ROUNDS or sizes[-1] > 2:
        sizes.append(survivors(sizes[-1]))
    return sizes


def make_pace(
    count: int, clients: Sequence[int], rate: float, start: float, once: bool, seconds: float
) -> Pace:
    """How many candidates can be measured in the time, and for how long each.

    Args:
        count: of candidates.
        clients: to measure with.
        rate: texts/s that one client got.
        start: seconds that a server takes to start.
        once: whether each is started once, or for every turn.
        seconds: there are.

    Raises:
        UserError: not even two can be.
    """
    least = {
        number: max(LEAST_SECONDS, LEAST_ANSWERS * number / max(rate, 1e-9)) for number in clients
    }
    turn = (1 + WARM_UP_SHARE) * sum(least.values())
    lacking = 0.0
    for wanted in range(count, 1, -1):
        sizes = field_sizes(wanted)
        # The one that asked alone stands there already.
        starts = start * SLACK * (wanted - 1 if once else sum(sizes))
        ends = END * (len(sizes) if once else sum(sizes))
        measuring = seconds - starts - ends - AROUND * sum(sizes)
        lacking = sum(sizes) * turn - measuring
        if lacking <= 0:
            most = max(1.0, MOST_SECONDS / max(least.values()))
            longer = min(most, measuring / sum(sizes) / turn)
            return Pace(wanted, {number: item * longer for number, item in least.items()})
    raise UserError("--budget-s", f"{lacking:.0f} s more are needed to measure anything here")
