"""Triton Python-based backend `onnxruntime` over the onnxruntime package.

A model whose config.pbtxt says `backend: "onnxruntime"` loads unchanged. Parameters and load-time
checks follow the official backend (github.com/triton-inference-server/onnxruntime_backend, README
and src/onnxruntime.cc). One parameter is ours: `caller_threads`, see `thread_plan`.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils
from cpu_budget import cpu_budget
from session_settings import providers, session_options, thread_plan
from tensor_checks import check_tensors


class TritonPythonModel:
    """One ONNX Runtime session, run from several threads.

    `InferenceSession.run` is thread-safe and releases the GIL, so `execute` only hands requests to
    a pool and returns: weights and their prepacked copies are in memory once however many requests
    run at a time. Each request is run alone: on a CPU a batch of unequal texts only adds padding.
    """

    def initialize(self, args: dict[str, str]) -> None:
        """Load `<repository>/<version>/model.onnx` and check it against the configuration.

        Raises:
            pb_utils.TritonModelException: the file cannot be loaded, or config and graph disagree.
        """
        config = json.loads(args["model_config"])
        filename = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"], args["model_version"], filename)
        instances = sum(int(group.get("count", 1)) for group in config.get("instance_group", []))
        ort.disable_telemetry_events()
        try:
            threads = thread_plan(config, cpu_budget(), max(1, instances))
            self._session = ort.InferenceSession(
                str(path),
                session_options(config, threads),
                providers=providers(config, args, ort.get_available_providers()),
            )
            check_tensors(config, self._session.get_inputs(), self._session.get_outputs())
        except Exception as error:
            raise pb_utils.TritonModelException(
                f"unable to load model '{args['model_name']}': {path.name}: {error}"
            ) from error
        self._inputs = [tensor.name for tensor in self._session.get_inputs()]
        self._pool = ThreadPoolExecutor(threads.callers, thread_name_prefix="onnxruntime")
        pb_utils.Logger.log_info(
            f"onnxruntime {ort.__version__}: {threads.callers} caller threads x"
            f" {threads.intra_op} intra-op threads, {self._session.get_providers()[0]}"
        )

    def execute(self, requests: list[Any]) -> None:
        """Queue every request; each gets exactly one response through its own sender."""
        for request in requests:
            # The shared memory behind a request belongs to execute(), so the pool gets copies.
            feeds = {
                name: np.array(pb_utils.get_input_tensor_by_name(request, name).as_numpy())
                for name in self._inputs
            }
            outputs = list(request.requested_output_names())
            self._pool.submit(self._respond, request.get_response_sender(), feeds, outputs)

    def _respond(self, sender: Any, feeds: dict[str, Any], outputs: list[str]) -> None:
        try:
            values = self._session.run(outputs, feeds)
            response = pb_utils.InferenceResponse(
                [pb_utils.Tensor(name, value) for name, value in zip(outputs, values, strict=True)]
            )
        except Exception as error:
            response = pb_utils.InferenceResponse([], pb_utils.TritonError(str(error)))
        sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def finalize(self) -> None:
        """Wait for the requests in flight."""
        self._pool.shutdown(wait=True)
