"""utils/behaviour.py."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from utils.artifacts import Behaviour
from utils.behaviour import (
    MULTI_LABEL,
    SINGLE_LABEL,
    Options,
    check_options,
    read_thresholds,
    settle,
)
from utils.errors import UserError

LABELS = {0: "spam", 1: "срочно", 2: "other"}


def config(problem_type: str | None = None, num_labels: int = 3) -> Any:
    """What is read of a checkpoint's configuration."""
    return SimpleNamespace(problem_type=problem_type, num_labels=num_labels)


def settled(
    options: Options, problem_type: str | None = None, max_length: int = 64, special_tokens: int = 2
) -> tuple[Behaviour, dict[str, float] | None]:
    """For a checkpoint of LABELS."""
    return settle(options, config(problem_type), max_length, special_tokens, LABELS)


def behaviour(problem_type: str | None = None, max_length: int = 64, **options: Any) -> Behaviour:
    """The behaviour alone."""
    return settled(Options(**options), problem_type, max_length)[0]


def thresholds(problem_type: str | None = None, **options: Any) -> dict[str, float] | None:
    """The thresholds alone."""
    return settled(Options(**options), problem_type)[1]


def refusal(problem_type: str | None = None, max_length: int = 64, **options: Any) -> str:
    """The error that settling ends with."""
    with pytest.raises(UserError) as caught:
        behaviour(problem_type, max_length, **options)
    return str(caught.value)


def test_without_options_the_checkpoint_decides() -> None:
    assert settled(Options()) == (
        Behaviour(
            problem_type=SINGLE_LABEL,
            function="softmax",
            top_k=3,
            pairs=False,
            max_length=64,
            padding="right",
            long_text="truncate",
            stride=0,
            merge="mean",
            max_windows=1,
        ),
        None,
    )


@pytest.mark.parametrize(
    ("problem_type", "function"),
    [
        (None, "softmax"),
        (SINGLE_LABEL, "softmax"),
        (MULTI_LABEL, "sigmoid"),
        ("regression", "none"),
    ],
)
def test_problem_type_and_function_are_the_checkpoints(
    problem_type: str | None, function: str
) -> None:
    got = behaviour(problem_type)
    assert got.problem_type == (problem_type or SINGLE_LABEL)
    assert got.function == function


def test_a_model_of_one_class_without_problem_type_scores_with_a_sigmoid() -> None:
    got, _ = settle(Options(), config(None, 1), 64, 2, {0: "spam"})
    assert (got.problem_type, got.function, got.top_k) == (SINGLE_LABEL, "sigmoid", 1)


@pytest.mark.parametrize("function", ["softmax", "sigmoid", "none"])
def test_a_function_that_is_asked_for_wins(function: str) -> None:
    assert behaviour(function=function).function == function
    assert behaviour("regression", function=function).function == function


@pytest.mark.parametrize("function", ["softmax", "none"])
def test_a_multi_label_model_scored_with_another_function_has_one_label(function: str) -> None:
    assert behaviour(MULTI_LABEL, function=function).problem_type == SINGLE_LABEL
    assert thresholds(MULTI_LABEL, function=function) is None


def test_a_sigmoid_alone_makes_no_multi_label_problem() -> None:
    assert behaviour(function="sigmoid").problem_type == SINGLE_LABEL
    assert thresholds(function="sigmoid") is None


@pytest.mark.parametrize("problem_type", [None, SINGLE_LABEL, "regression"])
def test_a_threshold_for_sigmoid_scores_makes_a_multi_label_problem(
    problem_type: str | None,
) -> None:
    options = Options(function="sigmoid", threshold=0.3)
    got, limits = settled(options, problem_type)
    assert got.problem_type == MULTI_LABEL
    assert limits == dict.fromkeys(LABELS.values(), 0.3)


@pytest.mark.parametrize(
    ("problem_type", "function", "named"),
    [
        (None, None, "softmax"),
        ("regression", None, "none"),
        (MULTI_LABEL, "softmax", "softmax"),
        (MULTI_LABEL, "none", "none"),
    ],
)
def test_a_threshold_for_scores_that_depend_on_each_other_is_refused(
    problem_type: str | None, function: str | None, named: str
) -> None:
    message = refusal(problem_type, function=function, threshold=0.3)
    assert message.startswith("--threshold: ")
    assert message.endswith(f"this model's function is {named} (--function sigmoid)")


def test_a_multi_label_model_has_a_threshold_of_a_half_for_each_label() -> None:
    assert thresholds(MULTI_LABEL) == {"spam": 0.5, "срочно": 0.5, "other": 0.5}


@pytest.mark.parametrize("threshold", [0.0, 0.25, 1.0])
def test_one_threshold_is_for_all_labels(threshold: float) -> None:
    got = thresholds(MULTI_LABEL, threshold=threshold)
    assert got == dict.fromkeys(LABELS.values(), threshold)


def test_thresholds_of_each_label_come_in_the_order_of_classes() -> None:
    given = {"other": 0.1, "spam": 0.2, "срочно": 0.3}
    got = thresholds(MULTI_LABEL, threshold=given)
    assert got == given
    assert list(got or {}) == list(LABELS.values())


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"spam": 0.1, "other": 0.1}, "'срочно' has no threshold"),
        (dict.fromkeys([*LABELS.values(), "ham"], 0.1), "'ham' is not a label of the model"),
    ],
)
def test_thresholds_of_other_labels_than_the_models_are_refused_naming_one(
    given: dict[str, float], problem: str
) -> None:
    assert refusal(MULTI_LABEL, threshold=given) == f"--threshold: {problem}"


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_as_many_labels_as_asked_for_are_in_an_answer(top_k: int) -> None:
    assert behaviour(top_k=top_k).top_k == top_k


def test_more_labels_in_an_answer_than_classes_are_refused() -> None:
    assert refusal(top_k=4) == "--top-k: 4 is over the 3 classes"


@pytest.mark.parametrize("long_text", ["truncate", "head-tail"])
def test_a_text_that_is_cut_has_one_window_without_stride(long_text: str) -> None:
    got = behaviour(long_text=long_text)
    assert (got.long_text, got.stride, got.max_windows) == (long_text, 0, 1)


def test_windows_share_a_quarter_of_their_tokens_unless_asked_otherwise() -> None:
    got = behaviour(long_text="window", max_length=42)
    # 40 tokens beside the special ones.
    assert (got.stride, got.merge, got.max_windows) == (10, "mean", 16)


@pytest.mark.parametrize("stride", [0, 1, 61])
def test_a_stride_that_is_asked_for_is_taken(stride: int) -> None:
    assert behaviour(long_text="window", stride=stride).stride == stride


def test_merge_and_number_of_windows_that_are_asked_for_are_taken() -> None:
    got = behaviour(long_text="window", merge="max", max_windows=3)
    assert (got.merge, got.max_windows) == ("max", 3)


@pytest.mark.parametrize("stride", [62, 63, 1000])
def test_a_stride_that_leaves_no_new_token_in_a_window_is_refused(stride: int) -> None:
    assert refusal(long_text="window", stride=stride) == (
        f"--stride: {stride} is not under the 62 tokens of a window"
    )


@pytest.mark.parametrize("max_length", [1, 2, 3])
def test_a_length_that_leaves_no_room_beside_special_tokens_is_refused(max_length: int) -> None:
    assert refusal(max_length=max_length) == (
        f"--max-length: {max_length} leaves no room beside special tokens"
    )


def test_the_shortest_length_has_room_for_two_tokens() -> None:
    assert behaviour(max_length=4).max_length == 4
    assert behaviour(max_length=4, long_text="window").stride == 0


def test_a_model_of_pairs_is_settled_as_one() -> None:
    assert behaviour(pairs=True).pairs


@pytest.mark.parametrize("long_text", ["truncate", "head-tail"])
@pytest.mark.parametrize(
    ("name", "value"), [("stride", 0), ("stride", 5), ("merge", "mean"), ("max_windows", 1)]
)
def test_options_of_windows_are_refused_without_windows(
    name: str, value: Any, long_text: str
) -> None:
    with pytest.raises(UserError) as caught:
        check_options(Options(**{"long_text": long_text, name: value}))
    assert str(caught.value) == f"--{name.replace('_', '-')}: is for --long-text window"


@pytest.mark.parametrize("long_text", ["head-tail", "window"])
def test_pairs_are_refused_where_more_than_an_end_is_taken_from_a_text(long_text: str) -> None:
    with pytest.raises(UserError, match=f"^--pairs: .* --long-text {long_text}$"):
        check_options(Options(pairs=True, long_text=long_text))


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(pairs=True, top_k=1),
        Options(long_text="head-tail"),
        Options(long_text="window", stride=0, merge="max", max_windows=2),
    ],
)
def test_options_that_do_not_contradict_each_other_pass(options: Options) -> None:
    check_options(options)


@pytest.mark.parametrize(("text", "number"), [("0.7", 0.7), ("0", 0.0), ("1", 1.0), (".5", 0.5)])
def test_a_number_is_a_threshold_for_all(text: str, number: float) -> None:
    assert read_thresholds(text) == number


@pytest.mark.parametrize("text", ["1.01", "-0.1", "7", "nan", "inf", "-inf"])
def test_a_number_that_no_score_can_be_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^--threshold: .* is not between 0 and 1$"):
        read_thresholds(text)


def test_a_file_has_a_threshold_for_each_label(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text('{"срочно": 0.25, "spam": 1, "other": 0}', encoding="utf-8")
    assert read_thresholds(str(path)) == {"срочно": 0.25, "spam": 1.0, "other": 0.0}


def test_neither_a_number_nor_a_file_is_refused_as_it_was_written() -> None:
    with pytest.raises(UserError, match=r"^--threshold: half is neither a number nor a file$"):
        read_thresholds("half")


@pytest.mark.parametrize("content", [b"{", b"\xff", b"spam: 0.5"])
def test_a_file_that_is_not_json_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "thresholds.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"thresholds\.json: not JSON$"):
        read_thresholds(str(path))


@pytest.mark.parametrize("data", [[], {}, [0.5], 0.5, None, "spam"])
def test_a_file_of_another_form_is_refused_with_an_example(data: Any, tmp_path: Path) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"not an object of thresholds \(\{\"spam\": 0\.7"):
        read_thresholds(str(path))


@pytest.mark.parametrize("value", ["0.5", None, True, [0.5]])
def test_a_threshold_that_is_no_number_is_refused_naming_its_label(
    value: Any, tmp_path: Path
) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text(json.dumps({"spam": 0.5, "other": value}))
    with pytest.raises(UserError, match="threshold of 'other' is not a number"):
        read_thresholds(str(path))


@pytest.mark.parametrize("value", [1.5, -1, float("nan")])
def test_a_threshold_in_a_file_that_no_score_can_be_is_refused(
    value: float, tmp_path: Path
) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text(json.dumps({"spam": value}))
    with pytest.raises(UserError, match="is not between 0 and 1"):
        read_thresholds(str(path))
