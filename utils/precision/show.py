"""What people see of a change of precision."""

import io
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from rich.console import Console
from rich.table import Table

from utils.artifacts import Reference
from utils.precision.compare import Comparison
from utils.precision.trial import Logits
from utils.samples import Example

WORST_TEXTS = 5

# Of fewer, one text more or less moves the share by half a percent or more.
FEW_TEXTS = 200


class Shown(Protocol):
    """What is told of a graph that was tried."""

    @property
    def name(self) -> str:
        """Of its precision."""

    @property
    def recipe(self) -> str:
        """How it was made."""

    @property
    def comparison(self) -> Comparison:
        """With fp32."""

    @property
    def speed(self) -> float | None:
        """As a multiple of fp32's."""

    @property
    def passes(self) -> bool:
        """Whether it may be taken."""


def what_was_tried(tried: Sequence[Shown], texts: int) -> str:
    """One row for each graph."""
    table = Table(f"{texts} texts", "recipe")
    for heading in ("same label", "largest difference", "speed", ""):
        table.add_column(heading, justify="right")
    for item in tried:
        table.add_row(
            item.name,
            item.recipe,
            f"{item.comparison.agreement:.2%}",
            f"{item.comparison.largest_difference:.4f}",
            f"{item.speed:.2f}x" if item.speed else "",
            "" if item.passes else "not enough",
        )
    console, text = _console()
    console.print(table)
    if texts < FEW_TEXTS:
        console.print(f"{texts} texts say little of labels: --samples takes your own.")
    return text.getvalue()


def what_changed(reference: Reference, examples: Sequence[Example], comparison: Comparison) -> str:
    """What changed: labels in fp32 against labels after, and the texts that moved most."""
    console, text = _console()
    if reference.problem_type != "regression" and reference.thresholds is None:
        console.print(_confusion(reference.labels, comparison))
    moved = np.abs(comparison.after - comparison.before).max(axis=-1)
    changed = np.flatnonzero(~comparison.same)
    # Where no label changed, a score moved too far.
    worst = changed if changed.size else np.arange(len(moved))
    table = Table("label before", "after", "largest difference", "text")
    for number in sorted(worst, key=lambda number: -moved[number])[:WORST_TEXTS]:
        table.add_row(
            _said(reference, comparison.before[number]),
            _said(reference, comparison.after[number]),
            f"{moved[number]:.3f}",
            " ".join(examples[number].text.split())[:120],
        )
    console.print(table)
    return text.getvalue()


def _confusion(labels: Sequence[str], comparison: Comparison) -> Table:
    """Only labels that lost or won a text: there may be thousands."""
    before, after = comparison.before.argmax(axis=-1), comparison.after.argmax(axis=-1)
    table = Table("label in fp32", "label after", "texts")
    pairs = np.stack([before, after], axis=-1)[~comparison.same]
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)
    for (old, new), count in sorted(
        zip(kinds, counts, strict=True), key=lambda item: -int(item[1])
    )[:10]:
        table.add_row(labels[old], labels[new], str(count))
    table.add_row("unchanged", "", str(int(comparison.same.sum())))
    return table


def _said(reference: Reference, scores: Logits) -> str:
    if reference.problem_type == "regression":
        return ", ".join(f"{score:.3f}" for score in scores)
    if reference.thresholds is not None:
        over = scores > np.array(reference.thresholds, np.float32)
        return ", ".join(np.array(reference.labels)[over].tolist()) or "none"
    return reference.labels[int(scores.argmax())]


def _console() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    # Texts and labels are the user's: what looks like rich's markup is none.
    return Console(file=text, width=100, markup=False, emoji=False, highlight=False), text
