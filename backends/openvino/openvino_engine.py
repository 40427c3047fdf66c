"""A graph in OpenVINO, as a model configuration asks for it.

The Triton model and the build's gates open graphs with this, so that what is measured is what is
served.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from compile_settings import compile_settings, one_caller
from cpu_budget import cpu_budget, instance_count
from tensor_checks import check_tensors

# OpenVINO's type names and ONNX's, which tensor_checks.py compares with Triton's.
ONNX_TYPES = {
    "boolean": "tensor(bool)",
    "u8": "tensor(uint8)",
    "u16": "tensor(uint16)",
    "u32": "tensor(uint32)",
    "u64": "tensor(uint64)",
    "i8": "tensor(int8)",
    "i16": "tensor(int16)",
    "i32": "tensor(int32)",
    "i64": "tensor(int64)",
    "f16": "tensor(float16)",
    "f32": "tensor(float)",
}


@dataclass
class ModelTensor:
    """An input or output of the compiled model, as tensor_checks.py wants it."""

    name: str
    type: str
    shape: list[int | str | None]
    port: Any


class Engine:
    """One compiled model; `run` may be called from `callers` threads at once.

    Weights are in memory once; each of OpenVINO's streams runs one request at a time.

    Args:
        path: an ONNX file or what else OpenVINO reads.
        config: a Triton model configuration, as JSON with the names of model_config.proto.
        args: what Triton's Python backend passes to `initialize`; of these the instance kind.

    Raises:
        ValueError: configuration and graph disagree, or a parameter is none of the backend's.
        Exception: OpenVINO cannot load the file.
    """

    # The configuration of an engine that runs one call at a time, on so many threads.
    for_one_caller = staticmethod(one_caller)

    def __init__(self, path: Path, config: Mapping[str, Any], args: Mapping[str, str]) -> None:
        if args.get("model_instance_kind") == "GPU":
            raise ValueError("only instances of KIND_CPU and KIND_AUTO are supported")
        settings = compile_settings(config, cpu_budget(), instance_count(config))
        core = ov.Core()
        if settings.extension:
            core.add_extension(settings.extension)
        self._model = core.compile_model(str(path), "CPU", settings.properties)
        precision = self._model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if precision != settings.precision:
            raise ValueError(f"OpenVINO runs {precision} where {settings.precision} was asked")
        inputs = _tensors(self._model.inputs, config.get("input", []))
        outputs = _tensors(self._model.outputs, config.get("output", []))
        check_tensors(config, inputs, outputs)
        # A table that is made at its first use: two threads at once wait for each other for ever
        # (openvino 2026.4.1, seen).
        ov.Type.i64.to_dtype()
        self._inputs = {tensor.name: tensor.port for tensor in inputs}
        self._outputs = {tensor.name: tensor.port for tensor in outputs}
        self._requests = threading.local()
        self.inputs = list(self._inputs)
        self.callers = int(self._model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self.description = (
            f"openvino {ov.__version__.split('-')[0]}: {self.callers} streams,"
            f" {self._model.get_property('INFERENCE_NUM_THREADS')} threads, {precision}"
        )

    def run(
        self, outputs: Sequence[str] | None, feeds: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[np.float32]]:
        """The wanted outputs, or all for None, of one batch.

        Raises:
            Exception: OpenVINO fails on it.
        """
        if not hasattr(self._requests, "own"):
            self._requests.own = self._model.create_infer_request()
        # Inputs are this call's own; results are copied, the next call writes there.
        values = self._requests.own.infer(
            {self._inputs[name]: array for name, array in feeds.items()}, share_inputs=True
        )
        names = self._outputs if outputs is None else outputs
        return [values[self._outputs[name]] for name in names]


def _tensors(ports: Sequence[Any], configured: Sequence[Mapping[str, Any]]) -> list[ModelTensor]:
    """Ports under the name that the configuration uses: OpenVINO may know several for one."""
    wanted = {entry["name"] for entry in configured}
    tensors = []
    for port in ports:
        names = sorted(port.get_names())
        if not names:
            raise ValueError("the model has an input or output without a name")
        if port.partial_shape.rank.is_dynamic:
            raise ValueError(f"'{names[0]}' has no fixed number of dimensions")
        kind = port.element_type.get_type_name()
        shape: list[int | str | None] = [
            size.get_length() if size.is_static else None for size in port.partial_shape
        ]
        name = next((known for known in names if known in wanted), names[0])
        tensors.append(ModelTensor(name, ONNX_TYPES.get(kind, kind), shape, port))
    return tensors
