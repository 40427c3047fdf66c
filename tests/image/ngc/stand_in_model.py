"""model.py of the stand-in's onnxruntime backend: our engine in the official Python backend.

Requests are run one after the other in `execute`, as that backend asks for.
"""

import json
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from onnxruntime_engine import Engine


class TritonPythonModel:
    """A graph as its model configuration asks for it."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph of the version folder."""
        config = json.loads(args["model_config"])
        path = Path(args["model_repository"], args["model_version"], "model.onnx")
        try:
            self._engine = Engine(path, config, args)
        except Exception as error:
            raise pb_utils.TritonModelException(str(error)) from error

    def execute(self, requests: list[Any]) -> list[Any]:
        """A response for each request."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        feeds = {
            name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            for name in self._engine.inputs
        }
        names = list(request.requested_output_names())
        values = zip(names, self._engine.run(names, feeds), strict=True)
        return pb_utils.InferenceResponse([pb_utils.Tensor(*value) for value in values])
