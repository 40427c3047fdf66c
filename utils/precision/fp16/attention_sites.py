"""Where a graph computes attention: softmax(scale * Q K^T + bias) V, spelt out in plain operators.

transformers' eager attention is exported so. onnxruntime.transformers looks for the mask's nodes of
older releases of transformers and finds nothing in today's graphs; here nodes only tell where the
tensors are, and what a bias means is found by computing it (attention_shapes.py).
"""

from dataclasses import dataclass

import onnx

from utils.precision.fp16.graph_index import GraphIndex, attribute

HEADS_FIRST = [0, 2, 1, 3]
KEYS_TURNED = [0, 1, 3, 2]
KEYS_BOTH_TURNED = [0, 2, 3, 1]


@dataclass(frozen=True)
class Operand:
    """Q, K or V.

    Attributes:
        name: the tensor.
        heads_first: whether it is [rows, heads, tokens, size] or [rows, tokens, heads, size].
        flat: what it was reshaped from, perhaps [rows, tokens, heads * size]; "" for nothing.
    """

    name: str
    heads_first: bool
    flat: str


@dataclass(frozen=True)
class Site:
    """One attention.

    Attributes:
        query: Q.
        key: K.
        value: V.
        biases: tensors added to the scaled scores, from [1, 1, 1, tokens] to
            [rows, heads, tokens, tokens].
        scale: what Q K^T is multiplied with.
        result: the tensor [rows, tokens, heads, size] that comes out.
        flat: what that is reshaped to if nothing else takes it, perhaps [rows, tokens,
            heads * size]; "" for nothing.
    """

    query: Operand
    key: Operand
    value: Operand
    biases: tuple[str, ...]
    scale: float
    result: str
    flat: str


@dataclass(frozen=True)
class _Scores:
    product: onnx.NodeProto
    scale: float
    biases: tuple[str, ...]


def find_sites(index: GraphIndex) -> list[Site]:
    """All attentions, in the order of the file."""
    softmaxes = [node for node in index.nodes if node.op_type == "Softmax"]
    return [site for node in softmaxes if (site := _site(index, node))]


def _site(index: GraphIndex, softmax: onnx.NodeProto) -> Site | None:
    if attribute(softmax, "axis") not in (None, -1, 3):
        return None
    scores = _scores(index, softmax.input[0])
    weighted = index.only_consumer(softmax.output[0])
    if scores is None or weighted is None or weighted.op_type != "MatMul":
        return None
    if index.origin(weighted.input[0]) != softmax.output[0]:
        return None
    turned = index.only_consumer(weighted.output[0])
    key = _keys(index, scores.product.input[1])
    if key is None or turned is None or attribute(turned, "perm") != HEADS_FIRST:
        return None
    reshaped = index.only_consumer(turned.output[0])
    flattens = reshaped is not None and reshaped.op_type == "Reshape"
    return Site(
        query=_operand(index, scores.product.input[0]),
        key=key,
        value=_operand(index, weighted.input[1]),
        biases=scores.biases,
        scale=scores.scale,
        result=turned.output[0],
        flat=reshaped.output[0] if reshaped is not None and flattens else "",
    )


def _scores(index: GraphIndex, name: str) -> _Scores | None:
    """Up from the softmax to Q K^T; None where the way is not plain."""
    node = index.maker(name, "Add", "Mul", "Div", "MatMul")
    if node is None:
        return None
    if node.op_type == "MatMul":
        return _Scores(node, 1.0, ())
    ways = [(_scores(index, side), other) for side, other in (node.input, reversed(node.input))]
    found = [(way, other) for way, other in ways if way is not None]
    if len(found) != 1:
        return None
    scores, other = found[0]
    if node.op_type == "Add":
        return _Scores(scores.product, scores.scale, (*scores.biases, other))
    factor = index.constant(index.origin(other))
    divides = node.op_type == "Div" and other == node.input[1]
    if (
        factor is None
        or factor.size != 1
        or scores.biases
        or not (divides or node.op_type == "Mul")
    ):
        return None
    number = float(factor.reshape(()))
    return _Scores(scores.product, scores.scale / number if divides else scores.scale * number, ())


def _keys(index: GraphIndex, name: str) -> Operand | None:
    """K, from what Q is multiplied with."""
    node = index.maker(name, "Transpose")
    if node is None:
        return None
    if attribute(node, "perm") == KEYS_BOTH_TURNED:
        return _tokens_first(index, node.input[0])
    return _operand(index, node.input[0]) if attribute(node, "perm") == KEYS_TURNED else None


def _operand(index: GraphIndex, name: str) -> Operand:
    node = index.maker(name, "Transpose")
    if node is not None and attribute(node, "perm") == HEADS_FIRST:
        return _tokens_first(index, node.input[0])
    return Operand(index.origin(name), True, "")


def _tokens_first(index: GraphIndex, name: str) -> Operand:
    node = index.maker(name, "Reshape")
    return Operand(index.origin(name), False, index.origin(node.input[0]) if node else "")
