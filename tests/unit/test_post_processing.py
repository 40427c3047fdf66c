"""model_repository/post_processing/1/model.py and scoring.py, outside Triton."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

from tests.unit.commands import ROOT
from tests.unit.triton_stub import Request, load_model_file
from utils.served import FUNCTIONS

Floats = npt.NDArray[np.float32]

LABELS = ["negative", "тревога", "👍"]
OUTPUTS = ("predicts", "labels", "scores", "logits")
LOGITS = hypothesis_numpy.arrays(
    np.float32,
    hypothesis_numpy.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-1000, 1000, width=32),
)
EXTREME = np.array(
    [[1e4, -1e4, 0], [1e38, -1e38, 1e38], [-1e38, -1e38, -1e38], [88.8, -103.9, 0]], np.float32
)

MODULE = load_model_file(ROOT / "model_repository" / "post_processing" / "1" / "model.py")


def softmax(logits: Floats) -> Any:
    """By the definition, in more digits."""
    wide = logits.astype(np.longdouble)
    exponents = np.exp(wide - wide.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def sigmoid(logits: Floats) -> Any:
    """By the definition, in more digits; exp(-x) of a longdouble reaches beyond 1e4000."""
    return 1 / (1 + np.exp(-logits.astype(np.longdouble).clip(-11000, 11000)))


def identity(logits: Floats) -> Any:
    """No change."""
    return logits


REFERENCES: dict[str, Callable[[Floats], Any]] = {
    "softmax": softmax,
    "sigmoid": sigmoid,
    "none": identity,
}


def load(
    folder: Path,
    function: str = "softmax",
    labels: list[str] = LABELS,
    top_k: int = 0,
    problem_type: str = "single_label_classification",
    thresholds: list[float] | None = None,
) -> Any:
    """A model that was initialized with these labels, and with as many of them in an answer."""
    (folder / "1").mkdir(exist_ok=True)
    # Out of order, as a file may be.
    text = json.dumps({str(index): label for index, label in reversed(list(enumerate(labels)))})
    (folder / "1" / "id2label.json").write_text(text, encoding="utf-8")
    if thresholds is not None:
        by_label = reversed(list(zip(labels, thresholds, strict=True)))
        (folder / "1" / "thresholds.json").write_text(json.dumps(dict(by_label)), encoding="utf-8")
    values = {"function": function, "problem_type": problem_type, "top_k": top_k or len(labels)}
    parameters = {name: {"string_value": str(value)} for name, value in values.items()}
    model = MODULE.TritonPythonModel()
    model.initialize(
        {
            "model_repository": str(folder),
            "model_version": "1",
            "model_config": json.dumps({"parameters": parameters}),
        }
    )
    return model


def answer(model: Any, logits: Any, wanted: tuple[str, ...] = OUTPUTS) -> dict[str, Any]:
    """Outputs for logits, as lists."""
    (response,) = model.execute([Request({"logits": np.array(logits, np.float32)}, wanted)])
    return {name: array.tolist() for name, array in response.outputs().items()}


def multi_label(folder: Path, thresholds: list[float], **options: Any) -> Any:
    """A model of LABELS that answers with each that is over its threshold; scores are logits."""
    return load(
        folder,
        "none",
        problem_type="multi_label_classification",
        thresholds=thresholds,
        **options,
    )


def regression(folder: Path, labels: list[str], **options: Any) -> Any:
    """A model that answers with numbers."""
    return load(folder, "none", labels, problem_type="regression", **options)


def predicted(result: dict[str, Any]) -> list[str]:
    """The text of each row's prediction."""
    return [row[0].decode("utf-8") for row in result["predicts"]]


def decoded(rows: list[list[bytes]]) -> list[list[str]]:
    """Label texts."""
    return [[label.decode("utf-8") for label in row] for row in rows]


@pytest.mark.parametrize("name", sorted(REFERENCES))
@given(logits=LOGITS)
def test_scores_are_what_the_definition_gives(name: str, logits: Floats) -> None:
    scores = FUNCTIONS[name](logits)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, REFERENCES[name](logits).astype(np.float64), atol=1e-6)


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_extreme_logits_give_right_scores_without_warnings(name: str) -> None:
    with warnings.catch_warnings(), np.errstate(over="warn", invalid="warn", divide="warn"):
        warnings.simplefilter("error")
        scores = FUNCTIONS[name](EXTREME)
    np.testing.assert_allclose(
        scores.astype(np.float64), REFERENCES[name](EXTREME).astype(np.float64), atol=1e-6
    )


@given(logits=LOGITS)
def test_softmax_scores_add_up_to_one(logits: Floats) -> None:
    np.testing.assert_allclose(FUNCTIONS["softmax"](logits).sum(axis=1), 1, atol=1e-5)


def test_small_sigmoid_scores_are_not_rounded_to_zero() -> None:
    logits = np.array([[-18, -25, -40]], np.float32)
    np.testing.assert_allclose(
        FUNCTIONS["sigmoid"](logits), sigmoid(logits).astype(np.float64), rtol=1e-5
    )


def test_the_best_of_very_unlikely_classes_is_predicted(tmp_path: Path) -> None:
    result = answer(load(tmp_path, "sigmoid"), [[-25, -18, -30]])
    assert decoded(result["predicts"]) == [[LABELS[1]]]


def test_labels_and_scores_come_by_falling_score(tmp_path: Path) -> None:
    result = answer(load(tmp_path, "none"), [[0.5, 2.5, 1.5], [3.0, 1.0, 2.0]])
    assert decoded(result["labels"]) == [
        [LABELS[1], LABELS[2], LABELS[0]],
        [LABELS[0], LABELS[2], LABELS[1]],
    ]
    assert result["scores"] == [[2.5, 1.5, 0.5], [3.0, 2.0, 1.0]]


def test_the_prediction_is_the_first_label_in_a_column_of_its_own(tmp_path: Path) -> None:
    result = answer(load(tmp_path), [[0, 1, 0], [0, 0, 1]])
    assert decoded(result["predicts"]) == [[LABELS[1]], [LABELS[2]]]


@pytest.mark.parametrize("function", sorted(REFERENCES))
def test_equal_scores_keep_the_order_of_their_classes(function: str, tmp_path: Path) -> None:
    labels = [f"class {index}" for index in range(40)]
    logits = np.tile([1.0, 0.0], 20)
    result = answer(load(tmp_path, function, labels), [logits])
    assert decoded(result["labels"]) == [labels[::2] + labels[1::2]]


@given(logits=st.lists(st.sampled_from([-1.0, 0.0, 0.5]), min_size=3, max_size=3))
def test_labels_are_ranked_as_pythons_stable_sort_ranks_them(
    logits: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "ranked"
    folder.mkdir(exist_ok=True)
    ranked = sorted(zip(logits, LABELS, strict=True), key=lambda pair: pair[0], reverse=True)
    result = answer(load(folder), [logits])
    assert decoded(result["labels"]) == [[label for _, label in ranked]]


@pytest.mark.parametrize("name", OUTPUTS)
def test_only_the_requested_output_is_sent(name: str, tmp_path: Path) -> None:
    assert list(answer(load(tmp_path), [[1, 2, 3]], (name,))) == [name]


def test_all_outputs_have_the_shapes_and_types_of_the_configuration(tmp_path: Path) -> None:
    request = Request({"logits": np.zeros((2, 3), np.float32)}, OUTPUTS)
    outputs = load(tmp_path).execute([request])[0].outputs()
    assert {name: array.shape for name, array in outputs.items()} == {
        "predicts": (2, 1),
        "labels": (2, 3),
        "scores": (2, 3),
        "logits": (2, 3),
    }
    assert outputs["scores"].dtype == outputs["logits"].dtype == np.float32
    assert outputs["labels"].dtype == outputs["predicts"].dtype == np.object_


def test_logits_are_passed_on_as_they_came(tmp_path: Path) -> None:
    result = answer(load(tmp_path, top_k=1), [[0.5, 2.5, -1.5]])
    assert result["logits"] == [[0.5, 2.5, -1.5]]


def test_each_request_of_a_call_gets_its_own_response(tmp_path: Path) -> None:
    requests = [
        Request({"logits": np.array([[1, 0, 0]], np.float32)}, ("predicts",)),
        Request({"logits": np.array([[0, 0, 1], [0, 1, 0]], np.float32)}, ("predicts",)),
    ]
    responses = load(tmp_path).execute(requests)
    predictions = [decoded(response.outputs()["predicts"]) for response in responses]
    assert predictions == [[[LABELS[0]]], [[LABELS[2]], [LABELS[1]]]]


def test_one_class_has_one_score(tmp_path: Path) -> None:
    result = answer(load(tmp_path, "sigmoid", ["spam"]), [[0.0]])
    assert (decoded(result["labels"]), result["scores"]) == ([["spam"]], [[0.5]])


def test_a_function_that_does_not_exist_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="tanh"):
        load(tmp_path, "tanh")


def test_a_gap_in_the_labels_is_refused_at_the_start(tmp_path: Path) -> None:
    load(tmp_path)
    (tmp_path / "1" / "id2label.json").write_text('{"0": "a", "2": "b"}')
    with pytest.raises(KeyError, match="'1'"):
        MODULE.Scoring(tmp_path / "1", {})


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_an_answer_has_the_best_labels_and_scores_alone(top_k: int, tmp_path: Path) -> None:
    result = answer(load(tmp_path, "none", top_k=top_k), [[0.5, 2.5, 1.5]])
    assert decoded(result["labels"]) == [[LABELS[1], LABELS[2], LABELS[0]][:top_k]]
    assert result["scores"] == [[2.5, 1.5, 0.5][:top_k]]


def test_scores_of_fewer_labels_are_still_those_among_all_classes(tmp_path: Path) -> None:
    logits = np.array([[0, 1, 2]], np.float32)
    result = answer(load(tmp_path, top_k=1), logits)
    assert result["scores"][0][0] == pytest.approx(float(softmax(logits)[0, 2]), abs=1e-6)


def test_a_multi_label_prediction_lists_labels_over_their_thresholds_by_falling_score(
    tmp_path: Path,
) -> None:
    model = multi_label(tmp_path, [0.25, 0.5, 0.75])
    result = answer(model, [[0.5, 1.0, 0.5], [0.0, 0.0, 1.0], [0.5, 0.25, 0.5]])
    assert [json.loads(text) for text in predicted(result)] == [
        [LABELS[1], LABELS[0]],
        [LABELS[2]],
        [LABELS[0]],
    ]


def test_a_score_at_its_threshold_is_not_over_it(tmp_path: Path) -> None:
    # No float32 is 0.1: threshold and score must be rounded alike.
    model = multi_label(tmp_path, [0.5, 0.1, 0.7])
    assert predicted(answer(model, [[0.5, 0.1, 0.7]])) == ["[]"]


def test_a_multi_label_prediction_is_whole_whatever_the_number_of_labels_in_an_answer(
    tmp_path: Path,
) -> None:
    result = answer(multi_label(tmp_path, [0, 0, 0], top_k=1), [[1, 2, 3]])
    assert json.loads(predicted(result)[0]) == [LABELS[2], LABELS[1], LABELS[0]]
    assert decoded(result["labels"]) == [[LABELS[2]]]


def test_equal_multi_label_scores_keep_the_order_of_their_classes(tmp_path: Path) -> None:
    result = answer(multi_label(tmp_path, [0, 0, 0]), [[1, 1, 1]])
    assert json.loads(predicted(result)[0]) == LABELS


def test_a_multi_label_prediction_spells_its_labels_as_they_are(tmp_path: Path) -> None:
    model = multi_label(tmp_path, [9, 0, 0])
    assert predicted(answer(model, [[0, 2, 1]])) == ['["тревога", "👍"]']


def test_a_multi_label_model_without_thresholds_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"thresholds\.json"):
        load(tmp_path, problem_type="multi_label_classification")


def test_a_label_without_threshold_is_refused_at_the_start(tmp_path: Path) -> None:
    multi_label(tmp_path, [0, 0, 0])
    (tmp_path / "1" / "thresholds.json").write_text('{"negative": 0.5, "тревога": 0.5}')
    with pytest.raises(KeyError, match="👍"):
        load(tmp_path, "sigmoid", problem_type="multi_label_classification")


@pytest.mark.parametrize("number", [0.0, -1.5, 0.1, 1e-7, 123456.78, 3e38])
def test_a_regression_predicts_its_number_in_the_shortest_form_that_is_exact(
    number: float, tmp_path: Path
) -> None:
    (text,) = predicted(answer(regression(tmp_path, ["stars"]), [[number]]))
    assert np.float32(text) == np.float32(number)
    assert len(text) <= 14


def test_a_regression_of_one_output_is_not_a_list(tmp_path: Path) -> None:
    assert predicted(answer(regression(tmp_path, ["stars"]), [[3.5], [-2.0]])) == ["3.5", "-2.0"]


def test_a_regression_of_several_outputs_lists_them_in_the_order_of_classes(
    tmp_path: Path,
) -> None:
    model = regression(tmp_path, LABELS, top_k=1)
    assert predicted(answer(model, [[0.5, 2.5, 1.1]])) == ["[0.5, 2.5, 1.1]"]
