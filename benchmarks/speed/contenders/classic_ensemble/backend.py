"""Triton Python-based backend: a graph in ONNX Runtime, with ONNX Runtime's default settings."""

# mypy: disable-error-code="union-attr"
# Triton makes sure that inputs are there.

from pathlib import Path
from typing import Any

import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One session, run in `execute`."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph."""
        path = Path(args["model_repository"], args["model_version"], "model.onnx")
        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self._inputs = [item.name for item in self._session.get_inputs()]
        self._outputs = [item.name for item in self._session.get_outputs()]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Run request by request."""
        responses = []
        for request in requests:
            feeds = {
                name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
                for name in self._inputs
            }
            values = self._session.run(self._outputs, feeds)
            tensors = [
                pb_utils.Tensor(name, value)
                for name, value in zip(self._outputs, values, strict=True)
            ]
            responses.append(pb_utils.InferenceResponse(tensors))
        return responses
