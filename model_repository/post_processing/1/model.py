"""Logits to labels and scores, as transformers' text-classification pipeline gives them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from scoring import FUNCTIONS, predictions, ranking


class TritonPythonModel:
    """logits FP32 [n, classes] to predicts BYTES [n, 1], labels BYTES and scores FP32 [n, k].

    logits are passed on. Labels and scores are the k best by falling score. `predicts` is the first
    label; of a multi-label problem a JSON list of the labels over their thresholds; of a regression
    the number.
    """

    def initialize(self, args: dict[str, str]) -> None:
        """Read labels and thresholds (index or label to value) and what to do with logits."""
        folder = Path(args["model_repository"], args["model_version"])
        id2label = json.loads((folder / "id2label.json").read_text(encoding="utf-8"))
        self._labels = [id2label[str(index)] for index in range(len(id2label))]
        self._encoded = np.array([label.encode("utf-8") for label in self._labels], dtype=object)
        parameters = {
            name: value["string_value"]
            for name, value in json.loads(args["model_config"])["parameters"].items()
        }
        self._function = FUNCTIONS[parameters["function"]]
        self._problem_type = parameters["problem_type"]
        self._top_k = int(parameters["top_k"])
        self._thresholds = None
        if self._problem_type == "multi_label_classification":
            thresholds = json.loads((folder / "thresholds.json").read_text(encoding="utf-8"))
            self._thresholds = np.array([thresholds[name] for name in self._labels], np.float32)

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response for each request, with the outputs that it asked for and no other."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: Any) -> Any:
        logits = pb_utils.get_input_tensor_by_name(request, "logits").as_numpy()
        scores = self._function(logits).astype(np.float32)
        wanted = request.requested_output_names()
        values = {"logits": logits}
        if "predicts" in wanted:
            texts = predictions(self._problem_type, scores, self._labels, self._thresholds)
            values["predicts"] = np.array([[text.encode("utf-8")] for text in texts], dtype=object)
        if "labels" in wanted or "scores" in wanted:
            best = ranking(scores)[:, : self._top_k]
            values["labels"] = self._encoded[best]
            values["scores"] = np.take_along_axis(scores, best, axis=-1)
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, value) for name, value in values.items() if name in wanted]
        )
