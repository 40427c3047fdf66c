"""Text to token tensors with the Rust tokenizer, in this folder's tokenizer.json.

Truncation and padding are part of that file, so nothing about the model is repeated here.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from tokenizers import Encoding, Tokenizer

# Which attribute of an encoding fills which input of the ONNX graph.
ENCODING_ATTRIBUTES = {
    "input_ids": "ids",
    "attention_mask": "attention_mask",
    "token_type_ids": "type_ids",
}


class TritonPythonModel:
    """text_input BYTES [n, 1] to one integer tensor [n, tokens] for each input of the graph."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the tokenizer and the names and types of the wanted tensors."""
        folder = Path(args["model_repository"], args["model_version"])
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._outputs = [
            (
                output["name"],
                ENCODING_ATTRIBUTES[output["name"]],
                pb_utils.triton_string_to_numpy(output["data_type"]),
            )
            for output in json.loads(args["model_config"])["output"]
        ]

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response for each request; a text that is not UTF-8 fails its own request only."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: Any) -> Any:
        items = pb_utils.get_input_tensor_by_name(request, "text_input").as_numpy().reshape(-1)
        try:
            texts = [item.decode("utf-8") for item in items]
        except UnicodeDecodeError as error:
            return pb_utils.InferenceResponse(
                [], pb_utils.TritonError(f"text_input: not UTF-8 ({error.reason})")
            )
        encodings = self._tokenizer.encode_batch(texts)
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor(name, _column(encodings, attribute, dtype))
                for name, attribute, dtype in self._outputs
            ]
        )


def _column(encodings: list[Encoding], attribute: str, dtype: type) -> np.ndarray:
    return np.array([getattr(encoding, attribute) for encoding in encodings], dtype=dtype)
