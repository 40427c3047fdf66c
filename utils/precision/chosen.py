"""The artifacts of the graph that will be served: its files, reference and report."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from utils.artifacts import (
    GRAPH_FILE,
    REFERENCE_FILE,
    SELF_TEST_FILE,
    WEIGHTS_FILE,
    Answer,
    PrecisionReport,
    Reference,
    Report,
    write_reference,
    write_report,
)
from utils.precision.trial import Logits
from utils.precision.tried import Tried
from utils.served import FUNCTIONS
from utils.targets.profiles import PLAIN, Precision

# Logits are not bounded as scores are: softmax moves a quarter as far as they do.
LOGITS_PER_SCORE = 10


def write_chosen(
    source: Path,
    target: Path,
    chosen: Tried,
    report: Report,
    reference: Reference,
    self_test: Reference,
) -> None:
    """Fill `target`, an empty folder, with the artifacts of a graph that was tried.

    Args:
        source: folder of the converted model.
        target: the folder to fill.
        chosen: the graph; the logits of the samples come first in it, those of the self-test last.
        report: of the conversion.
        reference: its answers to the samples.
        self_test: its answers to the built-in texts.
    """
    _copy_files(source, target, {GRAPH_FILE, WEIGHTS_FILE} if chosen.recipe else set())
    if chosen.recipe:
        for path in chosen.path.parent.iterdir():
            shutil.move(path, target / path.name)
    count = len(reference.answers)
    for name, expected, logits in (
        (REFERENCE_FILE, reference, chosen.logits[:count]),
        (SELF_TEST_FILE, self_test, chosen.logits[len(chosen.logits) - len(self_test.answers) :]),
    ):
        looser = _loosened(expected, chosen.precision)
        if chosen.name != PLAIN:
            scores = FUNCTIONS[report.behaviour.function](logits)
            looser = replace(looser, answers=_own_answers(expected.answers, logits, scores))
        write_reference(target / name, looser)
    accuracy = report.accuracy
    if accuracy and chosen.accuracy:
        accuracy = replace(accuracy, after=chosen.accuracy.after)
    write_report(target, replace(report, precision=_precision_report(chosen), accuracy=accuracy))


def write_plain(
    source: Path, target: Path, precision: Precision, reference: Reference, self_test: Reference
) -> None:
    """The same for the graph in fp32, which needs no trial."""
    _copy_files(source, target, set())
    for name, expected in ((REFERENCE_FILE, reference), (SELF_TEST_FILE, self_test)):
        write_reference(target / name, _loosened(expected, precision))


def _copy_files(source: Path, target: Path, without: set[str]) -> None:
    """All artifacts but those that are named."""
    for path in source.iterdir():
        if path.is_dir():
            shutil.copytree(path, target / path.name)
        elif path.name not in without:
            shutil.copy(path, target)


def _loosened(reference: Reference, precision: Precision) -> Reference:
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
