"""Triton Python model: logits to the best label and its probability."""

# mypy: disable-error-code="union-attr"
# Triton makes sure that inputs are there.

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Softmax, argmax and the names of the classes."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the names."""
        path = Path(args["model_repository"], args["model_version"], "labels.json")
        self._labels = json.loads(path.read_text())

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer request by request."""
        responses = []
        for request in requests:
            logits = pb_utils.get_input_tensor_by_name(request, "logits").as_numpy()
            exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
            scores = exponentials / exponentials.sum(axis=-1, keepdims=True)
            best = scores.argmax(axis=-1)
            labels = np.array([[self._labels[index].encode()] for index in best], dtype=object)
            tensors = [
                pb_utils.Tensor("label", labels),
                pb_utils.Tensor("score", scores.max(axis=-1, keepdims=True).astype(np.float32)),
            ]
            responses.append(pb_utils.InferenceResponse(tensors))
        return responses
