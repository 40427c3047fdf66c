"""Text to token tensors with the Rust tokenizer, in this folder's tokenizer.json."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from tokenization import decoded, read_tokenization


class TritonPythonModel:
    """text_input BYTES [n, 1], and text_pair of the same shape where the configuration has it.

    Makes one integer tensor [n, tokens], or [n, windows, tokens], for each input of the graph, and
    truncated BOOL [n, 1]: whether a part of the text was left out.
    """

    def initialize(self, args: dict[str, str]) -> None:
        """Read the tokenizer, what to do with long texts, names and types of the wanted tensors.

        Raises:
            pb_utils.TritonModelException: an output that no tokenizer makes.
        """
        config = json.loads(args["model_config"])
        self._inputs = [entry["name"] for entry in config["input"]]
        folder = Path(args["model_repository"], args["model_version"])
        try:
            self._tokenization = read_tokenization(folder, config)
        except ValueError as error:
            raise pb_utils.TritonModelException(str(error)) from error

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response for each request; a bad text fails its own request only."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: Any) -> Any:
        try:
            texts = [
                decoded(name, pb_utils.get_input_tensor_by_name(request, name).as_numpy())
                for name in self._inputs
            ]
            encoded = self._tokenization.encode(*texts)
        except ValueError as error:
            return pb_utils.InferenceResponse([], pb_utils.TritonError(str(error)))
        values = self._tokenization.tensors(encoded.rows)
        values["truncated"] = np.array(encoded.truncated).reshape(-1, 1)
        wanted = request.requested_output_names()
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, value) for name, value in values.items() if name in wanted]
        )
