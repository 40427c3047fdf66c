"""utils/verify_answers.py."""

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils import verify_answers
from utils.artifacts import Answer
from utils.errors import UserError
from utils.inference import Prediction, Server
from utils.verify_answers import SCORE_TOLERANCE, batches, check_answer, verify, wait_until_ready

EXPECTED = Answer("a text", ["good", "bad", "spam"], [0.7, 0.2, 0.1])


def answers(count: int) -> list[Answer]:
    """Texts with the same answer."""
    return [Answer(f"text {number}", EXPECTED.labels, EXPECTED.scores) for number in range(count)]


def predicted(labels: Sequence[str], scores: Sequence[float]) -> Prediction:
    """A consistent answer of a server."""
    return Prediction(labels[0], list(labels), list(scores))


def refusal(expected: Answer, got: Prediction) -> str:
    """The error that check_answer ends with."""
    with pytest.raises(UserError) as caught:
        check_answer(expected, got)
    return str(caught.value)


class FakeServer:
    """Answers every text alike, and keeps what it was asked."""

    protocol = "http"
    address = "localhost:1"

    def __init__(self, largest: int, prediction: Prediction, ready_after: int = 0) -> None:
        self.largest = largest
        self.prediction = prediction
        self.ready_after = ready_after
        self.requests: list[list[str]] = []

    def ready(self, model: str) -> bool:
        """Ready from the given question on."""
        assert model == "cls"
        self.ready_after -= 1
        return self.ready_after < 0

    def max_batch_size(self, model: str) -> int:
        """As configured."""
        assert model == "cls"
        return self.largest

    def classify(self, model: str, texts: Sequence[str]) -> list[Prediction]:
        """The same answer to each."""
        assert model == "cls"
        self.requests.append(list(texts))
        return [self.prediction for _ in texts]

    def typed(self) -> Server:
        """As what verify takes."""
        return cast(Server, cast(Any, self))


RIGHT = predicted(EXPECTED.labels, EXPECTED.scores)


def test_the_same_answer_is_accepted() -> None:
    check_answer(EXPECTED, RIGHT)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_score_within_the_tolerance_is_accepted(sign: int) -> None:
    scores = [0.7 + sign * 0.9 * SCORE_TOLERANCE, 0.2, 0.1]
    check_answer(EXPECTED, predicted(EXPECTED.labels, scores))


@pytest.mark.parametrize("rank", range(3))
@pytest.mark.parametrize("sign", [1, -1])
def test_a_score_beyond_the_tolerance_is_refused_naming_text_label_and_both(
    rank: int, sign: int
) -> None:
    scores = list(EXPECTED.scores)
    scores[rank] += sign * 1.1 * SCORE_TOLERANCE
    message = refusal(EXPECTED, predicted(EXPECTED.labels, scores))
    assert message.startswith("text 'a text': ")
    assert f"{EXPECTED.labels[rank]!r} scored {scores[rank]:.6f}" in message
    assert f"the original {EXPECTED.scores[rank]:.6f}" in message


def test_another_predicted_label_is_refused_naming_both() -> None:
    got = Prediction("bad", EXPECTED.labels, EXPECTED.scores)
    assert refusal(EXPECTED, got) == "text 'a text': answered 'bad', the original 'good'"


def test_another_first_label_is_refused_even_when_the_prediction_is_right() -> None:
    got = Prediction("good", ["bad", "good", "spam"], EXPECTED.scores)
    assert "the original 'good'" in refusal(EXPECTED, got)


def test_scores_that_are_not_sorted_are_refused() -> None:
    got = predicted(["good", "spam", "bad"], [0.7, 0.1, 0.2])
    assert "not sorted" in refusal(EXPECTED, got)


def test_a_missing_label_is_refused() -> None:
    got = predicted(["good", "bad"], [0.7, 0.2])
    assert "the original has" in refusal(EXPECTED, got)


def test_an_unknown_label_is_refused() -> None:
    got = predicted(["good", "bad", "other"], [0.7, 0.2, 0.1])
    assert "'other'" in refusal(EXPECTED, got)


def test_a_label_given_twice_is_refused() -> None:
    got = predicted(["good", "bad", "bad"], [0.7, 0.2, 0.1])
    assert "the original has" in refusal(EXPECTED, got)


def test_near_ties_below_the_first_place_may_change_places() -> None:
    expected = Answer("t", ["good", "bad", "spam"], [0.7, 0.15005, 0.14995])
    check_answer(expected, predicted(["good", "spam", "bad"], [0.7, 0.15001, 0.15]))


def test_labels_below_the_first_place_that_are_no_near_ties_may_not_change_places() -> None:
    expected = Answer("t", ["good", "bad", "spam"], [0.7, 0.1503, 0.1497])
    assert "scored" in refusal(expected, predicted(["good", "spam", "bad"], [0.7, 0.15, 0.15]))


def test_near_ties_in_first_place_may_not_change_places() -> None:
    expected = Answer("t", ["good", "bad"], [0.500001, 0.499999])
    got = predicted(["bad", "good"], [0.500001, 0.499999])
    assert "answered 'bad'" in refusal(expected, got)


@pytest.mark.parametrize("rank", range(3))
def test_a_score_that_is_not_a_number_is_refused(rank: int) -> None:
    scores = list(EXPECTED.scores)
    scores[rank] = math.nan
    assert "scored nan" in refusal(EXPECTED, predicted(EXPECTED.labels, scores))


def test_an_original_score_that_is_not_a_number_is_refused() -> None:
    expected = Answer("t", ["good"], [math.nan])
    assert "the original nan" in refusal(expected, predicted(["good"], [0.5]))


def test_a_long_text_is_named_by_its_beginning() -> None:
    expected = Answer("long " * 1000, ["good"], [1.0])
    assert len(refusal(expected, predicted(["bad"], [1.0]))) < 150


def test_batches_grow_from_one_to_the_largest_and_start_again() -> None:
    sizes = [len(batch) for batch in batches(answers(15), 4)]
    assert sizes == [1, 2, 3, 4, 1, 2, 2]


@given(count=st.integers(0, 60), largest=st.integers(1, 20))
def test_batches_hold_every_answer_once_and_in_order(count: int, largest: int) -> None:
    all_answers = answers(count)
    cut = list(batches(all_answers, largest))
    assert list(chain.from_iterable(cut)) == all_answers
    assert all(1 <= len(batch) <= largest for batch in cut)


def test_verify_sends_every_text_in_batches_that_the_model_takes() -> None:
    server = FakeServer(3, RIGHT)
    verify(server.typed(), "cls", answers(8))
    assert [len(request) for request in server.requests] == [1, 2, 3, 1, 1]
    assert list(chain.from_iterable(server.requests)) == [f"text {n}" for n in range(8)]


def test_verify_asks_one_by_one_where_the_model_does_not_batch() -> None:
    server = FakeServer(0, RIGHT)
    verify(server.typed(), "cls", answers(3))
    assert [len(request) for request in server.requests] == [1, 1, 1]


def test_verify_refuses_the_first_difference() -> None:
    server = FakeServer(4, predicted(["bad", "good", "spam"], [0.7, 0.2, 0.1]))
    with pytest.raises(UserError, match="text 'text 0'"):
        verify(server.typed(), "cls", answers(8))


def test_waiting_ends_when_the_model_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_answers, "POLL_SECONDS", 0.001)
    server = FakeServer(4, RIGHT, ready_after=3)
    wait_until_ready(server.typed(), "cls", 10)
    assert server.ready_after == -1


def test_waiting_too_long_is_an_error_with_address_model_and_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verify_answers, "POLL_SECONDS", 0.001)
    server = FakeServer(4, RIGHT, ready_after=1_000_000)
    with pytest.raises(UserError) as caught:
        wait_until_ready(server.typed(), "cls", 0.01)
    assert str(caught.value) == "http://localhost:1: model cls not ready after 0.01 s"
