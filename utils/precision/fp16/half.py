"""From a graph in fp32 to the same one in fp16.

onnxruntime.transformers' converter casts between two nodes that stay in fp32 to fp16 and back, and
names casts twice.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from utils.errors import UserError
from utils.precision.fp16.graph_index import attribute, has_subgraphs, index_graph
from utils.precision.fp16.in_fp32 import stays_in_fp32
from utils.precision.fp16.probing import tensor_types

# Hides a token, and leaves room below for a score and for a second mask.
LOWEST = -3e4

LARGEST_HALF = float(np.finfo(np.float16).max)

ENDINGS = {TensorProto.FLOAT16: "/half", TensorProto.FLOAT: "/single"}


def soften_masks(model: onnx.ModelProto) -> None:
    """Give numbers that fp16 cannot hold, as masks are made of, values that it can, in place."""
    for tensor in constants(model.graph):
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = np.asarray(numpy_helper.to_array(tensor))
        beyond = np.isfinite(values) & (np.abs(values) > LARGEST_HALF)
        if beyond.any():
            softened = np.where(beyond, np.sign(values) * -LOWEST, values).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(softened, tensor.name))


def constants(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Weights, and the values of Constant and ConstantOfShape."""
    yield from graph.initializer
    for node in graph.node:
        if node.op_type in ("Constant", "ConstantOfShape"):
            yield from (item.t for item in node.attribute if item.name == "value")


def to_half(model: onnx.ModelProto) -> None:
    """Convert in place; inputs and outputs stay as they are.

    Raises:
        UserError: the graph has branches or loops.
    """
    graph = model.graph
    if has_subgraphs(graph):
        raise UserError("precision", "a graph with branches or loops is not converted to fp16")
    last = _casts_of_outputs(graph)
    _constants_to_weights(graph)
    index = index_graph(graph)
    floats = {name for name, kind in tensor_types(model).items() if kind == "tensor(float)"}
    stays = stays_in_fp32(graph, floats)
    computed = {
        id(node): TensorProto.FLOAT if node.output[0] in stays else TensorProto.FLOAT16
        for node in index.nodes
    }
    own = {name: computed[id(node)] for name, node in index.producers.items() if name in floats}
    singles = {name for name, item in index.weights.items() if item.data_type == TensorProto.FLOAT}
    nodes: list[onnx.NodeProto] = []
    converted: set[str] = set()
    for node in index.nodes:
        wanted = computed[id(node)]
        for place, name in enumerate(node.input):
            if name not in singles and own.get(name, wanted) == wanted:
                continue
            node.input[place] = name + ENDINGS[wanted]
            if name not in singles and node.input[place] not in converted:
                nodes.append(helper.make_node("Cast", [name], [node.input[place]], to=wanted))
            converted.add(node.input[place])
        if wanted == TensorProto.FLOAT16:
            _compute_in_half(node)
        nodes.append(node)
    del graph.node[:], graph.value_info[:]
    graph.node.extend([*nodes, *last])
    weights = [tensor for tensor in graph.initializer if tensor.name not in singles]
    for name in sorted(singles):
        weights += _versions(index.weights[name], converted)
    del graph.initializer[:]
    graph.initializer.extend(weights)


def _casts_of_outputs(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Give the tensors behind the graph's outputs other names, and make the outputs of those."""
    shown = [value.name for value in graph.output]
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name in shown:
                    names[place] = f"{name}/last"
    return [helper.make_node("Cast", [f"{name}/last"], [name], to=1) for name in shown]


def _constants_to_weights(graph: onnx.GraphProto) -> None:
    """A Constant is one tensor for all who take it; a weight can be had in both precisions."""
    kept = []
    for node in graph.node:
        value = attribute(node, "value") if node.op_type == "Constant" else None
        if value is None:
            kept.append(node)
        else:
            graph.initializer.append(value)
            graph.initializer[-1].name = node.output[0]
    del graph.node[:]
    graph.node.extend(kept)


def _compute_in_half(node: onnx.NodeProto) -> None:
    """Change what a node says of its own type."""
    for item in node.attribute:
        if node.op_type == "Cast" and item.name == "to" and item.i == TensorProto.FLOAT:
            item.i = TensorProto.FLOAT16
        elif item.HasField("t") and item.t.data_type == TensorProto.FLOAT:
            item.t.CopyFrom(_in_half(item.t, item.t.name))


def _versions(tensor: onnx.TensorProto, names: set[str]) -> Iterator[onnx.TensorProto]:
    """A weight in the precisions that are asked for."""
    if tensor.name + ENDINGS[TensorProto.FLOAT16] in names:
        yield _in_half(tensor, tensor.name + ENDINGS[TensorProto.FLOAT16])
    if tensor.name + ENDINGS[TensorProto.FLOAT] in names:
        single = onnx.TensorProto()
        single.CopyFrom(tensor)
        single.name += ENDINGS[TensorProto.FLOAT]
        yield single


def _in_half(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    with np.errstate(over="ignore"):
        values = np.asarray(numpy_helper.to_array(tensor)).astype(np.float16)
    return numpy_helper.from_array(values, name)
