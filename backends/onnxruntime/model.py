"""Triton Python-based backend `onnxruntime` over the onnxruntime package.

A model whose config.pbtxt says `backend: "onnxruntime"` loads unchanged. Parameters and load-time
checks follow the official backend (github.com/triton-inference-server/onnxruntime_backend, README
and src/onnxruntime.cc). One parameter is ours: `caller_threads`, see `thread_plan`.
"""

from onnxruntime_engine import Engine
from served_graph import ServedGraph


class TritonPythonModel(ServedGraph):
    """One ONNX Runtime session; `InferenceSession.run` is thread-safe."""

    engine = Engine
    default_filename = "model.onnx"
