"""Load-time checks of a model configuration against the ONNX graph.

The same mistakes are refused as by the official backend (`ValidateInputs`, `ValidateOutputs` and
`CompareDimsSupported` in its sources), so that a repository that loads here also loads there.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

# ONNX Runtime's type names and Triton's (model_config.proto).
TRITON_TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(string)": "TYPE_STRING",
}


class GraphTensor(Protocol):
    """What `InferenceSession.get_inputs()` and `get_outputs()` give."""

    name: str
    type: str
    shape: list[int | str | None]


def check_tensors(
    config: Mapping[str, Any], inputs: Sequence[GraphTensor], outputs: Sequence[GraphTensor]
) -> None:
    """Compare names, types and shapes.

    Raises:
        ValueError: the first disagreement, naming tensor, configuration and graph.
    """
    configured = config.get("input", [])
    if len(configured) != len(inputs):
        raise ValueError(
            f"the configuration has {len(configured)} inputs, the model takes {len(inputs)}"
            f" ({_names(inputs)})"
        )
    batched = int(config.get("max_batch_size", 0)) > 0
    for kind, section, tensors in (
        ("input", configured, inputs),
        ("output", config.get("output", []), outputs),
    ):
        graph = {tensor.name: tensor for tensor in tensors}
        for entry in section:
            if entry["name"] not in graph:
                raise ValueError(
                    f"unexpected {kind} '{entry['name']}', the model has {_names(tensors)}"
                )
            _check_tensor(kind, entry, graph[entry["name"]], batched)


def _check_tensor(kind: str, entry: Mapping[str, Any], tensor: GraphTensor, batched: bool) -> None:
    triton_type = TRITON_TYPES.get(tensor.type)
    if entry["data_type"] != triton_type:
        raise ValueError(
            f"{kind} '{tensor.name}': the configuration says {entry['data_type']},"
            f" the model has {triton_type or tensor.type}"
        )
    reshaped = entry.get("reshape", {}).get("shape")
    dims = [int(size) for size in (entry["dims"] if reshaped is None else reshaped)]
    expected = [-1, *dims] if batched else dims
    actual = [size if isinstance(size, int) else -1 for size in tensor.shape]
    if batched and (not actual or actual[0] != -1):
        raise ValueError(
            f"{kind} '{tensor.name}': batching needs a first dimension of -1,"
            f" the model has {actual}"
        )
    fits = len(actual) == len(expected) and all(
        size in (-1, wanted) for size, wanted in zip(actual, expected, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{kind} '{tensor.name}': the configuration says {expected}"
            f" (batch dimension included), the model has {actual}"
        )


def _names(tensors: Sequence[GraphTensor]) -> str:
    return ", ".join(tensor.name for tensor in tensors)
