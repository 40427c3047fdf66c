"""What tensors inside of a graph are: types, shapes and values, found by running it."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx

from utils.artifacts import GRAPH_FILE
from utils.external_data import save_graph
from utils.frameworks import onnxruntime
from utils.precision.fp16.graph_index import needed_parts

Feeds = Mapping[str, npt.NDArray[Any]]


@contextmanager
def opened(
    model: onnx.ModelProto, optimized: bool = True
) -> Iterator[onnxruntime.InferenceSession]:
    """A session of a model in memory, on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimized:
        # Every tensor keeps its name and is computed as the graph says.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, GRAPH_FILE)
        save_graph(model, path)
        yield onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def tensor_types(model: onnx.ModelProto) -> dict[str, str]:
    """ONNX Runtime's name of the type of every tensor that a node of the outermost graph makes.

    onnx's own inference knows nothing of ONNX Runtime's operators.
    """
    with opened(_showing(model, _made(model)), optimized=False) as session:
        return {item.name: item.type for item in session.get_outputs()}


def tensor_values(
    model: onnx.ModelProto, names: Sequence[str], feeds: Feeds
) -> dict[str, npt.NDArray[Any]]:
    """Tensors for one batch; what they do not depend on is not computed."""
    with opened(_showing(model, names), optimized=False) as session:
        return dict(zip(names, session.run(list(names), dict(feeds)), strict=True))


def _made(model: onnx.ModelProto) -> list[str]:
    return [name for node in model.graph.node for name in node.output if name]


def _showing(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """The part of a model that makes the named tensors, with these as its outputs."""
    part = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    nodes, weights = needed_parts(model.graph, names)
    part.graph.name = model.graph.name
    part.graph.node.extend(nodes)
    part.graph.initializer.extend(weights)
    part.graph.input.extend(model.graph.input)
    # ONNX Runtime fills in type and shape itself.
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return part
