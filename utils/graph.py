"""Inputs and outputs of a graph, as Triton's configurations name them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from utils.errors import UserError
from utils.external_data import check_external_data

TRITON_TYPES = {
    onnx.TensorProto.INT32: "TYPE_INT32",
    onnx.TensorProto.INT64: "TYPE_INT64",
    onnx.TensorProto.FLOAT: "TYPE_FP32",
}

# What tokens can be.
NUMPY_TYPES: dict[str, np.dtype[Any]] = {
    "TYPE_INT32": np.dtype(np.int32),
    "TYPE_INT64": np.dtype(np.int64),
}


@dataclass(frozen=True)
class Tensor:
    """A graph input or output: Triton's type name, dims without the batch dimension."""

    name: str
    data_type: str
    dims: tuple[int, ...]

    def config(self) -> str:
        """As an item of a config.pbtxt `input` or `output` list."""
        return f'{{ name: "{self.name}" data_type: {self.data_type} dims: [ {_list(self.dims)} ] }}'

    def warmup(self, folder: Path) -> str:
        """As an item of `model_warmup.inputs`, with the values of `folder`.

        Real tokens: some graphs fail on zeros, as those that look for an end-of-text token.

        Raises:
            UserError: `folder` has no values of this tensor.
        """
        path = folder / self.name
        if not path.is_file() or self.data_type not in NUMPY_TYPES:
            raise UserError(path, "no token ids", "run utils/convert_to_onnx.py again")
        # All dimensions but the last are 1: one text, and where texts have windows one of them.
        dims = [1] * len(self.dims[:-1]) + [
            path.stat().st_size // NUMPY_TYPES[self.data_type].itemsize
        ]
        return (
            f'inputs {{ key: "{self.name}" value {{ data_type: {self.data_type}'
            f' dims: [ {_list(dims)} ] input_data_file: "{self.name}" }} }}'
        )

    def mapping(self, kind: str) -> str:
        """As a line of an ensemble step, under its own name."""
        return f'{kind} {{ key: "{self.name}" value: "{self.name}" }}'


def graph_tensors(graph_file: Path) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs of an ONNX file.

    Raises:
        UserError: the file cannot be read as ONNX, or a tensor has a type that is not served.
    """
    try:
        model = onnx.load(str(graph_file), load_external_data=False)
    except FileNotFoundError as error:
        raise UserError(graph_file, "no such file") from error
    except Exception as error:
        raise UserError(graph_file, "not an ONNX file") from error
    check_external_data(graph_file, model)
    graph = model.graph
    if not graph.input or not graph.output:
        raise UserError(graph_file, "has no inputs or no outputs")
    inputs = [_tensor(value, graph_file) for value in graph.input]
    return inputs, [_tensor(value, graph_file) for value in graph.output]


def config_list(tensors: Sequence[Tensor]) -> str:
    """As the items of a config.pbtxt `input` or `output` list, one a line."""
    return ",\n  ".join(tensor.config() for tensor in tensors)


def _tensor(value: onnx.ValueInfoProto, subject: Path) -> Tensor:
    tensor = value.type.tensor_type
    if tensor.elem_type not in TRITON_TYPES:
        name = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise UserError(subject, f"tensor {value.name} has type {name}, which is not served")
    sizes = [item.dim_value if item.HasField("dim_value") else -1 for item in tensor.shape.dim]
    return Tensor(value.name, TRITON_TYPES[tensor.elem_type], tuple(sizes[1:]))


def _list(sizes: Sequence[int]) -> str:
    return ", ".join(str(size) for size in sizes)
