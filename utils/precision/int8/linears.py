"""Matrix multiplications by weights, as exporters write them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Linear:
    """One multiplication, with its bias where the graph adds one right behind it.

    Attributes:
        nodes: places of its nodes in the graph, in order.
        source: the tensor [..., inputs] that is multiplied.
        weight: name of the weights' initializer.
        transposed: whether that is [outputs, inputs] and not [inputs, outputs].
        bias: name of the initializer [outputs], or "".
        output: the tensor [..., outputs] that comes out.
    """

    nodes: tuple[int, ...]
    source: str
    weight: str
    transposed: bool
    bias: str
    output: str


def find_linears(graph: onnx.GraphProto) -> Iterator[Linear]:
    """MatMul and Gemm nodes by a 32-bit matrix that is an initializer.

    The exporters put Identity between shared weights and their users, dynamo also Transpose.
    """
    matrices = {item.name: item for item in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(value.name for value in graph.output)
    adds = {
        name: place
        for place, node in enumerate(graph.node)
        if node.op_type == "Add"
        for name in node.input
    }

    def initializer(name: str, rank: int) -> tuple[str, bool]:
        """The initializer that a tensor is, or "", and whether it is turned on the way."""
        turned = False
        while name in makers and makers[name].op_type in ("Identity", "Transpose"):
            turned ^= makers[name].op_type == "Transpose"
            name = makers[name].input[0]
        tensor = matrices.get(name)
        if tensor is None or tensor.data_type != TensorProto.FLOAT or len(tensor.dims) != rank:
            return "", False
        return name, turned

    for place, node in enumerate(graph.node):
        if node.op_type not in ("MatMul", "Gemm"):
            continue
        options = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        weight, turned = initializer(node.input[1], 2)
        if not weight or initializer(node.input[0], 2)[0]:
            continue
        turned ^= bool(options.get("transB", 0))
        outputs = matrices[weight].dims[0 if turned else 1]
        nodes: tuple[int, ...] = (place,)
        bias, output = "", node.output[0]
        if node.op_type == "Gemm":
            factors = (options.get("alpha", 1.0), options.get("beta", 1.0))
            bias = initializer(node.input[2], 1)[0] if len(node.input) > 2 else ""
            plain = factors == (1.0, 1.0) and not options.get("transA", 0)
            if not plain or (len(node.input) > 2 and not bias):
                continue
        elif output in adds and uses[output] == 1:
            add = graph.node[adds[output]]
            other = add.input[1] if add.input[0] == output else add.input[0]
            bias = initializer(other, 1)[0]
            if bias and matrices[bias].dims[0] == outputs:
                nodes, output = (place, adds[output]), add.output[0]
        if bias and matrices[bias].dims[0] != outputs:
            if node.op_type == "Gemm":
                continue
            bias = ""
        yield Linear(nodes, node.input[0], weight, turned, bias, output)


def matrix(graph_tensor: onnx.TensorProto, transposed: bool) -> FloatArray:
    """Weights [inputs, outputs]."""
    array: FloatArray = numpy_helper.to_array(graph_tensor)
    return array.T if transposed else array
