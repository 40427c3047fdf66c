"""utils/accuracy.py and utils/show_accuracy.py."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.commands import error_line, run_utility
from tests.unit.reports import make_behaviour, make_report
from utils.accuracy import measure
from utils.artifacts import Accuracy, write_report
from utils.errors import UserError
from utils.samples import Example
from utils.show_accuracy import accuracy_table

LABELS = ["spam", "срочно", "7"]
SINGLE = make_behaviour()
MULTI = make_behaviour(problem_type="multi_label_classification", function="sigmoid")
NUMBER = make_behaviour(problem_type="regression", function="none")
# Sigmoid scores 0.02, 0.5 and 0.98.
LOW, EVEN, HIGH = -4.0, 0.0, 4.0


def examples(labels: Sequence[Any]) -> list[Example]:
    """Texts with these labels."""
    return [Example(f"text {number}", None, label) for number, label in enumerate(labels)]


def logits(*rows: Sequence[float]) -> Any:
    """As ONNX Runtime gives them."""
    return np.array(rows, np.float32)


def top(*classes: int) -> Any:
    """Logits with these first places."""
    return np.eye(3, dtype=np.float32)[list(classes)]


def single(labels: Sequence[Any], before: Any, after: Any) -> Accuracy:
    """Of a model with one label a text."""
    return measure(examples(labels), SINGLE, LABELS, None, before, after)


def multi(
    labels: Sequence[Any], rows: Any, thresholds: Sequence[float] = (0.5, 0.5, 0.5)
) -> dict[str, float]:
    """Of a multi-label model before the export."""
    return measure(examples(labels), MULTI, LABELS, thresholds, rows, rows).before


def regression(labels: Sequence[Any], rows: Any, outputs: int = 1) -> dict[str, float]:
    """Of a regression before the export."""
    return measure(examples(labels), NUMBER, LABELS[:outputs], None, rows, rows).before


def refusal(behaviour: Any, label: Any, outputs: int = 3) -> str:
    """The error for a text with this label."""
    thresholds = [0.5] * 3 if behaviour is MULTI else None
    rows = np.zeros((1, outputs), np.float32)
    with pytest.raises(UserError) as caught:
        measure(examples([label]), behaviour, LABELS[:outputs], thresholds, rows, rows)
    return str(caught.value)


def test_accuracy_is_the_share_of_texts_whose_top_label_is_theirs() -> None:
    got = single(["spam", "spam", "срочно", "7"], top(0, 1, 1, 2), top(0, 0, 0, 0))
    assert got == Accuracy(4, {"accuracy": 0.75}, {"accuracy": 0.5})


def test_a_label_may_be_the_number_of_its_class() -> None:
    assert single([0, "1", 2, "2"], top(0, 1, 2, 2), top(0, 1, 2, 2)).after == {"accuracy": 1.0}


def test_a_label_that_looks_like_a_number_is_a_label_first() -> None:
    assert single([7, "7"], top(2, 2), top(2, 2)).before == {"accuracy": 1.0}


def test_equal_logits_are_of_the_first_class_as_in_the_served_answer() -> None:
    rows = logits([1, 1, 1])
    assert single(["spam"], rows, rows).before == {"accuracy": 1.0}


@pytest.mark.parametrize("label", ["ham", 3, -1, "3", "", 1.0, "²", ["spam"], True])
def test_a_label_that_the_model_does_not_have_is_refused(label: Any) -> None:
    assert refusal(SINGLE, label) == f"--labelled: {str(label)!r} is not a label of the model"


def test_a_long_label_is_named_by_its_beginning() -> None:
    assert len(refusal(SINGLE, "ham" * 1000)) < 150


def test_labels_over_their_thresholds_are_compared_as_a_set() -> None:
    rows = logits([HIGH, LOW, HIGH], [LOW, HIGH, LOW])
    assert multi([["7", "spam"], ["срочно"]], rows) == {"exact match": 1.0, "micro F1": 1.0}


def test_exact_match_counts_texts_and_micro_f1_counts_labels() -> None:
    # One text right; of four labels said and four meant, three are both.
    rows = logits([HIGH, HIGH, LOW], [HIGH, LOW, LOW], [LOW, HIGH, LOW])
    labels = [["spam", "срочно"], ["spam"], ["7"]]
    assert multi(labels, rows) == {"exact match": 2 / 3, "micro F1": 2 * 3 / (4 + 4)}


def test_each_label_has_its_own_threshold() -> None:
    rows = logits([EVEN, EVEN, EVEN])
    got = multi([["срочно"]], rows, thresholds=[0.6, 0.4, 0.5])
    # A score at its threshold is not over it.
    assert got["exact match"] == 1.0


def test_a_text_may_have_no_label() -> None:
    assert multi([[]], logits([LOW, LOW, LOW])) == {"exact match": 1.0, "micro F1": 1.0}
    assert multi([[]], logits([HIGH, LOW, LOW])) == {"exact match": 0.0, "micro F1": 0.0}


@pytest.mark.parametrize("label", ['["spam", "7"]', ["spam", "7"], ["7", 0], [0, 2], "[0, 2]"])
def test_labels_may_be_a_list_or_in_csv_its_json(label: Any) -> None:
    assert multi([label], logits([HIGH, LOW, HIGH]))["exact match"] == 1.0


def test_one_label_of_a_multi_label_problem_may_be_a_text() -> None:
    assert multi(["срочно"], logits([LOW, HIGH, LOW]))["exact match"] == 1.0
    assert multi([""], logits([LOW, LOW, LOW]))["exact match"] == 1.0


def test_a_label_that_a_multi_label_model_does_not_have_is_refused() -> None:
    assert "'ham' is not a label of the model" in refusal(MULTI, ["spam", "ham"])


@pytest.mark.parametrize("label", [{"spam": 1}, 1.5, '{"spam": 1}', "null"])
def test_what_is_no_list_of_labels_is_refused(label: Any) -> None:
    assert 'is not a list of labels (["a", "b"])' in refusal(MULTI, label)


def test_a_regressions_error_is_the_mean_of_absolute_differences() -> None:
    got = regression([1, "2.5", -3], logits([1.0], [2.0], [-1.0]))
    assert got == {"mean absolute error": pytest.approx((0 + 0.5 + 2) / 3)}


@pytest.mark.parametrize("label", [[1, 2, 3], "[1, 2, 3]"])
def test_a_regression_of_several_outputs_is_compared_one_by_one(label: Any) -> None:
    got = regression([label], logits([1, 2, 6]), outputs=3)
    assert got == {"mean absolute error": 1.0}


@pytest.mark.parametrize("label", ["five", "", None, [1, 2], "[1", {"a": 1}, [[1]]])
def test_a_label_that_is_no_number_is_refused(label: Any) -> None:
    assert refusal(NUMBER, label, 1).endswith("is not 1 number(s)")


@pytest.mark.parametrize("label", [1, "1", [1, 2], "[1, 2, 3, 4]"])
def test_a_label_of_another_number_of_outputs_is_refused(label: Any) -> None:
    assert refusal(NUMBER, label, 3).endswith("is not 3 number(s)")


def test_the_table_has_a_row_for_each_measure_with_the_difference() -> None:
    accuracy = Accuracy(
        40, {"exact match": 0.5, "micro F1": 0.75}, {"exact match": 0.525, "micro F1": 0.7}
    )
    text = accuracy_table(accuracy)
    assert "40 labelled texts" in text
    rows = [line.split() for line in text.splitlines()]
    (exact,) = (row for row in rows if "exact" in row)
    (f1,) = (row for row in rows if "F1" in row)
    assert [word for word in exact if "." in word] == ["0.5000", "0.5250", "+0.0250"]
    assert [word for word in f1 if "." in word] == ["0.7500", "0.7000", "-0.0500"]


def test_the_command_prints_the_table_of_a_conversion(tmp_path: Path) -> None:
    accuracy = Accuracy(9, {"accuracy": 0.5}, {"accuracy": 0.5})
    write_report(tmp_path, make_report(accuracy=accuracy))
    result = run_utility("show_accuracy.py", tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == accuracy_table(accuracy)


def test_the_command_writes_the_table_to_the_named_file(tmp_path: Path) -> None:
    accuracy = Accuracy(9, {"accuracy": 0.5}, {"accuracy": 0.5})
    write_report(tmp_path, make_report(accuracy=accuracy))
    result = run_utility("show_accuracy.py", "--output", tmp_path / "table", tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert (tmp_path / "table").read_text(encoding="utf-8") == accuracy_table(accuracy)


def test_the_command_refuses_a_conversion_without_labelled_texts(tmp_path: Path) -> None:
    write_report(tmp_path, make_report())
    line = error_line(run_utility("show_accuracy.py", tmp_path))
    assert line.endswith("was converted without labelled texts (--labelled)")
