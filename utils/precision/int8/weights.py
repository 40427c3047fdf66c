"""Weights in int8, everything else in fp32: DequantizeLinear in front of each matrix product.

An engine that multiplies by such weights as they are (OpenVINO) reads a quarter of the bytes; one
that does not (ONNX Runtime 1.31, measured) gains little.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from utils.errors import UserError
from utils.external_data import check_external_data, save_graph
from utils.precision.int8.nodes import drop_unused

LARGEST = 127

# Of a DequantizeLinear that has a scale for each column of its weights (ONNX operators).
LEAST_OPSET = 13


def quantise_weights(source: Path, target: Path) -> None:
    """Write `target`: the graph of `source` with int8 weights, a scale for each output column.

    Args:
        source: an exported graph.
        target: the file to write; inputs and outputs are as before.

    Raises:
        UserError: weights lie outside of the folder, or no matrix product has constant ones.
    """
    model = onnx.load(str(source), load_external_data=False)
    check_external_data(source, model)
    model = onnx.load(str(source))
    graph = model.graph
    weights = {item.name: item for item in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    replaced: dict[str, str] = {}
    for node in graph.node:
        name = node.input[1] if node.op_type == "MatMul" else ""
        if name in weights and _fits(weights[name]):
            if name not in replaced:
                replaced[name] = f"{name}_dequantized"
                nodes.append(_quantise(graph, weights[name], replaced[name]))
            node.input[1] = replaced[name]
        nodes.append(node)
    opset = max(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    if not replaced or opset < LEAST_OPSET:
        raise UserError("precision", "the graph has no matrix products to quantise")
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unused(graph, set(replaced))
    save_graph(model, target)


def _fits(weight: onnx.TensorProto) -> bool:
    return weight.data_type == onnx.TensorProto.FLOAT and len(weight.dims) == 2


def _quantise(graph: onnx.GraphProto, weight: onnx.TensorProto, name: str) -> onnx.NodeProto:
    """Add the int8 values and scales of a weight [in, out]; the node that makes it of them."""
    values = numpy_helper.to_array(weight)
    # A column of zeros has no scale; any will do.
    scales = np.maximum(np.abs(values).max(axis=0), 1e-12).astype(np.float32) / LARGEST
    whole = np.clip(np.round(values / scales), -LARGEST, LARGEST).astype(np.int8)
    graph.initializer.append(numpy_helper.from_array(whole, f"{weight.name}_int8"))
    graph.initializer.append(numpy_helper.from_array(scales, f"{weight.name}_scales"))
    return helper.make_node(
        "DequantizeLinear", [f"{weight.name}_int8", f"{weight.name}_scales"], [name], axis=1
    )
