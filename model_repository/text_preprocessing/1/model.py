"""Text to token tensors with the Rust tokenizer, in this folder's tokenizer.json."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from tokenization import INPUT_NAMES, Tokenization
from tokenizers import Tokenizer


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
        parameters = {name: value["string_value"] for name, value in config["parameters"].items()}
        self._inputs = [entry["name"] for entry in config["input"]]
        types = {entry["name"]: entry["data_type"] for entry in config["output"]}
        del types["truncated"]
        unknown = sorted(types.keys() - set(INPUT_NAMES))
        if unknown:
            raise pb_utils.TritonModelException(f"no tokenizer makes {', '.join(unknown)}")
        self._types = {
            name: pb_utils.triton_string_to_numpy(data_type) for name, data_type in types.items()
        }
        folder = Path(args["model_repository"], args["model_version"])
        self._tokenization = Tokenization(
            Tokenizer.from_file(str(folder / "tokenizer.json")),
            pairs=len(self._inputs) == 2,
            long_text=parameters["long_text"],
            max_windows=int(parameters["max_windows"]),
            length_multiple=int(parameters["length_multiple"]),
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response for each request; a bad text fails its own request only."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: Any) -> Any:
        try:
            encoded = self._tokenization.encode(*(_texts(request, name) for name in self._inputs))
        except ValueError as error:
            return pb_utils.InferenceResponse([], pb_utils.TritonError(str(error)))
        arrays = self._tokenization.tensors(encoded.rows)
        values = {
            name: arrays[name].astype(dtype, copy=False) for name, dtype in self._types.items()
        }
        values["truncated"] = np.array(encoded.truncated).reshape(-1, 1)
        wanted = request.requested_output_names()
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, value) for name, value in values.items() if name in wanted]
        )


def _texts(request: Any, name: str) -> list[str]:
    """The rows of a BYTES tensor.

    Raises:
        ValueError: a row is not UTF-8; the message says which and where.
    """
    texts = []
    rows = pb_utils.get_input_tensor_by_name(request, name).as_numpy().reshape(-1)
    for number, row in enumerate(rows):
        try:
            texts.append(row.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{name}: row {number} is not UTF-8 ({error.reason} at byte {error.start})"
            ) from error
    return texts
