"""Nodes of 8-bit products in place of a graph's linear layers."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from utils.precision.int8.linears import Linear
from utils.precision.int8.products import Product

MICROSOFT = "com.microsoft"

# No exporter uses the prefix.
NEW = "int8/"


def rewrite(model: onnx.ModelProto, products: Mapping[Linear, Product]) -> None:
    """Replace linear layers where they stand, so that the nodes stay in order."""
    graph = model.graph
    maker = _Maker()
    new = {linear.nodes[0]: maker.nodes(linear, product) for linear, product in products.items()}
    gone = {place for linear in products for place in linear.nodes}
    nodes: list[onnx.NodeProto] = []
    for place, node in enumerate(graph.node):
        nodes += new.get(place, []) if place in gone else [node]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(maker.tensors.values())
    drop_unused(graph, {linear.weight for linear in products})
    if all(item.domain != MICROSOFT for item in model.opset_import):
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))


class _Maker:
    """Makes nodes, and once what several layers need."""

    def __init__(self) -> None:
        self.tensors: dict[str, onnx.TensorProto] = {}
        self._made: set[str] = set()
        self._names: dict[Any, str] = {}

    def nodes(self, linear: Linear, product: Product) -> list[onnx.NodeProto]:
        """The layer in 8 bits, to stand where it stood."""
        of, made = product.weights, []
        name = NEW + linear.output
        scale, zero = self._tensor(product.scale), self._tensor(product.zero)
        steps = f"{NEW}{linear.source}/{scale}/{zero}"
        if steps not in self._made:
            self._made.add(steps)
            made.append(_node("QuantizeLinear", [linear.source, scale, zero], steps))
        product_inputs = [
            *(steps, self._tensor(of.quantised), scale, self._tensor(of.scales), zero),
            *("", linear.bias) * bool(linear.bias),
        ]
        if not of.channels.size:
            return [*made, _node("MatMulIntegerToFloat", product_inputs, linear.output, MICROSOFT)]
        channels = self._tensor(of.channels)
        great = f"{NEW}{linear.source}/{channels}"
        if great not in self._made:
            self._made.add(great)
            made.append(_node("Gather", [linear.source, channels], great, axis=-1))
        return [
            *made,
            _node("MatMulIntegerToFloat", product_inputs, f"{name}/small", MICROSOFT),
            _node("MatMul", [great, self._tensor(of.exact)], f"{name}/great"),
            _node("Add", [f"{name}/small", f"{name}/great"], linear.output),
        ]

    def _tensor(self, array: npt.NDArray[Any] | np.generic) -> str:
        """Name of an initializer with these values."""
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._names:
            name = f"{NEW}{len(self._names)}"
            self._names[key] = name
            self.tensors[name] = numpy_helper.from_array(np.asarray(array), name)
        return self._names[key]


def _node(
    op_type: str, inputs: list[str], output: str, domain: str = "", **options: Any
) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs, [output], name=output, domain=domain, **options)


def drop_unused(graph: onnx.GraphProto, weights: set[str]) -> None:
    """Remove weights that no node takes any more, with what turned or renamed them."""
    while True:
        used = set(_taken(graph)) | {value.name for value in graph.output}
        nodes = [
            node
            for node in graph.node
            if node.op_type not in ("Identity", "Transpose") or used.intersection(node.output)
        ]
        if len(nodes) == len(graph.node):
            break
        del graph.node[:]
        graph.node.extend(nodes)
    kept = [item for item in graph.initializer if item.name in used or item.name not in weights]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _taken(graph: onnx.GraphProto) -> Iterator[str]:
    """Names of the tensors that nodes take, also those of If and Loop inside."""
    for node in graph.node:
        yield from node.input
        for item in node.attribute:
            for inner in (item.g, *item.graphs):
                yield from _taken(inner)
                yield from (value.name for value in inner.output)
