"""The ways to rewrite a graph that a precision can mean."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from utils.artifacts import Report
from utils.precision.fp16.convert import to_fp16
from utils.precision.int8.quantise import RECIPES, Recipe, quantise
from utils.precision.int8.weights import quantise_weights
from utils.targets.profiles import Precision

Batch = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Rewriting:
    """One way to rewrite a graph.

    Attributes:
        recipe: its name; "" for a graph that stays as it is.
        write: makes the second file out of the first one, for sample batches.
    """

    recipe: str
    write: Callable[[Path, Path, Sequence[Batch]], object] | None


def rewritings(precision: Precision, report: Report, padding_id: int) -> list[Rewriting]:
    """All ways to the kind of graph that a profile's precision names.

    Args:
        precision: the profile's.
        report: of the conversion.
        padding_id: the token that rows are filled up with.
    """
    graph = precision.graph
    if graph == "int8":
        return [Rewriting(recipe.name, partial(_int8, recipe)) for recipe in RECIPES]
    if graph == "int8-weights":
        return [Rewriting(graph, lambda source, target, _: quantise_weights(source, target))]
    if graph in ("fp16", "fp16-standard"):
        write = partial(
            to_fp16,
            model_type=report.model_type,
            behaviour=report.behaviour,
            padding_id=padding_id,
            precision=precision,
            fuse=graph == "fp16",
        )
        return [Rewriting(graph, write)]
    return [Rewriting("", None)]


def _int8(recipe: Recipe, source: Path, target: Path, rows: Sequence[Batch]) -> None:
    quantise(source, target, recipe, rows)
