"""utils/precision/compare.py and show.py: what a precision changed, and what is told of it."""

from dataclasses import dataclass

import numpy as np
import pytest

from utils.artifacts import Reference
from utils.precision.compare import Comparison, compare
from utils.precision.show import what_changed, what_was_tried
from utils.precision.trial import Logits
from utils.samples import Example

LABELS = ["spam", "good", "bad"]
SINGLE = Reference(LABELS, None, "single_label_classification", 3, 1e-4, [])
MULTI = Reference(LABELS, [0.5, 0.2, 0.8], "multi_label_classification", 3, 1e-4, [])
NUMBER = Reference(["stars"], None, "regression", 1, 1e-4, [])

THREE = [[2.0, 0.0, -1.0], [0.0, 3.0, 0.0], [0.0, 0.0, 1.0]]


def logits(rows: list[list[float]]) -> Logits:
    """As an engine gives them."""
    return np.array(rows, np.float32)


def kept(
    reference: Reference, function: str, before: list[list[float]], after: list[list[float]]
) -> list[bool]:
    """Which texts keep their labels."""
    same: list[bool] = compare(reference, function, logits(before), logits(after)).same.tolist()
    return same


@dataclass(frozen=True)
class Graph:
    """A graph that was tried."""

    name: str
    recipe: str
    comparison: Comparison
    speed: float | None
    passes: bool


def test_a_text_of_one_label_keeps_it_while_the_same_logit_is_the_largest() -> None:
    after = [[0.1, 0.0, -1.0], [0.0, 3.0, 3.1], [0.0, 0.9, 1.0]]
    assert kept(SINGLE, "softmax", THREE, after) == [True, False, True]


def test_a_text_of_several_labels_keeps_them_while_the_same_scores_are_over_their_thresholds() -> (
    None
):
    before = [[0.4, 0.1, 0.9], [0.6, 0.1, 0.9], [0.0, 0.3, 0.0]]
    after = [[0.45, 0.19, 0.81], [0.49, 0.1, 0.9], [0.0, 0.19, 0.0]]
    assert kept(MULTI, "none", before, after) == [True, False, False]


def test_scores_and_not_logits_are_held_against_thresholds() -> None:
    # A sigmoid of 0.1 is over a half.
    assert kept(MULTI, "sigmoid", [[0.1, 3.0, 3.0]], [[-0.1, 3.0, 3.0]]) == [False]


def test_a_regression_may_move_by_a_fiftieth_of_the_range_of_its_answers() -> None:
    before = [[0.0], [10.0], [5.0]]
    assert kept(NUMBER, "none", before, [[0.19], [9.81], [5.0]]) == [True, True, True]
    assert kept(NUMBER, "none", before, [[0.21], [9.79], [5.0]]) == [False, False, True]


def test_a_regression_that_says_the_same_to_every_text_may_hardly_move() -> None:
    assert kept(NUMBER, "none", [[1.0], [1.0]], [[1.0], [1.001]]) == [True, False]


def test_agreement_is_the_share_of_texts_that_kept_their_labels() -> None:
    comparison = compare(SINGLE, "softmax", logits(THREE), logits([*THREE[:2], [9, 0, 0]]))
    assert comparison.agreement == pytest.approx(2 / 3)


def test_the_largest_difference_is_one_of_scores() -> None:
    comparison = compare(SINGLE, "softmax", logits([[0, 0, 0]]), logits([[100, 0, 0]]))
    assert comparison.largest_difference == pytest.approx(2 / 3)
    comparison = compare(NUMBER, "none", logits([[1], [2]]), logits([[1.5], [2]]))
    assert comparison.largest_difference == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("reference", "function", "bad"),
    [
        (SINGLE, "softmax", np.nan),
        (MULTI, "sigmoid", np.nan),
        (MULTI, "none", np.inf),
        (MULTI, "none", -np.inf),
    ],
)
def test_a_text_whose_scores_are_no_numbers_kept_nothing(
    reference: Reference, function: str, bad: float
) -> None:
    # As overflows in fp16 give; the first class is the one that a NaN looks like.
    before = [[0.4, 0.1, 0.1], [0.4, 0.1, 0.1]]
    after = [[bad, bad, bad], [0.4, 0.1, 0.1]]
    comparison = compare(reference, function, logits(before), logits(after))
    assert comparison.same.tolist() == [False, True]
    assert comparison.largest_difference == np.inf


def test_one_row_is_told_of_each_graph_that_was_tried() -> None:
    comparison = compare(SINGLE, "softmax", logits(THREE), logits([*THREE[:2], [9, 0, 0]]))
    tried = [
        Graph("int8", "dynamic", comparison, 1.732, False),
        Graph("fp32", "", comparison, None, True),
    ]
    text = what_was_tried(tried, 300)
    first, second = (line for line in text.splitlines() if "int8" in line or "fp32" in line)
    assert "300 texts" in text
    assert first.replace("│", " ").split() == [
        *("int8", "dynamic", "66.67%", f"{comparison.largest_difference:.4f}"),
        *("1.73x", "not", "enough"),
    ]
    assert "x" not in second
    assert "not enough" not in second


@pytest.mark.parametrize(("texts", "few"), [(199, True), (200, False)])
def test_few_texts_are_said_to_be_few(texts: int, few: bool) -> None:
    said = f"{texts} texts say little of labels: --samples takes your own."
    assert (said in what_was_tried([], texts)) is few


def test_labels_that_won_and_lost_texts_are_counted_most_first() -> None:
    before = [[1.0, 0, 0]] * 4 + [[0, 0, 1.0]] * 2
    after = [[0, 1.0, 0]] * 3 + [[1.0, 0, 0]] + [[0, 0, 1.0]] + [[1.0, 0, 0]]
    comparison = compare(SINGLE, "softmax", logits(before), logits(after))
    text = what_changed(SINGLE, [Example(f"text {n}") for n in range(6)], comparison)
    lines = [line.replace("│", " ").split() for line in text.splitlines()]
    assert lines.index(["spam", "good", "3"]) < lines.index(["bad", "spam", "1"])
    assert ["unchanged", "2"] in lines


def test_the_texts_that_moved_most_are_shown_first_and_five_at_most() -> None:
    before = logits([[1.0, 0.0, 0.0]] * 9)
    after = before.copy()
    # All but the first two change their label, the later the more.
    for number in range(2, 9):
        after[number] = [0, number, 0]
    examples = [Example(f"example{number}") for number in range(9)]
    text = what_changed(SINGLE, examples, compare(SINGLE, "softmax", before, after))
    shown = [line.split("│")[4].strip() for line in text.splitlines() if "example" in line]
    assert shown == ["example8", "example7", "example6", "example5", "example4"]


def test_where_no_label_changed_the_texts_whose_scores_moved_most_are_shown() -> None:
    before = logits([[1.0, 0.0, 0.0]] * 9)
    after = before.copy()
    for number in range(9):
        after[number, 0] += number / 10
    examples = [Example(f"example{number}") for number in range(9)]
    comparison = compare(SINGLE, "softmax", before, after)
    assert comparison.same.all()
    text = what_changed(SINGLE, examples, comparison)
    rows = [line.strip("│").split("│") for line in text.splitlines() if "example" in line]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert [row[3] for row in cells] == [f"example{number}" for number in (8, 7, 6, 5, 4)]
    assert {(row[0], row[1]) for row in cells} == {("spam", "spam")}
    assert cells[0][2] == f"{comparison.largest_difference:.3f}"


def test_where_a_label_changed_a_text_that_kept_its_own_is_not_shown_however_far_it_moved() -> None:
    before, after = [[0.0, 0.1, 0.0], [0.1, 0.0, 0.0]], [[0.1, 0.0, 0.0], [9.0, 0.0, 0.0]]
    comparison = compare(SINGLE, "softmax", logits(before), logits(after))
    text = what_changed(SINGLE, [Example("changed"), Example("moved")], comparison)
    assert " changed" in text.replace("unchanged", "")
    assert "moved" not in text


def test_a_text_is_shown_on_one_line_with_its_labels_before_and_after() -> None:
    comparison = compare(SINGLE, "softmax", logits([[1, 0, 0]]), logits([[0, 0, 1]]))
    text = what_changed(SINGLE, [Example("two\n  lines")], comparison)
    (line,) = (line for line in text.splitlines() if "two" in line)
    before, after, _, words = (cell.strip() for cell in line.strip("│").split("│"))
    assert (before, after, words) == ("spam", "bad", "two lines")


def test_of_several_labels_those_over_their_thresholds_are_shown_and_no_counts() -> None:
    before, after = [[0.9, 0.9, 0.0]], [[0.0, 0.1, 0.0]]
    comparison = compare(MULTI, "none", logits(before), logits(after))
    text = what_changed(MULTI, [Example("a text")], comparison)
    (line,) = (line for line in text.splitlines() if "a text" in line)
    assert [cell.strip() for cell in line.strip("│").split("│")][:2] == ["spam, good", "none"]
    assert "unchanged" not in text


def test_of_a_regression_numbers_are_shown_and_no_counts() -> None:
    comparison = compare(NUMBER, "none", logits([[1], [2]]), logits([[1.5], [2]]))
    text = what_changed(NUMBER, [Example("a text"), Example("another")], comparison)
    (line,) = (line for line in text.splitlines() if "a text" in line)
    assert [cell.strip() for cell in line.strip("│").split("│")][:3] == ["1.000", "1.500", "0.500"]
    assert "another" not in text
    assert "unchanged" not in text


@pytest.mark.parametrize("words", ["[/b] of a tag", "[red]", ":smile: [1]"])
def test_texts_and_labels_that_look_like_markup_are_shown_as_they_are(words: str) -> None:
    reference = Reference(["[/a]", words], None, "single_label_classification", 2, 1e-4, [])
    comparison = compare(reference, "softmax", logits([[1, 0]]), logits([[0, 1]]))
    text = what_changed(reference, [Example(words)], comparison)
    assert text.count(words) == 3
    assert "[/a]" in text
