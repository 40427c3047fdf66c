"""Logits to labels and scores, as transformers' text-classification pipeline gives them."""

import json
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from scoring import Scoring


class TritonPythonModel:
    """logits FP32 [n, classes] to predicts BYTES [n, 1], labels BYTES and scores FP32 [n, k].

    logits are passed on. Labels and scores are the k best by falling score. `predicts` is the first
    label; of a multi-label problem a JSON list of the labels over their thresholds; of a regression
    the number.
    """

    def initialize(self, args: dict[str, str]) -> None:
        """Read labels and thresholds, and what to do with logits."""
        folder = Path(args["model_repository"], args["model_version"])
        self._scoring = Scoring(folder, json.loads(args["model_config"]))

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response for each request, with the outputs that it asked for and no other."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: Any) -> Any:
        logits = pb_utils.get_input_tensor_by_name(request, "logits").as_numpy()
        values = self._scoring.outputs(logits, request.requested_output_names())
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, value) for name, value in values.items()]
        )
