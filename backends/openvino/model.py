"""Triton Python-based backend `openvino` over the openvino package, for the CPU.

A model whose config.pbtxt says `backend: "openvino"` loads unchanged. Parameters and load-time
checks follow the official backend (github.com/triton-inference-server/openvino_backend, README
and src/openvino.cc), with two differences: a model in fp32 runs in fp32 unless `HINT_BF16` asks
for bf16, and a batch may have any size up to max_batch_size without being padded.
"""

from openvino_engine import Engine
from served_graph import ServedGraph


class TritonPythonModel(ServedGraph):
    """One compiled model, and an infer request for each thread."""

    engine = Engine
    default_filename = "model.xml"
