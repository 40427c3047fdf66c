"""A stand-in for Triton's `triton_python_backend_utils`, enough to run a model.py outside it."""

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

TRITON_TO_NUMPY: dict[str, type] = {
    "TYPE_BOOL": np.bool_,
    "TYPE_INT32": np.int32,
    "TYPE_INT64": np.int64,
    "TYPE_FP32": np.float32,
    "TYPE_STRING": np.object_,
}


class TritonModelException(Exception):  # noqa: N818, the name is Triton's
    """What a model raises when it cannot load."""


@dataclass
class Tensor:
    """A named array."""

    tensor_name: str
    array: Array

    def as_numpy(self) -> Array:
        """The array."""
        return self.array


@dataclass
class TritonError:
    """An error instead of outputs."""

    text: str


@dataclass
class Response:
    """Outputs, or an error."""

    tensors: list[Tensor]
    error: TritonError | None = None

    def outputs(self) -> dict[str, Array]:
        """Name to array; fails for a response that is an error."""
        assert self.error is None, self.error
        return {tensor.tensor_name: tensor.array for tensor in self.tensors}


@dataclass
class Request:
    """Input arrays by name, the names of the wanted outputs, and what a sender got."""

    inputs: Mapping[str, Array]
    wanted: Sequence[str] = ()
    sent: list[tuple[Response, int]] = field(default_factory=list)

    def requested_output_names(self) -> list[str]:
        """As Triton's."""
        return list(self.wanted)

    def get_response_sender(self) -> Any:
        """A sender that keeps what it is told to send."""
        return SimpleNamespace(
            send=lambda response, flags: self.sent.append((response, flags)),
            set_times=lambda *_: None,
            count_run=lambda *_: None,
        )


def _input(request: Request, name: str) -> Tensor:
    return Tensor(name, request.inputs[name])


def stub() -> ModuleType:
    """The module."""
    module = ModuleType("triton_python_backend_utils")
    vars(module).update(
        Tensor=Tensor,
        TritonError=TritonError,
        InferenceResponse=Response,
        TritonModelException=TritonModelException,
        get_input_tensor_by_name=_input,
        triton_string_to_numpy=TRITON_TO_NUMPY.__getitem__,
        TRITONSERVER_RESPONSE_COMPLETE_FINAL=1,
        Logger=SimpleNamespace(log_info=lambda _: None),
    )
    return module


def load_model_file(path: Path) -> ModuleType:
    """A model.py, imported with the stub in the place of Triton's module.

    As in Triton, the modules beside it can be imported by name.
    """
    name = f"loaded_{path.parent.parent.name}_{path.parent.name}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["triton_python_backend_utils"] = stub()
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
        del sys.modules["triton_python_backend_utils"]
    return module
