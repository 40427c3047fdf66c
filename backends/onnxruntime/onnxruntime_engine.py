"""A graph in ONNX Runtime, as a model configuration asks for it.

The Triton model and the build's gates open graphs with this, so that what is measured is what is
served.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from cpu_budget import cpu_budget, instance_count
from session_settings import one_caller, providers, session_options, thread_plan
from tensor_checks import check_tensors


class Engine:
    """One session; `run` may be called from `callers` threads at once.

    Args:
        path: the ONNX file.
        config: a Triton model configuration, as JSON with the names of model_config.proto.
        args: what Triton's Python backend passes to `initialize`; of these the instance kind and
            device.

    Raises:
        ValueError: configuration and graph disagree, or a parameter is none of the backend's.
        Exception: ONNX Runtime cannot load the file.
    """

    # The configuration of an engine that runs one call at a time, on so many threads.
    for_one_caller = staticmethod(one_caller)

    def __init__(self, path: Path, config: Mapping[str, Any], args: Mapping[str, str]) -> None:
        ort.disable_telemetry_events()
        threads = thread_plan(config, cpu_budget(), instance_count(config))
        wanted = providers(config, args, ort.get_available_providers())
        self._session = ort.InferenceSession(
            str(path), session_options(config, threads), providers=wanted, enable_fallback=0
        )
        # Without its driver it only logs that a provider cannot be had, and takes the next one.
        for name, _ in wanted:
            if name not in self._session.get_providers():
                raise ValueError(f"{name} cannot be started here, see the log above")
        check_tensors(config, self._session.get_inputs(), self._session.get_outputs())
        self.callers = threads.callers
        self.inputs = [tensor.name for tensor in self._session.get_inputs()]
        self.description = (
            f"onnxruntime {ort.__version__}: {threads.callers} caller threads x"
            f" {threads.intra_op} intra-op threads, {self._session.get_providers()[0]}"
        )

    def run(
        self, outputs: Sequence[str] | None, feeds: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[np.float32]]:
        """The wanted outputs, or all for None, of one batch.

        Raises:
            Exception: ONNX Runtime fails on it.
        """
        values: list[npt.NDArray[np.float32]] = self._session.run(outputs, feeds)
        return values
