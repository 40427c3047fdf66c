"""backends/classifier/grouping.py: which texts share a run, and what a run costs."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from grouping import LOOKED_AT, group, measured_run_cost
from hypothesis import given
from hypothesis import strategies as st

INFINITE = float("inf")


@dataclass(eq=False)
class Waiting:
    """A text that waits."""

    length: int
    alone: bool = False


def waiting(*lengths: int) -> list[Waiting]:
    """Texts of these lengths, the longest waiting first."""
    return [Waiting(length) for length in lengths]


def lengths(texts: list[Waiting]) -> list[int]:
    """Of each text."""
    return [text.length for text in texts]


TEXTS = st.lists(
    st.builds(Waiting, st.integers(1, 512), st.integers(0, 9).map(lambda number: number == 0)),
    min_size=1,
    max_size=100,
)
MOST = st.integers(1, 80)
COSTS = st.floats(0, 3000) | st.just(INFINITE)


@given(texts=TEXTS, most=MOST, cost=COSTS)
def test_the_text_that_has_waited_longest_is_always_in_the_group(
    texts: list[Waiting], most: int, cost: float
) -> None:
    assert group(texts, most, cost)[0] is texts[0]


@given(texts=TEXTS, most=MOST, cost=COSTS)
def test_a_group_is_of_waiting_texts_each_once_and_no_more_than_the_most(
    texts: list[Waiting], most: int, cost: float
) -> None:
    chosen = group(texts, most, cost)
    assert len(set(map(id, chosen))) == len(chosen) <= most
    assert set(map(id, chosen)) <= set(map(id, texts))


@given(texts=TEXTS, most=MOST, cost=COSTS)
def test_a_group_pays_no_more_padding_than_half_of_what_it_saves(
    texts: list[Waiting], most: int, cost: float
) -> None:
    sizes = lengths(group(texts, most, cost))
    padding = len(sizes) * max(sizes) - sum(sizes)
    # One run costs anyhow; of nothing saved, half of infinity is no number.
    assert padding == 0 or padding <= 0.5 * cost * (len(sizes) - 1)


@given(texts=TEXTS, most=MOST, cost=COSTS)
def test_a_text_that_cannot_share_a_run_is_alone(
    texts: list[Waiting], most: int, cost: float
) -> None:
    chosen = group(texts, most, cost)
    assert len(chosen) == 1 or not any(text.alone for text in chosen)


@given(count=st.integers(1, 100), length=st.integers(1, 512), most=MOST)
def test_texts_of_one_length_go_together_up_to_the_most(count: int, length: int, most: int) -> None:
    assert len(group(waiting(*[length] * count), most, INFINITE)) == min(count, most, LOOKED_AT)


def test_half_of_what_a_text_saves_is_spent_and_not_a_token_more() -> None:
    assert lengths(group(waiting(100, 150), 8, 100)) == [100, 150]
    assert lengths(group(waiting(100, 151), 8, 100)) == [100]


def test_a_long_text_that_waits_first_takes_shorter_ones_along() -> None:
    assert lengths(group(waiting(150, 100), 8, 100)) == [150, 100]


def test_the_texts_that_are_nearest_in_length_are_taken() -> None:
    assert lengths(group(waiting(50, 90, 52, 10, 49), 3, INFINITE)) == [50, 49, 52]


def test_of_equally_near_texts_the_longer_waiting_are_taken() -> None:
    texts = waiting(50, 50, 50)
    assert group(texts, 2, INFINITE) == texts[:2]


def test_where_a_run_costs_nothing_texts_stay_apart() -> None:
    assert len(group(waiting(100, 100), 8, 0)) == 1


def test_a_run_is_filled_until_its_own_cost_is_a_tenth_of_it() -> None:
    assert len(group(waiting(*[100] * 30), 64, 100)) == 10


def test_one_text_a_run_is_what_it_says() -> None:
    assert len(group(waiting(5, 5), 1, INFINITE)) == 1


class Machine:
    """Runs that take time by a clock of their own only.

    Args:
        seconds: of a run, by its texts and how many runs of as many there have been before.
    """

    def __init__(self, seconds: Callable[[int, int], float]) -> None:
        self._seconds = seconds
        self._now = 0.0
        self.runs: list[int] = []

    def run(self, count: int) -> None:
        """A run."""
        self._now += self._seconds(count, self.runs.count(count))
        self.runs.append(count)

    def clock(self) -> float:
        """Seconds."""
        return self._now

    def cost(self, length: int) -> float:
        """What is measured."""
        return measured_run_cost(self.run, length, self.clock)


@given(cost=st.floats(0, 1000), length=st.integers(1, 512))
def test_what_a_run_costs_in_tokens_is_found_out(cost: float, length: int) -> None:
    machine = Machine(lambda count, _: 1e-3 * (cost + count * length))
    assert machine.cost(length) == pytest.approx(cost, rel=1e-3, abs=1e-2)


def test_first_runs_which_are_slow_are_not_measured() -> None:
    machine = Machine(lambda count, before: 1e-3 * (8 + 20 * count) if before else 100.0)
    assert machine.cost(20) == pytest.approx(8)


def test_a_run_that_something_disturbed_does_not_count() -> None:
    machine = Machine(lambda count, before: 1e-3 * (8 + 20 * count + (50 if before % 2 else 0)))
    assert machine.cost(20) == pytest.approx(8)


def test_a_slow_graph_is_not_measured_for_long() -> None:
    machine = Machine(lambda count, _: 8.0 + 20 * count)
    assert machine.cost(20) == pytest.approx(8)
    assert len(machine.runs) == 4


def test_where_tokens_cost_nothing_a_run_costs_more_than_any_number_of_them() -> None:
    assert Machine(lambda *_: 1e-3).cost(20) == INFINITE


def test_a_run_never_costs_less_than_nothing() -> None:
    # As caches may make it: four texts take more than four times as long as one.
    assert Machine(lambda count, _: 1e-3 * count**2).cost(20) == 0
