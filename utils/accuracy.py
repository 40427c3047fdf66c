"""How well the original and the exported model do on labelled texts."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.artifacts import Accuracy, Behaviour
from utils.errors import UserError
from utils.samples import Example
from utils.served import FUNCTIONS

Scores = npt.NDArray[np.float32]
Logits = npt.NDArray[np.float32]


def measure(
    examples: Sequence[Example],
    behaviour: Behaviour,
    labels: Sequence[str],
    thresholds: Sequence[float] | None,
    before: Logits,
    after: Logits,
) -> Accuracy:
    """Compare both models' decisions with the labels.

    Single-label: accuracy. Multi-label: exact match and micro F1. Regression: mean absolute error.

    Args:
        examples: labelled texts.
        behaviour: how logits become decisions.
        labels: of each class.
        thresholds: of each class, for a multi-label problem.
        before: the original's logits [texts, classes].
        after: the exported model's.

    Raises:
        UserError: a label that the model does not have, or of another form.
    """
    if behaviour.problem_type == "regression":
        numbers = np.array([_numbers(example.label, len(labels)) for example in examples])
        evaluate = partial(_regression, numbers)
    elif thresholds is not None:
        flags = np.array([_flags(example.label, labels) for example in examples])
        evaluate = partial(_multi_label, flags, np.array(thresholds, np.float32))
    else:
        classes = np.array([_class(example.label, labels) for example in examples])
        evaluate = partial(_single_label, classes)
    function = FUNCTIONS[behaviour.function]
    return Accuracy(len(examples), evaluate(function(before)), evaluate(function(after)))


def _single_label(classes: npt.NDArray[np.int_], scores: Scores) -> dict[str, float]:
    return {"accuracy": float((scores.argmax(axis=-1) == classes).mean())}


def _multi_label(
    flags: npt.NDArray[np.bool_], thresholds: Scores, scores: Scores
) -> dict[str, float]:
    chosen = scores > thresholds
    hits, total = int((chosen & flags).sum()), int(chosen.sum() + flags.sum())
    return {
        "exact match": float((chosen == flags).all(axis=-1).mean()),
        "micro F1": 2 * hits / total if total else 1.0,
    }


def _regression(numbers: npt.NDArray[np.float64], scores: Scores) -> dict[str, float]:
    return {"mean absolute error": float(np.abs(scores - numbers).mean())}


def _class(label: Any, labels: Sequence[str]) -> int:
    """A label's text, or its number as data sets have it."""
    if str(label) in labels:
        return labels.index(str(label))
    if str(label).isdecimal() and int(label) < len(labels):
        return int(label)
    raise UserError("--labelled", f"{str(label)[:60]!r} is not a label of the model")


def _flags(label: Any, labels: Sequence[str]) -> list[bool]:
    """A list of labels, in CSV as JSON."""
    if isinstance(label, str):
        try:
            label = json.loads(label)
        except ValueError:
            label = [label] if label else []
    if not isinstance(label, list):
        raise UserError("--labelled", f"{str(label)[:60]!r} is not a list of labels", '["a", "b"]')
    chosen = {_class(item, labels) for item in label}
    return [index in chosen for index in range(len(labels))]


def _numbers(label: Any, count: int) -> list[float]:
    """A number, of several outputs a JSON list of them."""
    try:
        value = json.loads(label) if isinstance(label, str) else label
        numbers = [float(item) for item in (value if isinstance(value, list) else [value])]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != count:
        raise UserError("--labelled", f"{str(label)[:60]!r} is not {count} number(s)")
    return numbers
