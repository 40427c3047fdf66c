"""Which nodes of a graph stay in fp32 when the rest goes to fp16."""

import onnx

from utils.precision.fp16.graph_index import GraphIndex, index_graph
from utils.windows import INNER

# Sums and squares of many numbers, where they are not in a fused node, which knows itself; and
# what ONNX Runtime's CUDA provider has in fp32 only.
OP_TYPES = frozenset(
    (
        "CumSum",
        "Max",
        "Min",
        "Pow",
        "Range",
        "ReduceL2",
        "ReduceMean",
        "ReduceSum",
        "Resize",
        "TopK",
    )
)

# Of places of tokens.
ANGLES = ("Cos", "Sin")


def stays_in_fp32(graph: onnx.GraphProto, floats: set[str]) -> set[str]:
    """The first outputs of the nodes that stay.

    Args:
        graph: in fp32.
        floats: the tensors of it that are floats.
    """
    index = index_graph(graph)
    by_type = {node.output[0] for node in index.nodes if node.op_type in OP_TYPES}
    return by_type | _merging(index) | _places(index, floats)


def _merging(index: GraphIndex) -> set[str]:
    """Nodes behind the model in a graph of windows: they add up logits, few and cheap."""
    behind = {f"{INNER}{name}" for name in index.outputs}
    found = set()
    for node in index.nodes:
        if behind.intersection(node.input):
            behind.update(node.output)
            found.add(node.output[0])
    return found


def _places(index: GraphIndex, floats: set[str]) -> set[str]:
    """Nodes that compute with places of tokens, which fp16 cannot tell apart.

    These are angles of rotary embeddings, whole numbers up to the length of a text times a
    frequency, and logarithms of distances, cut to whole numbers.
    """
    found: set[str] = set()
    for node in index.nodes:
        cut = node.op_type == "Cast" and node.output[0] not in floats
        if node.op_type in ANGLES or cut:
            found |= _float_ancestors(index, node, floats)
    return found


def _float_ancestors(index: GraphIndex, last: onnx.NodeProto, floats: set[str]) -> set[str]:
    """A node and those before it that compute with floats; none if these know the tokens."""
    found, stack = set(), [last]
    while stack:
        node = stack.pop()
        if node.op_type == "Gather" and node.input[0] in index.weights:
            return set()
        found.add(node.output[0])
        makers = [index.producers[name] for name in node.input if name in floats]
        stack += [maker for maker in makers if maker.output[0] not in found]
    return found
