"""Attention in one node each, in the form for which ONNX Runtime's CUDA provider has kernels.

Which kernel runs is decided by how padding is told (contrib_ops/cuda/bert/attention.cc and
multihead_attention.cc of microsoft/onnxruntime): tokens of each row [rows] run on TensorRT's fused
kernels (compute capability 7.5 to 8.9) or cuDNN's (9.0 and more, where cuDNN is installed), no mask
at all on FlashAttention and the memory-efficient kernel too, a bias on the latter alone and only if
tokens are a multiple of 8; a mask [rows, tokens] makes scores go through memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from utils.precision.fp16.attention_shapes import Meaning, Shape
from utils.precision.fp16.attention_sites import Operand, Site
from utils.precision.fp16.graph_edit import OWN, Additions
from utils.precision.fp16.graph_index import GraphIndex, index_graph

DOMAIN = "com.microsoft"


@dataclass(frozen=True)
class MaskForm:
    """How padding is told to fused nodes.

    Attributes:
        lengths: as the tokens of each row [rows], for padding on the right alone; else as [rows,
            tokens].
        causal: whether also where later tokens are hidden anyway, as padding on the right is.
    """

    lengths: bool
    causal: bool


@dataclass(frozen=True)
class _Projection:
    """x W + b."""

    x: str
    weight: str
    bias: str


def fuse_attention(
    model: onnx.ModelProto,
    sites: Sequence[Site],
    shapes: dict[str, Shape],
    mask: str,
    form: MaskForm,
) -> None:
    """Replace the sites whose shapes are known, in place.

    Args:
        model: the graph, in fp32, without graphs in its nodes.
        sites: its attentions.
        shapes: of each by its result's name.
        mask: the tensor [rows, tokens] that tells tokens from padding.
        form: how padding is told.
    """
    index, additions = index_graph(model.graph), Additions(model)
    for site in sites:
        if site.result in shapes:
            _fuse(index, additions, site, shapes[site.result], mask, form)
    additions.apply()


def _fuse(
    index: GraphIndex, additions: Additions, site: Site, shape: Shape, mask: str, form: MaskForm
) -> None:
    causal = shape.meaning is Meaning.CAUSAL
    told = shape.meaning is Meaning.PADDING or (causal and form.causal)
    keys = _mask(additions, mask, form.lengths) if told else ""
    bias = _bias(additions, site, shape) if shape.meaning is Meaning.OTHER else ""
    settings: dict[str, Any] = {
        "num_heads": shape.heads,
        "scale": site.scale,
        "unidirectional": int(causal),
        "domain": DOMAIN,
    }
    result = site.flat if site.flat in shape.flat else ""
    projections = [_projection(index, item, shape) for item in (site.query, site.key, site.value)]
    packed = _packed(index, additions, projections)
    if packed:
        inputs = [*packed, keys, "", bias]
        flat = additions.node("Attention", _trimmed(inputs), result, **settings)
    else:
        rows = [_flat(additions, item, shape) for item in (site.query, site.key, site.value)]
        inputs = [*rows, "", keys, bias]
        flat = additions.node("MultiHeadAttention", _trimmed(inputs), result, **settings)
    if not result:
        additions.node("Reshape", [flat, _sizes(additions, shape.heads, shape.size)], site.result)


def _mask(additions: Additions, mask: str, lengths: bool) -> str:
    """int32 [rows] or [rows, tokens]."""
    numbers = additions.once("Cast", [mask], to=TensorProto.INT32)
    if not lengths:
        return numbers
    # Not ReduceSum: the CUDA provider sums whole numbers with cuDNN, which need not be installed.
    axis = additions.weight(f"{OWN}tokens_axis", np.array(1, np.int64))
    last = additions.weight(f"{OWN}last", np.array(-1, np.int64))
    counted = additions.once("CumSum", [numbers, axis])
    return additions.once("Gather", [counted, last], axis=1)


def _bias(additions: Additions, site: Site, shape: Shape) -> str:
    """All biases together [rows, heads, tokens, tokens]."""
    bias = site.biases[0]
    for other in site.biases[1:]:
        bias = additions.once("Add", [bias, other])
    if not shape.one_bias:
        return bias
    # One for all heads is misread by ONNX Runtime 1.20 when a batch has several rows.
    zeros = np.zeros((1, shape.heads, 1, 1), np.float32)
    return additions.once("Add", [bias, additions.weight(f"{OWN}heads_{shape.heads}", zeros)])


def _projection(index: GraphIndex, operand: Operand, shape: Shape) -> _Projection | None:
    """The dense layer that an operand comes straight from."""
    if operand.flat not in shape.flat:
        return None
    node, bias = index.maker(operand.flat, "Add", "MatMul"), ""
    if node is not None and node.op_type == "Add":
        constants = [name for name in node.input if index.constant(name) is not None]
        if len(constants) != 1:
            return None
        bias = constants[0]
        other = next(name for name in node.input if name != bias)
        node = index.maker(other, "MatMul")
    weight = index.constant(node.input[1]) if node is not None else None
    if node is None or weight is None or weight.ndim != 2:
        return None
    return _Projection(index.origin(node.input[0]), node.input[1], bias)


def _packed(
    index: GraphIndex, additions: Additions, projections: Sequence[_Projection | None]
) -> list[str] | None:
    """x, all weights [inputs, 3 * outputs] and biases [3 * outputs], if Q, K and V have one x."""
    known = [item for item in projections if item is not None]
    if len(known) < 3 or len({item.x for item in known}) > 1:
        return None
    weights, biases = [], []
    for item in known:
        weight = index.constant(item.weight)
        assert weight is not None  # noqa: S101
        bias = index.constant(item.bias) if item.bias else None
        weights.append(weight)
        biases.append(np.zeros(weight.shape[1], weight.dtype) if bias is None else bias.ravel())
    # A layer that is run several times, as ALBERT's, keeps one copy of its weights.
    name = "+".join(f"{item.weight}*{item.bias}" for item in known)
    return [
        known[0].x,
        additions.weight(f"{OWN}weights/{name}", np.concatenate(weights, axis=1)),
        additions.weight(f"{OWN}biases/{name}", np.concatenate(biases)),
    ]


def _flat(additions: Additions, operand: Operand, shape: Shape) -> str:
    """An operand as [rows, tokens, heads * size]."""
    if operand.flat in shape.flat:
        return operand.flat
    name = operand.name
    if operand.heads_first:
        name = additions.once("Transpose", [name], perm=[0, 2, 1, 3])
    return additions.once("Reshape", [name, _sizes(additions, shape.heads * shape.size)])


def _sizes(additions: Additions, *last: int) -> str:
    """A target of Reshape that keeps rows and tokens."""
    name = f"{OWN}shape_{'_'.join(map(str, last))}"
    return additions.weight(name, np.array([0, 0, *last], np.int64))


def _trimmed(inputs: Sequence[str]) -> list[str]:
    """Without the optional inputs at the end that are absent."""
    count = max(number for number, name in enumerate(inputs) if name) + 1
    return list(inputs[:count])
