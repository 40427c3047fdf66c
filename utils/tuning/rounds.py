"""All candidates in turn, several times, the worse half given up each time (successive halving)."""

import time
from collections.abc import Callable, Mapping, Sequence

from utils.errors import UserError
from utils.tuning.choice import LEAST_ROUNDS, Contender
from utils.tuning.measure import WARM_UP_SHARE, Turn
from utils.tuning.pace import FULL_ROUNDS, Pace, survivors
from utils.tuning.settings import Settings
from utils.tuning.texts import Answers

MOST_ROUNDS = 7

# Why a candidate was not measured, or no further.
NO_TIME, GIVEN_UP = "no time", "given up"

Measure = Callable[[Settings, Mapping[int, float]], Turn]


def run_rounds(
    contenders: Sequence[Contender],
    pace: Pace,
    answers: Answers,
    budget: float | None,
    measure: Measure,
    retire: Callable[[list[Settings]], None],
    deadline: float,
    tell: Callable[[str], None],
) -> None:
    """Measure, until two are left and the time is up; contenders have their rounds afterwards.

    Args:
        contenders: the current settings first.
        pace: of make_pace.
        answers: of the current settings; learns more of them.
        budget: ms that p95 may take; None for any.
        measure: runs one turn.
        retire: is told whose turn will not come again.
        deadline: on the clock of time.monotonic.
        tell: what is done now.
    """
    left = list(contenders[: pace.contenders])
    for other in contenders[pace.contenders :]:
        other.out = NO_TIME
    last, turn = 0.0, sum(pace.windows.values()) * (1 + WARM_UP_SHARE)
    for number in range(1, MOST_ROUNDS + 1):
        begun = time.monotonic()
        # After the least there is, a round is begun only if it will end in time.
        if number > LEAST_ROUNDS and len(left) <= 2 and begun + last > deadline:
            return
        for place, contender in enumerate(left, start=1):
            if number > 1 and time.monotonic() + turn > deadline:
                _forget_round(left, number)
                return
            tell(f"round {number}, {place} of {len(left)}: {contender.settings.name}")
            _take_turn(contender, contender is contenders[0], answers, pace, measure)
        last = time.monotonic() - begun
        there, left = left, _left(left, number >= FULL_ROUNDS, budget)
        retire([contender.settings for contender in there if contender not in left])
        if len(left) < 2:
            return


def _forget_round(left: Sequence[Contender], number: int) -> None:
    """A round that not all took part in compares nothing."""
    for contender in left:
        del contender.rounds[number - 1 :]


def _take_turn(
    contender: Contender, is_current: bool, answers: Answers, pace: Pace, measure: Measure
) -> None:
    try:
        turn = measure(contender.settings, pace.windows)
    except UserError as error:
        if is_current:
            raise
        contender.out = f"does not start: {error}"
        return
    contender.rounds.append(turn.points)
    if is_current:
        answers.learn(turn.labels)
    if turn.failures:
        contender.out = f"{turn.failures} requests without an answer"
    elif changed := answers.changed(turn.labels):
        contender.out = f"{changed} other labels"
    if is_current and contender.out:
        raise UserError("the current settings", contender.out, "tune a repository that answers")


def _left(left: Sequence[Contender], halve: bool, budget: float | None) -> list[Contender]:
    """Those of the next round, the current settings first."""
    there = [contender for contender in left if not contender.out]
    others = sorted(there[1:], key=lambda item: item.best(budget).rank(), reverse=True)
    keep = survivors(len(left)) - 1 if halve else len(others)
    for loser in others[keep:]:
        loser.out = GIVEN_UP
    return [item for item in there if item not in others[keep:]]
