"""Triton Python model: texts to token tensors."""

# mypy: disable-error-code="union-attr"
# Triton makes sure that inputs are there.

from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from transformers import AutoTokenizer

OUTPUTS = ("input_ids", "token_type_ids", "attention_mask")


class TritonPythonModel:
    """The checkpoint's tokenizer."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load it."""
        folder = Path(args["model_repository"], args["model_version"], "tokenizer")
        self._tokenizer = AutoTokenizer.from_pretrained(folder)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Tokenize request by request."""
        responses = []
        for request in requests:
            texts = pb_utils.get_input_tensor_by_name(request, "text_input").as_numpy()
            tokens = self._tokenizer(
                [text.decode("utf-8") for text in texts.reshape(-1)],
                padding=True,
                truncation=True,
                return_tensors="np",
            )
            tensors = [pb_utils.Tensor(name, tokens[name].astype(np.int64)) for name in OUTPUTS]
            responses.append(pb_utils.InferenceResponse(tensors))
        return responses
