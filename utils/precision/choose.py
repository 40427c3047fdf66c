"""From a converted model to the fastest graph that keeps its answers."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.accuracy import measure
from utils.artifacts import (
    GRAPH_FILE,
    REFERENCE_FILE,
    SELF_TEST_FILE,
    Accuracy,
    Reference,
    Report,
    read_reference,
    read_report,
)
from utils.encoding import encode, padding_id, served_tokenization
from utils.errors import UserError
from utils.graph import NUMPY_TYPES, graph_tensors
from utils.precision.chosen import write_chosen, write_plain
from utils.precision.compare import compare
from utils.precision.rewritings import rewritings
from utils.precision.show import what_changed, what_was_tried
from utils.precision.trial import Graph, Logits, Outcome, run_graphs
from utils.precision.tried import Tried, refusal
from utils.samples import Example, read_labelled
from utils.targets.engine_config import length_multiple, model_config
from utils.targets.profiles import PLAIN, Profile, read_profile

# What was tried, as people see it.
DETAILS_FILE = "precision.txt"

# Enough for ranges of activations; more only take time.
CALIBRATION_TEXTS = 64

Row = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Wanted:
    """What to choose from and for whom.

    Attributes:
        profile: the hardware.
        precisions: names of the profile's, to choose from.
        lacks: what this machine has not of what the profile needs; "" for nothing.
        max_batch_size: most texts in a request.
        labelled: file of labelled texts, if there is one.
        details: file for what changed where nothing passes, if it is wanted.
        cache: of embedded servers.
    """

    profile: Profile
    precisions: Sequence[str]
    lacks: str
    max_batch_size: int
    labelled: Path | None
    details: Path | None
    cache: Path


def choose_graph(wanted: Wanted, source: Path, target: Path) -> None:
    """Fill `target`, an empty folder, with the artifacts of the chosen graph and DETAILS_FILE.

    Raises:
        UserError: no graph keeps enough labels; which texts changed is in `wanted.details`.
    """
    report, reference = read_report(source), read_reference(source / REFERENCE_FILE)
    self_test = read_reference(source / SELF_TEST_FILE)
    if list(wanted.precisions) == [PLAIN]:
        write_plain(source, target, wanted.profile.precisions[PLAIN], reference, self_test)
        return
    labelled = read_labelled(wanted.labelled, report.behaviour.pairs) if wanted.labelled else []
    samples = _examples(reference)
    with tempfile.TemporaryDirectory(dir=target.parent) as drafts:
        rows = _rows(wanted, source, report, [*samples, *labelled, *_examples(self_test)])
        tried = _try_all(wanted, source, Path(drafts), report, reference, labelled, rows)
        passed = [item for item in tried if item.passes]
        text = what_was_tried(tried, len(samples) + len(labelled))
        if not passed:
            best = max(tried, key=lambda item: item.comparison.agreement)
            text += what_changed(reference, [*samples, *labelled], best.comparison)
            if wanted.details:
                wanted.details.write_text(text, encoding="utf-8")
            raise refusal(best)
        (target / DETAILS_FILE).write_text(text, encoding="utf-8")
        chosen = max(passed, key=lambda item: item.speed or 0.0)
        write_chosen(source, target, chosen, report, reference, self_test)


def _try_all(
    wanted: Wanted,
    source: Path,
    drafts: Path,
    report: Report,
    reference: Reference,
    labelled: Sequence[Example],
    rows: Sequence[Row],
) -> list[Tried]:
    """Make every graph, and run fp32 and all of them on the same rows."""
    absent = bool(wanted.lacks) or not wanted.profile.lock_file.is_file()
    engine = read_profile(wanted.profile.fallback) if absent else wanted.profile
    inputs, outputs = graph_tensors(source / GRAPH_FILE)
    padding = padding_id(source)

    def graph(path: Path, name: str) -> Graph:
        precision = engine.precisions[PLAIN if absent else name]
        config = model_config(
            engine, precision, inputs, outputs, report.behaviour, wanted.max_batch_size
        )
        return Graph(path, config)

    made: list[tuple[str, str, Graph]] = []
    failures: list[UserError] = []
    # Labelled texts are for measuring alone.
    samples = rows[: len(reference.answers)]
    step = max(1, len(samples) // CALIBRATION_TEXTS)
    for name in wanted.precisions:
        precision = wanted.profile.precision(name)
        for rewriting in rewritings(precision, report, padding):
            path = source / GRAPH_FILE
            if rewriting.write:
                path = Path(tempfile.mkdtemp(dir=drafts)) / GRAPH_FILE
                try:
                    rewriting.write(source / GRAPH_FILE, path, samples[::step])
                except UserError as error:
                    failures.append(error)
                    continue
            made.append((name, rewriting.recipe, graph(path, name)))
    if not made:
        raise failures[0]
    plain, *outcomes = run_graphs(
        engine,
        [graph(source / GRAPH_FILE, PLAIN), *(item for *_, item in made)],
        rows,
        wanted.cache,
    )
    compared = len(reference.answers) + len(labelled)
    before = np.concatenate(plain.logits)
    tried = []
    for (name, recipe, item), outcome in zip(made, outcomes, strict=True):
        after = np.concatenate(outcome.logits)
        both = before[:compared], after[:compared]
        tried.append(
            Tried(
                name=name,
                precision=wanted.profile.precisions[name],
                recipe=recipe,
                path=item.path,
                logits=after,
                comparison=compare(reference, report.behaviour.function, *both),
                accuracy=_accuracy(report, reference, labelled, *both),
                engine=outcome.engine,
                speed=None if absent else _speed(plain, outcome),
            )
        )
    return tried


def _examples(reference: Reference) -> list[Example]:
    return [Example(answer.text, answer.text_pair) for answer in reference.answers]


def _rows(wanted: Wanted, source: Path, report: Report, examples: Sequence[Example]) -> list[Row]:
    """Token tensors of each text alone, of the graph's types."""
    multiple = length_multiple(wanted.profile, report.behaviour)
    tokenization = served_tokenization(source, report.behaviour, multiple)
    inputs, _ = graph_tensors(source / GRAPH_FILE)
    rows: list[Row] = []
    for example in examples:
        tensors = tokenization.tensors(encode(tokenization, [example]).rows)
        rows.append(
            {item.name: tensors[item.name].astype(NUMPY_TYPES[item.data_type]) for item in inputs}
        )
    return rows


def _speed(plain: Outcome, outcome: Outcome) -> float:
    """Ratio of rates, the median over rounds in which both ran in turn."""
    return float(np.median(plain.seconds / outcome.seconds))


def _accuracy(
    report: Report,
    reference: Reference,
    labelled: Sequence[Example],
    before: Logits,
    after: Logits,
) -> Accuracy | None:
    if not labelled:
        return None
    start = len(reference.answers)
    return measure(
        labelled,
        report.behaviour,
        reference.labels,
        reference.thresholds,
        before[start:],
        after[start:],
    )
