"""utils/verify_answers.py."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.commands import error_line, run_utility
from utils import verify_answers
from utils.artifacts import DEFAULT_TOLERANCE, Answer, Reference, write_reference
from utils.errors import UserError
from utils.inference import Prediction, Server
from utils.verify_answers import batches, check_answer, verify, wait_until_ready

LABELS = ["spam", "good", "bad"]
EXPECTED = Answer("a text", None, [-1.0, 1.0, 0.0], [0.1, 0.7, 0.2], False)
SINGLE = Reference(LABELS, None, "single_label_classification", 3, DEFAULT_TOLERANCE, [])
MULTI = Reference(LABELS, [0.05, 0.5, 0.3], "multi_label_classification", 3, DEFAULT_TOLERANCE, [])
NUMBERS = Reference(LABELS, None, "regression", 3, DEFAULT_TOLERANCE, [])
NUMBER = replace(NUMBERS, labels=["stars"], top_k=1)
STARS = Answer("a text", None, [3.5], [3.5], False)
LOOSE = 0.01


def answers(count: int) -> list[Answer]:
    """Texts with the same answer."""
    return [replace(EXPECTED, text=f"text {number}") for number in range(count)]


def scored(scores: Sequence[float]) -> Answer:
    """EXPECTED with these scores of LABELS."""
    return replace(EXPECTED, scores=list(scores))


def predicted(
    labels: Sequence[str], scores: Sequence[float], predict: str | None = None
) -> Prediction:
    """A server's answer; without `predict` a consistent one of a single-label problem."""
    return Prediction(
        labels[0] if predict is None else predict,
        list(labels),
        list(scores),
        EXPECTED.logits,
        EXPECTED.truncated,
    )


RANKED = ["good", "bad", "spam"]
RIGHT = predicted(RANKED, [0.7, 0.2, 0.1])


def listed(*labels: str, ranked: Sequence[str] = RANKED) -> Prediction:
    """The right answer with these labels over their thresholds."""
    scores = dict(zip(LABELS, EXPECTED.scores, strict=True))
    return predicted(ranked, [scores[label] for label in ranked], json.dumps(labels))


def refusal(got: Prediction, reference: Reference = SINGLE, expected: Answer = EXPECTED) -> str:
    """The error that check_answer ends with."""
    with pytest.raises(UserError) as caught:
        check_answer(reference, expected, got)
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
        self.pairs: list[list[str] | None] = []

    def ready(self, model: str) -> bool:
        """Ready from the given question on."""
        assert model == "cls"
        self.ready_after -= 1
        return self.ready_after < 0

    def max_batch_size(self, model: str) -> int:
        """As configured."""
        assert model == "cls"
        return self.largest

    def classify(
        self, model: str, texts: Sequence[str], pairs: Sequence[str] | None = None
    ) -> list[Prediction]:
        """The same answer to each."""
        assert model == "cls"
        self.requests.append(list(texts))
        self.pairs.append(None if pairs is None else list(pairs))
        return [self.prediction for _ in texts]

    def typed(self) -> Server:
        """As what verify takes."""
        return cast(Server, cast(Any, self))


def test_the_same_answer_is_accepted() -> None:
    check_answer(SINGLE, EXPECTED, RIGHT)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_score_within_the_tolerance_is_accepted(sign: int) -> None:
    scores = [0.7 + sign * 0.9 * DEFAULT_TOLERANCE, 0.2, 0.1]
    check_answer(SINGLE, EXPECTED, predicted(RANKED, scores))


@pytest.mark.parametrize("rank", range(3))
@pytest.mark.parametrize("sign", [1, -1])
def test_a_score_beyond_the_tolerance_is_refused_naming_text_label_and_both(
    rank: int, sign: int
) -> None:
    scores = list(RIGHT.scores)
    original = scores[rank]
    scores[rank] += sign * 1.1 * DEFAULT_TOLERANCE
    message = refusal(predicted(RANKED, scores))
    assert message.startswith("text 'a text': ")
    assert f"{RANKED[rank]!r} scored {scores[rank]:.6f}" in message
    assert f"the original {original:.6f}" in message


def test_another_predicted_label_is_refused() -> None:
    got = replace(RIGHT, predict="bad")
    assert "predicts 'bad' for scores" in refusal(got)


def test_another_first_label_is_refused_even_when_the_prediction_is_right() -> None:
    got = predicted(["bad", "good", "spam"], RIGHT.scores, "good")
    assert refusal(got) == "text 'a text': answered ['bad'], the original ['good']"


def test_two_labels_that_changed_places_are_refused() -> None:
    assert "'spam' scored 0.200000" in refusal(predicted(["good", "spam", "bad"], RIGHT.scores))


def test_scores_that_are_not_sorted_are_refused() -> None:
    got = predicted(["good", "spam", "bad"], [0.7, 0.1, 0.2])
    assert "not sorted" in refusal(got)


def test_a_missing_label_is_refused() -> None:
    assert "the original has" in refusal(predicted(["good", "bad"], [0.7, 0.2]))


def test_an_unknown_label_is_refused() -> None:
    assert "'other'" in refusal(predicted(["good", "bad", "other"], RIGHT.scores))


def test_a_label_given_twice_is_refused() -> None:
    assert "the original has" in refusal(predicted(["good", "bad", "bad"], [0.7, 0.2, 0.2]))


def test_an_answer_without_labels_is_refused() -> None:
    got = replace(RIGHT, labels=[], scores=[])
    assert "answered []" in refusal(got)


def test_near_ties_below_the_first_place_may_change_places() -> None:
    expected = scored([0.14995, 0.7, 0.15005])
    check_answer(SINGLE, expected, predicted(["good", "spam", "bad"], [0.7, 0.15001, 0.15]))


def test_labels_below_the_first_place_that_are_no_near_ties_may_not_change_places() -> None:
    expected = scored([0.1497, 0.7, 0.1503])
    got = predicted(["good", "spam", "bad"], [0.7, 0.15, 0.15])
    assert "scored" in refusal(got, expected=expected)


def test_near_ties_in_first_place_may_not_change_places() -> None:
    expected = scored([0.0, 0.500001, 0.499999])
    got = predicted(["bad", "good", "spam"], [0.500001, 0.499999, 0.0])
    assert "answered ['bad']" in refusal(got, expected=expected)


def test_equal_scores_in_first_place_keep_the_order_of_classes() -> None:
    expected = scored([0.4, 0.4, 0.2])
    check_answer(SINGLE, expected, predicted(["spam", "good", "bad"], [0.4, 0.4, 0.2]))
    got = predicted(["good", "spam", "bad"], [0.4, 0.4, 0.2])
    assert "answered ['good']" in refusal(got, expected=expected)


@pytest.mark.parametrize("rank", range(3))
def test_a_score_that_is_not_a_number_is_refused(rank: int) -> None:
    scores = list(RIGHT.scores)
    scores[rank] = math.nan
    assert "scored nan" in refusal(predicted(RANKED, scores))


def test_an_original_score_that_is_not_a_number_is_refused() -> None:
    expected = scored([0.1, math.nan, 0.2])
    reference = replace(SINGLE, tolerance=LOOSE)
    assert "the original nan" in refusal(RIGHT, reference, expected)


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("shift", [1.1 * DEFAULT_TOLERANCE, -1.1 * DEFAULT_TOLERANCE, math.nan])
def test_logits_beyond_the_tolerance_are_refused_naming_both(index: int, shift: float) -> None:
    logits = list(EXPECTED.logits)
    logits[index] += shift
    message = refusal(replace(RIGHT, logits=logits))
    assert f"logits {logits}, the original {EXPECTED.logits}" in message


def test_logits_within_the_tolerance_are_accepted() -> None:
    logits = [logit + 0.9 * DEFAULT_TOLERANCE for logit in EXPECTED.logits]
    check_answer(SINGLE, EXPECTED, replace(RIGHT, logits=logits))


@pytest.mark.parametrize("truncated", [True, False])
def test_a_text_wrongly_said_to_be_cut_or_whole_is_refused(truncated: bool) -> None:
    expected = replace(EXPECTED, truncated=not truncated)
    message = refusal(replace(RIGHT, truncated=truncated), expected=expected)
    assert message.endswith(f"truncated is {truncated}, not {not truncated}")


def test_a_text_rightly_said_to_be_cut_is_accepted() -> None:
    expected = replace(EXPECTED, truncated=True)
    check_answer(SINGLE, expected, replace(RIGHT, truncated=True))


def test_a_long_text_is_named_by_its_beginning() -> None:
    expected = replace(EXPECTED, text="long " * 1000)
    assert len(refusal(predicted(["bad", "good", "spam"], RIGHT.scores), expected=expected)) < 150


TOP_TWO = replace(SINGLE, top_k=2)


def test_an_answer_of_fewer_labels_has_the_best_ones() -> None:
    check_answer(TOP_TWO, EXPECTED, predicted(["good", "bad"], [0.7, 0.2]))


def test_a_label_that_is_not_among_the_best_is_refused() -> None:
    assert "'spam' scored" in refusal(predicted(["good", "spam"], [0.7, 0.1]), TOP_TWO)


@pytest.mark.parametrize("count", [1, 3])
def test_more_or_fewer_labels_than_asked_for_are_refused(count: int) -> None:
    got = predicted(RANKED[:count], RIGHT.scores[:count])
    assert "the original has ['good', 'bad']" in refusal(got, TOP_TWO)


def test_a_near_tie_with_the_last_of_the_best_may_take_its_place() -> None:
    expected = scored([0.14995, 0.7, 0.15005])
    check_answer(TOP_TWO, expected, predicted(["good", "spam"], [0.7, 0.15]))


def test_a_label_clearly_below_the_last_of_the_best_may_not_take_its_place() -> None:
    # Two and a half tolerances below.
    expected = scored([0.14995, 0.7, 0.1502])
    got = predicted(["good", "spam"], [0.7, 0.14995])
    assert "'spam' scored" in refusal(got, TOP_TWO, expected)


LOOSENED = replace(SINGLE, tolerance=LOOSE)


def test_a_loosened_tolerance_is_the_one_that_scores_and_logits_are_held_to() -> None:
    logits = [logit + 0.9 * LOOSE for logit in EXPECTED.logits]
    got = replace(predicted(RANKED, [0.709, 0.191, 0.1]), logits=logits)
    check_answer(LOOSENED, EXPECTED, got)
    assert "scored" in refusal(got)
    assert "scored" in refusal(predicted(RANKED, [0.711, 0.189, 0.1]), LOOSENED)
    beyond = replace(got, logits=[logit + 1.1 * LOOSE for logit in EXPECTED.logits])
    assert "logits" in refusal(beyond, LOOSENED)


def test_logits_may_have_a_tolerance_of_their_own() -> None:
    reference = replace(SINGLE, logit_tolerance=LOOSE)
    got = replace(RIGHT, logits=[logit + 0.9 * LOOSE for logit in EXPECTED.logits])
    check_answer(reference, EXPECTED, got)
    assert "logits" in refusal(got)
    beyond = replace(got, logits=[logit + 1.1 * LOOSE for logit in EXPECTED.logits])
    assert "logits" in refusal(beyond, reference)


def test_a_tolerance_of_logits_is_none_of_scores() -> None:
    reference = replace(SINGLE, logit_tolerance=LOOSE)
    assert "scored" in refusal(predicted(RANKED, [0.7009, 0.1991, 0.1]), reference)


def test_a_tolerance_of_logits_may_be_tighter_than_that_of_scores() -> None:
    reference = replace(LOOSENED, logit_tolerance=DEFAULT_TOLERANCE)
    got = replace(RIGHT, logits=[logit + 0.9 * LOOSE for logit in EXPECTED.logits])
    assert "logits" in refusal(got, reference)


def test_near_ties_in_first_place_may_change_places_when_the_tolerance_was_loosened() -> None:
    expected = scored([0.0, 0.505, 0.495])
    got = predicted(["bad", "good", "spam"], [0.501, 0.499, 0.0])
    check_answer(LOOSENED, expected, got)


def test_a_clear_first_place_may_not_change_however_loose_the_tolerance() -> None:
    expected = scored([0.0, 0.52, 0.48])
    got = predicted(["bad", "good", "spam"], [0.5, 0.5, 0.0])
    assert "scored" in refusal(got, LOOSENED, expected)


def test_a_multi_label_answer_with_every_label_over_its_threshold_is_accepted() -> None:
    check_answer(MULTI, EXPECTED, listed("good", "spam"))


@pytest.mark.parametrize(
    "labels", [(), ("good",), ("spam",), ("good", "bad", "spam"), ("good", "bad"), ("other",)]
)
def test_a_multi_label_answer_with_too_many_or_too_few_labels_is_refused(
    labels: tuple[str, ...],
) -> None:
    assert "predicts" in refusal(listed(*labels), MULTI)


def test_a_multi_label_answer_that_is_not_sorted_by_score_is_refused() -> None:
    assert "predicts" in refusal(listed("spam", "good"), MULTI)


def test_a_multi_label_answer_of_the_top_label_alone_is_no_list_and_refused() -> None:
    with pytest.raises(UserError):
        check_answer(MULTI, EXPECTED, RIGHT)


@pytest.mark.parametrize("near", [0.5 * DEFAULT_TOLERANCE, -0.5 * DEFAULT_TOLERANCE])
@pytest.mark.parametrize("labels", [("good",), ("good", "bad")])
def test_a_score_close_to_its_threshold_may_fall_on_either_side(
    near: float, labels: tuple[str, ...]
) -> None:
    reference = replace(MULTI, thresholds=[0.9, 0.5, 0.2 - near])
    check_answer(reference, EXPECTED, listed(*labels))


def test_a_score_clearly_over_its_threshold_must_be_listed() -> None:
    reference = replace(MULTI, thresholds=[0.9, 0.5, 0.2 - 1.1 * DEFAULT_TOLERANCE])
    check_answer(reference, EXPECTED, listed("good", "bad"))
    assert "predicts" in refusal(listed("good"), reference)


def test_a_score_clearly_under_its_threshold_must_not_be_listed() -> None:
    reference = replace(MULTI, thresholds=[0.9, 0.5, 0.2 + 1.1 * DEFAULT_TOLERANCE])
    check_answer(reference, EXPECTED, listed("good"))
    assert "predicts" in refusal(listed("good", "bad"), reference)


def test_a_multi_label_prediction_may_list_labels_that_the_answer_has_no_room_for() -> None:
    reference = replace(MULTI, top_k=1)
    check_answer(reference, EXPECTED, listed("good", "spam", ranked=["good"]))
    assert "predicts" in refusal(listed("spam", "good", ranked=["good"]), reference)


def test_a_regression_answers_with_its_number() -> None:
    got = Prediction("3.5", ["stars"], [3.5], [3.5], False)
    check_answer(NUMBER, STARS, got)


@pytest.mark.parametrize("predict", ["3.5002", "3.4998", "4", "-3.5"])
def test_a_regression_that_answers_with_another_number_is_refused(predict: str) -> None:
    got = Prediction(predict, ["stars"], [3.5], [3.5], False)
    assert f"predicts '{predict}'" in refusal(got, NUMBER, STARS)


def test_a_regressions_number_within_the_tolerance_is_accepted() -> None:
    check_answer(NUMBER, STARS, Prediction("3.50009", ["stars"], [3.5], [3.5], False))


def test_a_regression_of_several_outputs_answers_in_the_order_of_classes() -> None:
    check_answer(NUMBERS, EXPECTED, replace(RIGHT, predict="[0.1, 0.7, 0.2]"))
    by_rank = replace(RIGHT, predict="[0.7, 0.2, 0.1]")
    assert "predicts '[0.7, 0.2, 0.1]'" in refusal(by_rank, NUMBERS)


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
    verify(server.typed(), "cls", replace(SINGLE, answers=answers(8)))
    assert [len(request) for request in server.requests] == [1, 2, 3, 1, 1]
    assert list(chain.from_iterable(server.requests)) == [f"text {n}" for n in range(8)]
    assert set(map(str, server.pairs)) == {"None"}


def test_verify_sends_the_second_texts_of_a_model_of_pairs() -> None:
    server = FakeServer(2, RIGHT)
    pairs = [replace(answer, text_pair=f"and {answer.text}") for answer in answers(4)]
    verify(server.typed(), "cls", replace(SINGLE, answers=pairs))
    assert server.pairs == [["and text 0"], ["and text 1", "and text 2"], ["and text 3"]]


def test_verify_asks_one_by_one_where_the_model_does_not_batch() -> None:
    server = FakeServer(0, RIGHT)
    verify(server.typed(), "cls", replace(SINGLE, answers=answers(3)))
    assert [len(request) for request in server.requests] == [1, 1, 1]


def test_verify_refuses_the_first_difference() -> None:
    server = FakeServer(4, predicted(["bad", "good", "spam"], RIGHT.scores))
    with pytest.raises(UserError, match="text 'text 0'"):
        verify(server.typed(), "cls", replace(SINGLE, answers=answers(8)))


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


def test_a_reference_without_answers_proves_nothing_and_is_refused(tmp_path: Path) -> None:
    write_reference(tmp_path / "selftest.json", SINGLE)
    line = error_line(run_utility("verify_answers.py", "cls", tmp_path / "selftest.json"))
    assert line == f"error: {tmp_path}/selftest.json: has no texts to compare"
