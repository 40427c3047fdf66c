"""What models of Triton's Python backend import, for models that run inside the server.

Names and behaviour are those of python_backend's README
(github.com/triton-inference-server/python_backend), as far as a model needs them that gives every
request one response: no BLS, no decoupled models, no tensors in the memory of a GPU.
"""

import ctypes
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from triton_native import CRequest, CTensor, CTimes, native

Array = npt.NDArray[Any]

TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1

# TRITONSERVER_DataType of tritonserver.h, in its order, with the names of model_config.proto.
_TYPES: tuple[tuple[str, Any], ...] = (
    ("TYPE_INVALID", None),
    ("TYPE_BOOL", np.bool_),
    ("TYPE_UINT8", np.uint8),
    ("TYPE_UINT16", np.uint16),
    ("TYPE_UINT32", np.uint32),
    ("TYPE_UINT64", np.uint64),
    ("TYPE_INT8", np.int8),
    ("TYPE_INT16", np.int16),
    ("TYPE_INT32", np.int32),
    ("TYPE_INT64", np.int64),
    ("TYPE_FP16", np.float16),
    ("TYPE_FP32", np.float32),
    ("TYPE_FP64", np.float64),
    ("TYPE_STRING", np.object_),
)
_NUMPY_TYPES = [dtype for _, dtype in _TYPES]
_BY_NAME = dict(_TYPES)
_NUMBERS = {np.dtype(dtype): number for number, dtype in enumerate(_NUMPY_TYPES) if dtype}
_BYTES = _NUMBERS[np.dtype(np.object_)]

_string_at = ctypes.string_at
_size_of_bytes = struct.Struct("<I")


class TritonModelException(Exception):  # noqa: N818, the name is Triton's
    """A model cannot be loaded or cannot go on."""


class TritonError:
    """Why a request fails."""

    # TRITONSERVER_Error_Code of tritonserver.h
    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE, UNSUPPORTED, ALREADY_EXISTS = range(7)
    CANCELLED = 7

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        self._message = message
        self._code = code

    def message(self) -> str:
        """The text that the client gets."""
        return self._message

    def code(self) -> int:
        """TRITONSERVER_Error_Code."""
        return self._code


class Logger:
    """The server's log."""

    INFO, WARNING, ERROR, VERBOSE = range(4)

    @staticmethod
    def log(message: str, level: int = INFO) -> None:
        """A line of a level."""
        native.log_message(level, message.encode())

    @staticmethod
    def log_info(message: str) -> None:
        """A line that is no problem."""
        native.log_message(Logger.INFO, message.encode())

    @staticmethod
    def log_warn(message: str) -> None:
        """A line that may be one."""
        native.log_message(Logger.WARNING, message.encode())

    @staticmethod
    def log_error(message: str) -> None:
        """A line that is one."""
        native.log_message(Logger.ERROR, message.encode())


class Tensor:
    """A name and an array; BYTES are arrays of objects."""

    __slots__ = ("_array", "_name")

    def __init__(self, name: str, array: Array) -> None:
        self._name = name
        self._array = array

    def name(self) -> str:
        """Its name in the model's configuration."""
        return self._name

    def as_numpy(self) -> Array:
        """The values; of an input they cannot be written to."""
        return self._array


class InferenceResponse:
    """Output tensors, or why there are none."""

    __slots__ = ("_error", "_tensors")

    def __init__(
        self, output_tensors: Sequence[Tensor] = (), error: TritonError | None = None
    ) -> None:
        self._tensors = output_tensors
        self._error = error

    def output_tensors(self) -> Sequence[Tensor]:
        """The tensors."""
        return self._tensors

    def has_error(self) -> bool:
        """Whether the request failed."""
        return self._error is not None

    def error(self) -> TritonError | None:
        """Why."""
        return self._error


class InferenceRequest:
    """A request, which has to get one response; it is its own response sender."""

    __slots__ = ("_id", "_inputs", "_instance", "_outputs", "_request", "_times")

    def __init__(self, request: CRequest) -> None:
        self._instance: int = request.instance
        self._times = CTimes(request.started_ns, request.started_ns, 0)
        self._id: bytes = request.id or b""
        self._inputs: dict[str, Tensor] = {}
        self._outputs: list[str] = [
            name.decode() for name in request.outputs[: request.output_count]
        ]
        for tensor in request.inputs[: request.input_count]:
            name = tensor.name.decode()
            self._inputs[name] = Tensor(name, _array(tensor))
        # At last: one whose tensors cannot be read is not this one's to answer.
        self._request: int | None = request.request

    def __del__(self) -> None:
        # A request that nobody answers would wait in the server for ever.
        if not getattr(self, "answered", True):
            self.fail("the model gave no response")

    @property
    def answered(self) -> bool:
        """Whether it has its response."""
        return self._request is None

    def inputs(self) -> list[Tensor]:
        """The input tensors."""
        return list(self._inputs.values())

    def requested_output_names(self) -> list[str]:
        """The outputs that are wanted."""
        return self._outputs

    def request_id(self) -> str:
        """The id that the client gave, or ""."""
        return self._id.decode()

    def is_cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._request is None or bool(native.is_cancelled(self._request))

    def get_response_sender(self) -> "InferenceRequest":
        """What sends the response after `execute` has returned."""
        return self

    def set_times(self, started_ns: int, compute_started_ns: int, compute_ended_ns: int) -> None:
        """When work on it went on, by the monotonic clock, for the server's statistics.

        The official backend has no such thing.
        """
        self._times = CTimes(started_ns, compute_started_ns, compute_ended_ns)

    def count_run(self, batch_size: int, started_ns: int, ended_ns: int) -> None:
        """The model has run, for this request and maybe others, for the server's statistics.

        For models that answer through senders; the official backend has no such thing.
        """
        native.report_run(self._instance, batch_size, started_ns, ended_ns)

    def send(
        self, response: InferenceResponse, flags: int = TRITONSERVER_RESPONSE_COMPLETE_FINAL
    ) -> None:
        """Answer.

        Raises:
            TritonModelException: it is answered already, or this is not to be the only response.
        """
        if flags != TRITONSERVER_RESPONSE_COMPLETE_FINAL:
            raise TritonModelException("a request gets one response, which is the final one")
        error = response.error()
        if error is not None:
            self.fail(error.message(), error.code())
            return
        tensors = response.output_tensors()
        outputs, kept = (CTensor * len(tensors))(), []
        for output, tensor in zip(outputs, tensors, strict=True):
            kept.append(_describe(output, tensor))
        request = self._taken()
        native.respond(request, self._instance, self._times, outputs, len(tensors), None, 0)

    def fail(self, message: str, code: int = TritonError.INTERNAL) -> None:
        """Answer with an error."""
        text = message.encode(errors="replace").replace(b"\0", b"?")
        native.respond(self._taken(), self._instance, self._times, None, 0, text, code)

    def _taken(self) -> int:
        request, self._request = self._request, None
        if request is None:
            raise TritonModelException("the request has its response already")
        return request


def get_input_tensor_by_name(request: InferenceRequest, name: str) -> Any:
    """An input, a Tensor, or None."""
    return request._inputs.get(name)


def get_output_tensor_by_name(response: InferenceResponse, name: str) -> Any:
    """An output, a Tensor, or None."""
    return next((tensor for tensor in response.output_tensors() if tensor.name() == name), None)


def triton_string_to_numpy(name: str) -> Any:
    """The numpy type of a type of model_config.proto."""
    return _BY_NAME[name]


def get_input_config_by_name(model_config: Any, name: str) -> Any:
    """An input's entry in a model configuration, or None."""
    return next((entry for entry in model_config.get("input", []) if entry["name"] == name), None)


def get_output_config_by_name(model_config: Any, name: str) -> Any:
    """An output's entry in a model configuration, or None."""
    return next((entry for entry in model_config.get("output", []) if entry["name"] == name), None)


def using_decoupled_model_transaction_policy(model_config: Any) -> bool:
    """Whether a request may get several responses."""
    return bool(model_config.get("model_transaction_policy", {}).get("decoupled", False))


def deserialize_bytes_tensor(encoded: bytes) -> Array:
    """The rows of a BYTES tensor, one-dimensional.

    Raises:
        ValueError: the buffer is not what the protocol says.
    """
    rows, place, end = [], 0, len(encoded)
    while place < end:
        start = place + 4
        place = start + int.from_bytes(encoded[place:start], "little")
        if start > end or place > end:
            raise ValueError("a BYTES tensor is shorter than it says")
        rows.append(encoded[start:place])
    array = np.empty(len(rows), np.object_)
    array[:] = rows
    return array


def serialize_byte_tensor(array: Array) -> bytes:
    """The buffer of a BYTES tensor."""
    parts: list[bytes] = []
    for row in array.ravel().tolist():
        encoded = row if isinstance(row, bytes) else str(row).encode()
        parts += (_size_of_bytes.pack(len(encoded)), encoded)
    return b"".join(parts)


def _array(tensor: CTensor) -> Array:
    # A copy: the server's buffer is there during `execute` only.
    encoded = _string_at(tensor.data, tensor.byte_size)
    shape = tensor.shape[: tensor.dims_count]
    if tensor.datatype == _BYTES:
        return deserialize_bytes_tensor(encoded).reshape(shape)
    return np.frombuffer(encoded, _NUMPY_TYPES[tensor.datatype]).reshape(shape)


def _describe(output: CTensor, tensor: Tensor) -> bytes:
    """Fill in what the server copies from; the result has to live until then."""
    array = tensor.as_numpy()
    output.name = tensor.name().encode()
    output.shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    output.dims_count = array.ndim
    output.datatype = _BYTES if array.dtype.kind == "S" else _NUMBERS[array.dtype]
    encoded = serialize_byte_tensor(array) if output.datatype == _BYTES else array.tobytes()
    output.data = ctypes.cast(ctypes.c_char_p(encoded), ctypes.c_void_p)
    output.byte_size = len(encoded)
    return encoded
