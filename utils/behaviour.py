"""What the user asks of the answers, against what the checkpoint is."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.artifacts import Behaviour
from utils.errors import UserError

MULTI_LABEL = "multi_label_classification"
SINGLE_LABEL = "single_label_classification"

DEFAULT_THRESHOLD = 0.5
DEFAULT_MAX_WINDOWS = 16

Thresholds = float | dict[str, float]


@dataclass(frozen=True)
class Options:
    """The user's words; None and 0 leave a choice to the checkpoint.

    Attributes:
        function: softmax, sigmoid or none.
        threshold: for all labels, or label to threshold.
        top_k: number of labels and scores in an answer.
        pairs: texts come in pairs.
        max_length: most tokens of one row.
        long_text: truncate, head-tail or window.
        stride: tokens that two neighbouring windows share.
        merge: mean or max.
        max_windows: most windows of one text.
    """

    function: str | None = None
    threshold: Thresholds | None = None
    top_k: int = 0
    pairs: bool = False
    max_length: int = 0
    long_text: str = "truncate"
    stride: int | None = None
    merge: str | None = None
    max_windows: int | None = None


def check_options(options: Options) -> None:
    """Refuse what contradicts itself whatever the checkpoint.

    Raises:
        UserError: names the option.
    """
    if options.long_text != "window":
        for name in ("stride", "merge", "max_windows"):
            if getattr(options, name) is not None:
                raise UserError(f"--{name.replace('_', '-')}", "is for --long-text window")
    if options.pairs and options.long_text != "truncate":
        raise UserError("--pairs", f"cannot be combined with --long-text {options.long_text}")


def read_thresholds(value: str) -> Thresholds:
    """A number, or a JSON file of label to number.

    Raises:
        UserError: neither, or a number that is no threshold.
    """
    try:
        return _threshold(float(value))
    except ValueError:
        pass
    path = Path(value)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError("--threshold", f"{value} is neither a number nor a file") from error
    except (ValueError, RecursionError) as error:
        raise UserError(path, "not JSON") from error
    if not isinstance(data, dict) or not data:
        raise UserError(path, "not an object of thresholds", '{"spam": 0.7, "urgent": 0.3}')
    for label, number in data.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise UserError(path, f"threshold of {label!r} is not a number")
    return {label: _threshold(number) for label, number in data.items()}


def settle(
    options: Options, config: Any, max_length: int, special_tokens: int, labels: dict[int, str]
) -> tuple[Behaviour, dict[str, float] | None]:
    """The behaviour, and label to threshold for a multi-label problem.

    Args:
        options: passed by `check_options`.
        config: the model's configuration.
        max_length: most tokens of one row.
        special_tokens: how many of them are special.
        labels: class to label.

    Raises:
        UserError: an option does not fit the checkpoint.
    """
    function = options.function or score_function(config)
    problem_type = config.problem_type or SINGLE_LABEL
    if options.threshold is not None:
        if function != "sigmoid":
            raise UserError(
                "--threshold",
                f"needs a score of its own for each label, this model's function is {function}",
                "--function sigmoid",
            )
        problem_type = MULTI_LABEL
    elif problem_type == MULTI_LABEL and function != "sigmoid":
        problem_type = SINGLE_LABEL
    if options.top_k > len(labels):
        raise UserError("--top-k", f"{options.top_k} is over the {len(labels)} classes")
    room = max_length - special_tokens
    if room < 2:
        raise UserError("--max-length", f"{max_length} leaves no room beside special tokens")
    windows = options.long_text == "window"
    stride = room // 4 if options.stride is None else options.stride
    if windows and stride >= room:
        raise UserError("--stride", f"{stride} is not under the {room} tokens of a window")
    return Behaviour(
        problem_type=problem_type,
        function=function,
        top_k=options.top_k or len(labels),
        pairs=options.pairs,
        max_length=max_length,
        padding="right",
        long_text=options.long_text,
        stride=stride if windows else 0,
        merge=options.merge or "mean",
        max_windows=(options.max_windows or DEFAULT_MAX_WINDOWS) if windows else 1,
    ), _thresholds(options.threshold, labels) if problem_type == MULTI_LABEL else None


def score_function(config: Any) -> str:
    """softmax, sigmoid or none: the rule of transformers' TextClassificationPipeline.

    Source: `postprocess` in transformers/pipelines/text_classification.py (5.23).
    """
    if config.problem_type == "regression":
        return "none"
    if config.problem_type == MULTI_LABEL or config.num_labels == 1:
        return "sigmoid"
    return "softmax"


def _thresholds(given: Thresholds | None, labels: dict[int, str]) -> dict[str, float]:
    if not isinstance(given, dict):
        return dict.fromkeys(labels.values(), DEFAULT_THRESHOLD if given is None else given)
    for wrong, problem in (
        (given.keys() - set(labels.values()), "is not a label of the model"),
        (set(labels.values()) - given.keys(), "has no threshold"),
    ):
        if wrong:
            raise UserError("--threshold", f"{min(wrong)!r} {problem}")
    return {label: given[label] for label in labels.values()}


def _threshold(number: float) -> float:
    if not 0 <= number <= 1:
        raise UserError("--threshold", f"{number:g} is not between 0 and 1")
    return float(number)
