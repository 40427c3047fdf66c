"""Sizes of attentions, and what the biases on their scores mean, found by computing them.

Reading a mask off the graph would need a pattern for every release of transformers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from utils.precision.fp16.attention_sites import Operand, Site
from utils.precision.fp16.probing import Feeds, tensor_values

# Added to a score, it leaves a key with no weight.
HIDDEN = -1e4

Dimensions = Mapping[str, tuple[int, ...]]


class Meaning(Enum):
    """What a site's biases do, taken together."""

    NOTHING = "nothing is hidden"
    PADDING = "padding is hidden"
    CAUSAL = "padding and later tokens are hidden"
    OTHER = "anything else: near tokens only, relative positions"


@dataclass(frozen=True)
class Shape:
    """Of one self-attention: what a fused operator must be told.

    Attributes:
        heads: number of them.
        size: of a head.
        meaning: of the biases.
        one_bias: whether all heads have the same biases.
        flat: names of tensors that are indeed [rows, tokens, heads * size].
    """

    heads: int
    size: int
    meaning: Meaning
    one_bias: bool
    flat: frozenset[str]


def site_shapes(
    model: onnx.ModelProto, sites: Sequence[Site], mask: str, short: Feeds, longest: Feeds
) -> dict[str, Shape]:
    """What each site is, by its result's name; what is no self-attention is left out.

    Args:
        model: the graph, in fp32.
        sites: its attentions.
        mask: the tensor [rows, tokens] that tells tokens from padding.
        short: a batch to see sizes with.
        longest: one row as long as the model takes, with padding if it is ever padded: windows of
            attention do not show in short ones.
    """
    if not sites:
        return {}
    wanted = [mask] + [
        name
        for site in sites
        for item in (site.query, site.key, site.value)
        for name in (item.name, item.flat, site.flat)
        if name
    ]
    sizes = {
        name: value.shape
        for name, value in tensor_values(model, list(dict.fromkeys(wanted)), short).items()
    }
    biases = list(dict.fromkeys(name for site in sites for name in site.biases))
    values = tensor_values(model, [*biases, mask], longest)
    shapes = {}
    for site in sites:
        heads_and_size = _self_attention(site, sizes, mask)
        if heads_and_size:
            heads, size = heads_and_size
            own = (site.flat, site.query.flat, site.key.flat, site.value.flat)
            flat = frozenset(
                name for name in own if name and sizes[name] == (*sizes[mask], heads * size)
            )
            added = [values[name] for name in site.biases]
            shapes[site.result] = Shape(
                heads=heads,
                size=size,
                meaning=_meaning(added, values[mask][0] != 0),
                one_bias=all(value.ndim < 3 or value.shape[-3] == 1 for value in added),
                flat=flat,
            )
    return shapes


def _self_attention(site: Site, sizes: Dimensions, mask: str) -> tuple[int, int] | None:
    """Heads and size of a head; None unless Q, K and V are of the masked tokens, and alike."""
    first, *others = [_heads_first(item, sizes) for item in (site.query, site.key, site.value)]
    rows, tokens = sizes[mask]
    if len(first) != 4 or any(other != first for other in others):
        return None
    return (first[1], first[3]) if (first[0], first[2]) == (rows, tokens) else None


def _heads_first(operand: Operand, sizes: Dimensions) -> tuple[int, ...]:
    size = sizes[operand.name]
    if operand.heads_first or len(size) != 4:
        return size
    return (size[0], size[2], size[1], size[3])


def _meaning(biases: Sequence[npt.NDArray[Any]], real: npt.NDArray[np.bool_]) -> Meaning:
    """Of the sum of biases on a row whose tokens are `real` or padding.

    What padding sees is of no interest: nobody looks at its answers.
    """
    if not biases:
        return Meaning.NOTHING
    tokens = len(real)
    total = biases[0]
    for bias in biases[1:]:
        total = total + bias
    if total.ndim > 4 or not np.isin(total.shape[-1:], (1, tokens)).all():
        return Meaning.OTHER
    of_real = np.broadcast_to(total, (*total.shape[:-2], tokens, tokens))[..., real, :]
    shown, hidden = of_real == 0, of_real <= HIDDEN
    for meaning, visible in (
        (Meaning.PADDING, np.broadcast_to(real, (tokens, tokens))[real]),
        (Meaning.CAUSAL, (np.tri(tokens, dtype=bool) & real)[real]),
    ):
        if np.where(visible, shown, hidden).all():
            return meaning
    return Meaning.OTHER
