"""New nodes and weights for an ONNX graph."""

from collections.abc import Sequence
from graphlib import TopologicalSorter
from typing import Any

import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from utils.precision.fp16.graph_index import needed_parts

# Names of what is added; no exporter uses the prefix.
OWN = "fused/"


class Additions:
    """What is to be added to a model; what several places need is made once.

    `apply` puts it in, replaces whatever made the same tensors before, and removes what nothing
    needs any more.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._nodes: list[onnx.NodeProto] = []
        self._shared: dict[tuple[str, ...], str] = {}

    def node(
        self, op_type: str, inputs: Sequence[str], output: str = "", domain: str = "", **values: Any
    ) -> str:
        """Add a node; the name of its output."""
        number = len(self._nodes)
        output = output or f"{OWN}{op_type}_{number}"
        self._nodes.append(
            helper.make_node(
                op_type, inputs, [output], f"{OWN}node_{number}", domain=domain, **values
            )
        )
        return output

    def once(self, op_type: str, inputs: Sequence[str], **values: Any) -> str:
        """A node that is added when it is first asked for."""
        key = (op_type, *inputs, repr(values))
        if key not in self._shared:
            self._shared[key] = self.node(op_type, inputs, **values)
        return self._shared[key]

    def weight(self, name: str, array: npt.NDArray[Any]) -> str:
        """Add a weight unless there is one of the name already."""
        if ("weight", name) not in self._shared:
            self._shared["weight", name] = name
            self._model.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def apply(self) -> None:
        """Change the model."""
        graph = self._model.graph
        made = {name for node in self._nodes for name in node.output}
        nodes = [node for node in graph.node if not made.intersection(node.output)]
        ordered = in_order([*nodes, *self._nodes])
        del graph.node[:]
        graph.node.extend(ordered)
        nodes, weights = needed_parts(graph, [value.name for value in graph.output])
        del graph.node[:], graph.initializer[:]
        graph.node.extend(nodes)
        graph.initializer.extend(weights)
        known = {item.domain for item in self._model.opset_import}
        for domain in sorted({node.domain for node in self._nodes} - known):
            self._model.opset_import.append(helper.make_opsetid(domain, 1))


def in_order(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Nodes so that each comes after those it takes from, as ONNX wants them.

    Only for nodes that hold no graphs of their own.

    Raises:
        ValueError: a node needs what is made of its own output.
    """
    # Outputs that are left out have no name.
    makers = {name: number for number, node in enumerate(nodes) for name in node.output if name}
    sorter = TopologicalSorter(
        {
            number: {makers[name] for name in node.input if name in makers}
            for number, node in enumerate(nodes)
        }
    )
    return [nodes[number] for number in sorter.static_order()]
