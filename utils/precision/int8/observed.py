"""What flows through a graph while sample texts run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from utils.errors import UserError, first_line
from utils.frameworks import onnxruntime
from utils.precision.int8.linears import FloatArray

Batch = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Observed:
    """What a tensor held while sample texts ran.

    Attributes:
        low: the least value of each channel [inputs].
        high: the greatest.
        of_tokens: whether it has rows for tokens, and not just for texts.
    """

    low: FloatArray
    high: FloatArray
    of_tokens: bool


def observe(
    graph_file: Path, names: Sequence[str], batches: Sequence[Batch]
) -> dict[str, Observed]:
    """Run batches of texts and tell what the named tensors of the graph held.

    Raises:
        UserError: ONNX Runtime fails on the graph.
    """
    model = onnx.load(str(graph_file), load_external_data=False)
    outputs = {value.name for value in model.graph.output}
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in names
        if name not in outputs
    )
    options = onnxruntime.SessionOptions()
    # It tells of unused weights, and of errors once more than it raises them.
    options.log_severity_level = 4
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(graph_file.parent)
    )
    observed: dict[str, Observed] = {}
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for batch in batches:
            texts = max(math.prod(array.shape[:-1]) for array in batch.values())
            for name, values in zip(names, session.run(names, dict(batch)), strict=True):
                observed[name] = _joined(observed.get(name), values, texts)
    except Exception as error:
        raise UserError("precision", f"ONNX Runtime fails: {first_line(error)}") from error
    return observed


def _joined(before: Observed | None, values: FloatArray, texts: int) -> Observed:
    rows = values.reshape(-1, values.shape[-1])
    # What some models compute for padding is not a number.
    rows = rows[np.isfinite(rows).all(axis=-1)]
    of_tokens = len(rows) > texts
    if not len(rows):
        rows = np.zeros((1, values.shape[-1]), np.float32)
    low, high = rows.min(axis=0), rows.max(axis=0)
    if before is None:
        return Observed(low, high, of_tokens)
    return Observed(
        np.minimum(before.low, low),
        np.maximum(before.high, high),
        before.of_tokens or of_tokens,
    )
