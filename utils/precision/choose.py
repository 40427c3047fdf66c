"""From a converted model to the fastest graph that keeps its answers."""

import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.accuracy import measure
from utils.artifacts import (
    GRAPH_FILE,
    REFERENCE_FILE,
    SELF_TEST_FILE,
    WEIGHTS_FILE,
    Accuracy,
    Answer,
    PrecisionReport,
    Reference,
    Report,
    read_reference,
    read_report,
    write_reference,
    write_report,
)
from utils.encoding import encode, padding_id, served_tokenization
from utils.errors import UserError
from utils.graph import NUMPY_TYPES, graph_tensors
from utils.precision.compare import Comparison, compare
from utils.precision.rewritings import rewritings
from utils.precision.show import FEW_TEXTS, what_changed, what_was_tried
from utils.precision.trial import Graph, Logits, Outcome, run_graphs
from utils.samples import Example, read_labelled
from utils.served import FUNCTIONS
from utils.targets.engine_config import length_multiple, model_config
from utils.targets.profiles import PLAIN, Precision, Profile, read_profile

# What was tried, as people see it.
DETAILS_FILE = "precision.txt"

# Enough for ranges of activations; more only take time.
CALIBRATION_TEXTS = 64

# Logits are not bounded as scores are: softmax moves a quarter as far as they do.
LOGITS_PER_SCORE = 10

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


def choose_graph(wanted: Wanted, source: Path, target: Path) -> None:
    """Fill `target`, an empty folder, with the artifacts of the chosen graph and DETAILS_FILE.

    Raises:
        UserError: no graph keeps enough labels; which texts changed is in `wanted.details`.
    """
    report, reference = read_report(source), read_reference(source / REFERENCE_FILE)
    self_test = read_reference(source / SELF_TEST_FILE)
    if list(wanted.precisions) == [PLAIN]:
        precision = wanted.profile.precisions[PLAIN]
        copy_files(source, target, set())
        write_reference(target / REFERENCE_FILE, loosened(reference, precision))
        write_reference(target / SELF_TEST_FILE, loosened(self_test, precision))
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
            raise _refusal(tried)
        (target / DETAILS_FILE).write_text(text, encoding="utf-8")
        chosen = max(passed, key=lambda item: item.speed or 0.0)
        _write(source, target, chosen, report, reference, self_test)


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
        for rewriting in rewritings(precision, report, padding_id(source)):
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


def _refusal(tried: Sequence[Tried]) -> UserError:
    best = max(tried, key=lambda item: item.comparison.agreement)
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


def _write(
    source: Path,
    target: Path,
    chosen: Tried,
    report: Report,
    reference: Reference,
    self_test: Reference,
) -> None:
    copy_files(source, target, {GRAPH_FILE, WEIGHTS_FILE} if chosen.recipe else set())
    if chosen.recipe:
        for path in chosen.path.parent.iterdir():
            shutil.move(path, target / path.name)
    count = len(reference.answers)
    for name, expected, logits in (
        (REFERENCE_FILE, reference, chosen.logits[:count]),
        (SELF_TEST_FILE, self_test, chosen.logits[len(chosen.logits) - len(self_test.answers) :]),
    ):
        looser = loosened(expected, chosen.precision)
        if chosen.name != PLAIN:
            scores = FUNCTIONS[report.behaviour.function](logits)
            looser = replace(looser, answers=_own_answers(expected.answers, logits, scores))
        write_reference(target / name, looser)
    accuracy = report.accuracy
    if accuracy and chosen.accuracy:
        accuracy = replace(accuracy, after=chosen.accuracy.after)
    write_report(target, replace(report, precision=_precision_report(chosen), accuracy=accuracy))


def copy_files(source: Path, target: Path, without: set[str]) -> None:
    """Copy all artifacts but those that are named."""
    for path in source.iterdir():
        if path.is_dir():
            shutil.copytree(path, target / path.name)
        elif path.name not in without:
            shutil.copy(path, target)


def loosened(reference: Reference, precision: Precision) -> Reference:
    """A reference that allows what two runs of a graph in this precision may differ by."""
    if precision.tolerance is None:
        return reference
    return replace(
        reference,
        tolerance=max(reference.tolerance, precision.tolerance),
        logit_tolerance=max(reference.tolerance, LOGITS_PER_SCORE * precision.tolerance),
    )


def _own_answers(answers: Sequence[Answer], logits: Logits, scores: Logits) -> list[Answer]:
    return [
        replace(answer, logits=row.tolist(), scores=own.tolist())
        for answer, row, own in zip(answers, logits, scores, strict=True)
    ]


def _precision_report(chosen: Tried) -> PrecisionReport | None:
    if chosen.name == PLAIN:
        return None
    return PrecisionReport(
        name=chosen.name,
        recipe=chosen.recipe,
        engine=chosen.engine,
        texts=len(chosen.comparison.same),
        agreement=chosen.comparison.agreement,
        largest_difference=chosen.comparison.largest_difference,
        speed=chosen.speed,
    )
