"""What a graph in fp16 answers where every number is indeed fp16, found on a CPU."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from utils.precision.fp16.half import constants
from utils.precision.fp16.probing import tensor_types


def rounded(half: onnx.ModelProto) -> onnx.ModelProto:
    """A graph in fp32 that rounds to fp16 wherever the given one in fp16 does.

    ONNX Runtime's CPU provider computes fp16 graphs in fp32 and rounds nothing between nodes, so
    that it gives right answers where a GPU gives infinities.
    """
    kinds = tensor_types(half)
    copied = onnx.ModelProto()
    copied.CopyFrom(half)
    graph = copied.graph
    for tensor in constants(graph):
        if tensor.data_type == TensorProto.FLOAT16:
            values = np.asarray(numpy_helper.to_array(tensor)).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        for place, name in enumerate(node.output):
            if kinds.get(name) != "tensor(float16)":
                continue
            exact, cut = f"{name}/exact", f"{name}/cut"
            node.output[place] = exact
            if node.op_type == "Cast":
                node.CopyFrom(helper.make_node("Cast", node.input, [exact], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Cast", [exact], [cut], to=TensorProto.FLOAT16))
            nodes.append(helper.make_node("Cast", [cut], [name], to=TensorProto.FLOAT))
    del graph.node[:]
    graph.node.extend(nodes)
    return copied
