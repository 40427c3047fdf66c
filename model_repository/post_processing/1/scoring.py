"""From logits to scores and from scores to a decision, as transformers' pipeline has them.

The conversion imports this file too, for the accuracy that it reports.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def softmax(logits: Array) -> Array:
    """Scores that add up to 1 in each row of [n, classes]."""
    # As logits.max() and .sum() without the Python around them: of a small model's request, scoring
    # is what takes longest beside the graph.
    exponents = np.exp(logits - np.maximum.reduce(logits, axis=-1, keepdims=True))
    scores: Array = exponents / np.add.reduce(exponents, axis=-1, keepdims=True)
    return scores


def sigmoid(logits: Array) -> Array:
    """An independent score between 0 and 1 for each class of [n, classes]."""
    # Two forms, because exp() overflows for large arguments.
    exponents = np.exp(-np.abs(logits))
    scores: Array = np.where(logits >= 0, 1.0, exponents) / (1.0 + exponents)
    return scores


def identity(logits: Array) -> Array:
    """The logits themselves."""
    return logits


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "softmax": softmax,
    "sigmoid": sigmoid,
    "none": identity,
}


def ranking(scores: Array) -> Array:
    """Class numbers of [..., classes] by falling score; equal scores in the order of classes."""
    # As transformers, whose sort is stable.
    return np.argsort(-scores, axis=-1, kind="stable")


def labels_over(scores: Array, labels: Sequence[str], thresholds: Array) -> list[list[str]]:
    """The labels whose score is over their threshold, by falling score.

    Args:
        scores: FP32 [n, classes].
        labels: one for each class.
        thresholds: FP32 [classes].
    """
    chosen = [np.flatnonzero(over) for over in scores > thresholds]
    return [
        [labels[index] for index in indices[ranking(row[indices])]]
        for indices, row in zip(chosen, scores, strict=True)
    ]


def numbers(scores: Array) -> list[str]:
    """Each row's number in its shortest form; of several outputs a JSON list of them."""
    if scores.shape[-1] == 1:
        return [str(row[0]) for row in scores]
    return [f"[{', '.join(str(score) for score in row)}]" for row in scores]


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


class Scoring:
    """Logits to what post_processing gives.

    Args:
        folder: with labels and, of a multi-label model, thresholds (index or label to value).
        config: post_processing's configuration, as JSON.

    Raises:
        ValueError: names a file that is no JSON.
        OSError: one is not there.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        id2label = _read(folder / "id2label.json")
        self._labels = [id2label[str(index)] for index in range(len(id2label))]
        self._encoded = np.array([label.encode("utf-8") for label in self._labels], dtype=object)
        parameters = {name: value["string_value"] for name, value in config["parameters"].items()}
        self._function = FUNCTIONS[parameters["function"]]
        self._problem_type = parameters["problem_type"]
        self._top_k = int(parameters["top_k"])
        self._thresholds = None
        if self._problem_type == "multi_label_classification":
            thresholds = _read(folder / "thresholds.json")
            self._thresholds = np.array([thresholds[name] for name in self._labels], np.float32)

    def outputs(self, logits: Array, wanted: Collection[str]) -> dict[str, Array]:
        """The wanted ones of logits, predicts, labels and scores.

        Args:
            logits: FP32 [n, classes].
            wanted: names; others are left out.
        """
        scores = self._function(logits).astype(np.float32, copy=False)
        values = {"logits": logits}
        if "predicts" in wanted:
            values["predicts"] = self._predicts(scores)
        if "labels" in wanted or "scores" in wanted:
            best = ranking(scores)[:, : self._top_k]
            values["labels"] = self._encoded[best]
            values["scores"] = scores[np.arange(len(scores))[:, np.newaxis], best]
        return {name: value for name, value in values.items() if name in wanted}

    def _predicts(self, scores: Array) -> Array:
        """BYTES [n, 1]: the top label, a JSON list of labels, or the number."""
        if self._problem_type == "regression":
            texts = numbers(scores)
        elif self._thresholds is not None:
            chosen = labels_over(scores, self._labels, self._thresholds)
            texts = [json.dumps(row, ensure_ascii=False) for row in chosen]
        else:
            top: Array = self._encoded[scores.argmax(axis=-1)][:, np.newaxis]
            return top
        return np.array([[text.encode("utf-8")] for text in texts], dtype=object)
