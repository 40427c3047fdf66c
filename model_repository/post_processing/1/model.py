"""Logits to labels and scores, as transformers' text-classification pipeline gives them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


def softmax(logits: np.ndarray) -> np.ndarray:
    """Scores that add up to 1 in each row of [n, classes]."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """An independent score between 0 and 1 for each class of [n, classes]."""
    # Two forms, because exp() overflows for large arguments.
    exponents = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0, exponents) / (1.0 + exponents)


def identity(logits: np.ndarray) -> np.ndarray:
    """The logits themselves."""
    return logits


FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "softmax": softmax,
    "sigmoid": sigmoid,
    "none": identity,
}


class TritonPythonModel:
    """logits FP32 [n, k] to predicts BYTES [n, 1], labels BYTES [n, k] and scores FP32 [n, k].

    Labels and scores are sorted by falling score; `predicts` is the first label.
    """

    def initialize(self, args: dict[str, str]) -> None:
        """Read the labels (index to text) and the function that turns logits into scores."""
        folder = Path(args["model_repository"], args["model_version"])
        id2label = json.loads((folder / "id2label.json").read_text(encoding="utf-8"))
        self._labels = np.array(
            [id2label[str(index)].encode("utf-8") for index in range(len(id2label))], dtype=object
        )
        parameters = json.loads(args["model_config"])["parameters"]
        self._score = FUNCTIONS[parameters["function"]["string_value"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response for each request, with the outputs that it asked for."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: Any) -> Any:
        logits = pb_utils.get_input_tensor_by_name(request, "logits").as_numpy()
        scores = self._score(logits)
        # A stable sort of the negated scores keeps equal scores in class order, as transformers.
        order = np.argsort(-scores, axis=-1, kind="stable")
        labels = self._labels[order]
        values = {
            "predicts": labels[:, :1],
            "labels": labels,
            "scores": np.take_along_axis(scores, order, axis=-1).astype(np.float32),
        }
        wanted = request.requested_output_names()
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, value) for name, value in values.items() if name in wanted]
        )
