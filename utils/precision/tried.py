"""A graph that was run, and whether it may be taken."""

import math
from dataclasses import dataclass
from pathlib import Path

from utils.artifacts import Accuracy
from utils.errors import UserError
from utils.precision.compare import Comparison
from utils.precision.show import FEW_TEXTS
from utils.precision.trial import Logits
from utils.targets.profiles import Precision


@dataclass(frozen=True)
class Tried:
    """A graph that was run.

    Attributes:
        name: of its precision.
        precision: what the profile says of that.
        recipe: how the graph was rewritten; "" for not at all.
        path: the file.
        logits: of all texts [texts, classes].
        comparison: with fp32, over samples and labelled texts.
        accuracy: on the labelled texts, before and after.
        engine: what ran it, in words.
        speed: as a multiple of fp32's; None where another engine will serve.
    """

    name: str
    precision: Precision
    recipe: str
    path: Path
    logits: Logits
    comparison: Comparison
    accuracy: Accuracy | None
    engine: str
    speed: float | None

    @property
    def passes(self) -> bool:
        """Whether it keeps enough labels, or as many right ones, and scores where they count."""
        most, difference = self.precision.difference, self.comparison.largest_difference
        if math.isinf(difference) or (most is not None and difference > most):
            return False
        return self.comparison.agreement >= self.precision.agreement or self._no_loss

    @property
    def _no_loss(self) -> bool:
        if self.accuracy is None:
            return False
        before, after = self.accuracy.before, self.accuracy.after
        # An error is the better the smaller it is, everything else the greater.
        return all(
            after[name] <= value if name.endswith("error") else after[name] >= value
            for name, value in before.items()
        )


def refusal(best: Tried) -> UserError:
    """Why no graph may be taken, by the one that keeps most labels."""
    comparison, precision = best.comparison, best.precision
    texts = len(comparison.same)
    problem = (
        f"{best.name} keeps the labels of {comparison.agreement:.2%} of {texts} texts,"
        f" {precision.agreement:.2%} is the least"
    )
    if math.isinf(comparison.largest_difference):
        problem = f"{best.name} gives scores that are no numbers"
    elif comparison.agreement >= precision.agreement:
        problem = (
            f"{best.name} moves a score by {comparison.largest_difference:.2g},"
            f" {precision.difference:g} is the most"
        )
    hint = "--precision auto takes the fastest that will do"
    if texts < FEW_TEXTS:
        hint += f"; of {texts} texts one is {1 / texts:.1%}: --samples takes more"
    return UserError("precision", problem, hint)
