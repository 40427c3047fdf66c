"""Linear layers in 8 bits: scales, and the channels that are left out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from utils.precision.int8.linears import FloatArray, Linear
from utils.precision.int8.observed import Observed

WEIGHT_LIMIT = 127
VALUE_STEPS = 255
TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class Recipe:
    """Which input channels of a layer are left in 32 bits.

    Attributes:
        name: what users call it.
        channels: the greatest ones, at most this share of them.
        beyond: and of these the ones that are so many times as great as the greatest of the others.
    """

    name: str
    channels: float
    beyond: float


@dataclass(frozen=True)
class Weights:
    """A matrix in 8 bits, and the part of it that stays in 32.

    Attributes:
        quantised: [inputs, outputs], zero in the channels of that part.
        scales: of each output [outputs].
        channels: places of the inputs that stay in 32 bits.
        exact: their weights [channels, outputs].
    """

    quantised: npt.NDArray[np.int8]
    scales: FloatArray
    channels: npt.NDArray[np.int64]
    exact: FloatArray


@dataclass(frozen=True)
class Product:
    """A linear layer in 8 bits.

    Attributes:
        weights: may be shared.
        scale: of what is multiplied, one for all.
        zero: the step that stands for 0.
    """

    weights: Weights
    scale: np.float32
    zero: np.uint8


def make_products(
    linears: Sequence[Linear],
    matrices: Mapping[Linear, FloatArray],
    observed: Mapping[str, Observed],
    recipe: Recipe,
) -> dict[Linear, Product]:
    """Each layer in 8 bits; layers that share weights, as ALBERT's, share them here too.

    Args:
        linears: the layers.
        matrices: the weights of each [inputs, outputs].
        observed: by name, what flows into them.
        recipe: what stays in 32 bits.
    """
    weights: dict[tuple[str, bool], Weights] = {}
    products = {}
    for linear in linears:
        key = (linear.weight, linear.transposed)
        if key not in weights:
            users = [item for item in linears if (item.weight, item.transposed) == key]
            reach = np.max([_reach(observed[item.source]) for item in users], axis=0)
            weights[key] = _weights(matrices[linear], _great(reach, recipe))
        scale, zero = _grid(observed[linear.source], weights[key].channels)
        products[linear] = Product(weights[key], scale, zero)
    return products


def _reach(observed: Observed) -> FloatArray:
    """How far from zero each channel goes [inputs]."""
    return np.maximum(-observed.low, observed.high)


def _great(reach: FloatArray, recipe: Recipe) -> npt.NDArray[np.int64]:
    """Places of the channels to leave in 32 bits."""
    order = np.argsort(-reach)
    most = math.ceil(recipe.channels * len(reach))
    limit = recipe.beyond * reach[order[min(most, len(reach) - 1)]]
    return np.sort(order[:most][reach[order[:most]] >= limit])


def _weights(array: FloatArray, channels: npt.NDArray[np.int64]) -> Weights:
    rest = array.copy()
    rest[channels] = 0
    scales = np.maximum(np.abs(rest).max(axis=0) / WEIGHT_LIMIT, TINY)
    return Weights(np.rint(rest / scales).astype(np.int8), scales, channels, array[channels])


def _grid(observed: Observed, channels: npt.NDArray[np.int64]) -> tuple[np.float32, np.uint8]:
    """Scale and zero point for all channels but some."""
    low = float(np.delete(observed.low, channels).min(initial=0))
    high = float(np.delete(observed.high, channels).max(initial=0))
    scale = max((high - low) / VALUE_STEPS, float(TINY))
    return np.float32(scale), np.uint8(round(-low / scale))
