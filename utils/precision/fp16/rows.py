"""Token rows for checks of a graph, made of real ones: padded, and as long as may be."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.precision.fp16.probing import Feeds
from utils.windows import MASK

# Padding at the end of the longest row.
PADDING = 3

# Rows of a padded batch.
ROWS = 4

IDS = "input_ids"

Tokens = npt.NDArray[Any]


def padded_rows(batches: Sequence[Feeds], side: str, padding_id: int) -> list[Feeds]:
    """Neighbouring batches of one length each, put together in padded ones; none for side none."""
    if side == "none" or MASK not in batches[0]:
        return []
    alone = [batch for batch in batches if batch[IDS].shape[0] == 1]
    groups = [alone[start : start + ROWS] for start in range(0, len(alone), ROWS)]
    return [_together(group, side, padding_id) for group in groups if len(group) > 1]


def longest_row(batches: Sequence[Feeds], side: str, padding_id: int, length: int) -> Feeds:
    """One row of `length` tokens, the last or first of them padding; no padding for side none."""
    real = length if side == "none" else max(1, length - PADDING)
    first = batches[0]
    row = {}
    for name, array in first.items():
        tokens = np.concatenate([batch[name].reshape(-1) for batch in batches])
        # Of types of tokens, those at the start will do everywhere.
        repeated = np.resize(tokens, real) if name == IDS else np.full(real, array.flat[0])
        row[name] = repeated.reshape((1,) * (array.ndim - 1) + (real,)).astype(array.dtype)
    return {
        name: _filled(array, length, side, padding_id if name == IDS else 0)
        for name, array in row.items()
    }


def _together(group: Sequence[Feeds], side: str, padding_id: int) -> Feeds:
    """One batch; windows that a text has not are all padding."""
    names = list(group[0])
    inner = np.max([batch[names[0]].shape[1:] for batch in group], axis=0)
    together = {}
    for name in names:
        value = padding_id if name == IDS else 0
        rows = []
        for batch in group:
            array = _filled(batch[name], int(inner[-1]), side, value)
            if array.ndim == 3:
                absent = int(inner[0]) - array.shape[1]
                array = np.pad(array, ((0, 0), (0, absent), (0, 0)), constant_values=value)
            rows.append(array)
        together[name] = np.concatenate(rows)
    return together


def _filled(array: Tokens, length: int, side: str, value: int) -> Tokens:
    """Rows of `length` tokens."""
    missing = length - array.shape[-1]
    ends = (missing, 0) if side == "left" else (0, missing)
    widths = [(0, 0)] * (array.ndim - 1) + [ends]
    return np.pad(array, widths, constant_values=value)
