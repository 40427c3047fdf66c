"""Who makes and who takes each tensor of an ONNX graph, and what its constants are."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

# Do nothing where all is fp32.
TRANSPARENT = ("Cast", "Identity", "Dropout")


@dataclass(frozen=True)
class GraphIndex:
    """A graph at one moment; changes to it are not followed.

    Attributes:
        nodes: in the order of the file.
        producers: tensor name to the node that makes it; graph inputs and weights have none.
        consumers: tensor name to the nodes that take it.
        weights: name to initializer.
        outputs: names of the graph's outputs.
    """

    nodes: list[onnx.NodeProto]
    producers: dict[str, onnx.NodeProto]
    consumers: dict[str, list[onnx.NodeProto]]
    weights: dict[str, onnx.TensorProto]
    outputs: set[str]

    def maker(self, name: str, *op_types: str) -> onnx.NodeProto | None:
        """The node behind a tensor, past those that do nothing, if it is of one of the types."""
        node = self.producers.get(self.origin(name))
        return node if node is not None and node.op_type in op_types else None

    def origin(self, name: str) -> str:
        """The tensor itself, or the one that nodes which do nothing made it from."""
        node = self.producers.get(name)
        while (
            node is not None and node.op_type in TRANSPARENT and attribute(node, "to") in (None, 1)
        ):
            name = node.input[0]
            node = self.producers.get(name)
        return name

    def only_consumer(self, name: str) -> onnx.NodeProto | None:
        """The one node that takes a tensor, past those that do nothing; None for no or several."""
        takers = self.consumers.get(name, [])
        while len(takers) == 1 and takers[0].op_type in TRANSPARENT and name not in self.outputs:
            name = takers[0].output[0]
            takers = self.consumers.get(name, [])
        return takers[0] if len(takers) == 1 and name not in self.outputs else None

    def constant(self, name: str) -> npt.NDArray[Any] | None:
        """The value of a weight or Constant, None for what is computed."""
        node = self.producers.get(name)
        if name in self.weights:
            return np.asarray(numpy_helper.to_array(self.weights[name]))
        if node is not None and node.op_type == "Constant" and attribute(node, "value") is not None:
            return np.asarray(numpy_helper.to_array(attribute(node, "value")))
        return None


def index_graph(graph: onnx.GraphProto) -> GraphIndex:
    """Index the outermost graph."""
    consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            consumers[name].append(node)
    return GraphIndex(
        list(graph.node),
        {name: node for node in graph.node for name in node.output if name},
        consumers,
        {tensor.name: tensor for tensor in graph.initializer},
        {value.name for value in graph.output},
    )


def attribute(node: onnx.NodeProto, name: str) -> Any:
    """The value of a node's attribute, None where it has none of the name."""
    return next(
        (onnx.helper.get_attribute_value(item) for item in node.attribute if item.name == name),
        None,
    )


def has_subgraphs(graph: onnx.GraphProto) -> bool:
    """Whether a node holds graphs of its own (If, Loop), which may take any tensor from outside."""
    return any(item.HasField("g") or item.graphs for node in graph.node for item in node.attribute)


def needed_parts(
    graph: onnx.GraphProto, outputs: Iterable[str]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The nodes and weights that the named tensors depend on."""
    producers = {name: node for node in graph.node for name in node.output if name}
    needed: set[str] = set()
    open_names = list(outputs)
    while open_names:
        name = open_names.pop()
        if name in needed:
            continue
        needed.add(name)
        open_names += [] if name not in producers else list(producers[name].input)
    # Outputs and inputs that are left out have no name.
    needed.discard("")
    return (
        [node for node in graph.node if needed.intersection(node.output)],
        [tensor for tensor in graph.initializer if tensor.name in needed],
    )
