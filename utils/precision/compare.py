"""How far a graph in fewer bits is from fp32: labels and scores."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from utils.artifacts import Reference
from utils.precision.trial import Logits
from utils.served import FUNCTIONS

# Of a regression, predictions this close are "the same label": a share of the range of fp32's.
REGRESSION_SHARE = 0.02

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Comparison:
    """One graph against fp32, over the same texts.

    Attributes:
        before: scores [texts, classes] in fp32.
        after: scores of the graph.
        same: which texts kept their labels.
    """

    before: Logits
    after: Logits
    same: Flags

    @property
    def agreement(self) -> float:
        """Share of texts that kept their labels."""
        return float(self.same.mean())

    @property
    def largest_difference(self) -> float:
        """Of any score of any text; infinite where one is no number."""
        difference = float(np.abs(self.after - self.before).max())
        return math.inf if math.isnan(difference) else difference


def compare(reference: Reference, function: str, before: Logits, after: Logits) -> Comparison:
    """Compare two graphs' logits [texts, classes] as decisions."""
    old, new = FUNCTIONS[function](before), FUNCTIONS[function](after)
    if reference.problem_type == "regression":
        allowed = REGRESSION_SHARE * max(float(np.ptp(old)), 1e-6)
        same = (np.abs(new - old) <= allowed).all(axis=-1)
    elif reference.thresholds is not None:
        thresholds = np.array(reference.thresholds, np.float32)
        same = ((old > thresholds) == (new > thresholds)).all(axis=-1)
    else:
        same = old.argmax(axis=-1) == new.argmax(axis=-1)
    return Comparison(old, new, same & np.isfinite(new).all(axis=-1))
