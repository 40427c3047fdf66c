"""The folder between conversion and rendering: which files it has, what they say."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from utils.errors import UserError

_Form = TypeVar("_Form")

GRAPH_FILE = "model.onnx"
WEIGHTS_FILE = "model.onnx.data"
TOKENIZER_FILE = "tokenizer.json"
LABELS_FILE = "id2label.json"
THRESHOLDS_FILE = "thresholds.json"
REPORT_FILE = "report.json"
REFERENCE_FILE = "reference.json"

# The same for the built-in texts: what an image carries to be checked elsewhere.
SELF_TEST_FILE = "selftest.json"

# Raw values of each input of the graph, for one text: what the server warms up with.
WARMUP_FOLDER = "warmup"

# How much logits and scores may differ from the original's unless the user says otherwise.
DEFAULT_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Behaviour:
    """How the served model treats texts and logits.

    Attributes:
        problem_type: transformers' name; decides what a prediction is.
        function: softmax, sigmoid or none.
        top_k: number of labels and scores in an answer.
        pairs: whether every text comes with a second one.
        max_length: most tokens of one row, special ones included.
        padding: the side on which rows are filled up; none: the model's answers change with
            padding, so that it takes one text at a time.
        long_text: truncate, head-tail or window.
        stride: tokens that two neighbouring windows share.
        merge: mean or max, over the logits of a text's windows.
        max_windows: most windows of one text.
    """

    problem_type: str
    function: str
    top_k: int
    pairs: bool
    max_length: int
    padding: str
    long_text: str
    stride: int
    merge: str
    max_windows: int


@dataclass(frozen=True)
class Parity:
    """The exported model against the original.

    Attributes:
        texts: number of texts compared, each alone and in a padded batch.
        largest_difference: largest absolute difference between logits.
        tolerance: the difference that was allowed.
        changed_labels: texts with another top label; more than none only with a tolerance that
            the user loosened.
    """

    texts: int
    largest_difference: float
    tolerance: float
    changed_labels: int


@dataclass(frozen=True)
class Accuracy:
    """How well the original and the exported model do on the user's labelled texts.

    Attributes:
        examples: number of texts.
        before: measure to value for the original.
        after: the same for the exported model.
    """

    examples: int
    before: dict[str, float]
    after: dict[str, float]


@dataclass(frozen=True)
class PrecisionReport:
    """What another precision than plain fp32 changed.

    Attributes:
        name: as the user names it.
        recipe: how the graph was rewritten; "" for not at all.
        engine: what ran it, in words.
        texts: number of texts compared.
        agreement: share of them with the same labels as in fp32.
        largest_difference: largest absolute difference of a score to fp32's.
        speed: texts in a second, as a multiple of fp32's on this engine; None where another
            engine will serve.
    """

    name: str
    recipe: str
    engine: str
    texts: int
    agreement: float
    largest_difference: float
    speed: float | None


@dataclass(frozen=True)
class Report:
    """What was converted, how it will answer, and what the gates found.

    Attributes:
        model_type: transformers' name of the architecture.
        classes: size of the last dimension of the logits.
        exporter: which exporter made the graph.
        behaviour: how texts and logits are treated.
        parity: the exported model against the original.
        precision: in what numbers it computes; None for plain fp32.
        accuracy: on labelled texts, if there were any.
        sources: model, tokenizer and labels as the user named them.
        revisions: what exactly these names stood for, where they are not paths.
        pickle_scanner: what has looked at weights that came as pickles; "" for safetensors.
        digests: file name to sha256 of every file of the checkpoint that was read.
        versions: package to version at conversion.
    """

    model_type: str
    classes: int
    exporter: str
    behaviour: Behaviour
    parity: Parity
    precision: PrecisionReport | None
    accuracy: Accuracy | None
    sources: dict[str, str]
    revisions: dict[str, str]
    pickle_scanner: str
    digests: dict[str, str]
    versions: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What the original model says to a text.

    Attributes:
        text: the text.
        text_pair: the second one, of a model for pairs.
        logits: of each class; of a text in windows, merged.
        scores: of each class.
        truncated: whether a part of the text was left out.
    """

    text: str
    text_pair: str | None
    logits: list[float]
    scores: list[float]
    truncated: bool


@dataclass(frozen=True)
class Reference:
    """Answers that a server shall give, and what is needed to compare its own with them.

    They are the original model's; of a graph in fewer bits, whose differences to the original were
    found small enough, that graph's.

    Attributes:
        labels: of each class.
        thresholds: of each class, for a multi-label problem; None for another.
        problem_type: transformers' name.
        top_k: number of labels and scores in an answer.
        tolerance: largest absolute difference between scores.
        answers: one for each text.
        logit_tolerance: largest absolute difference between logits; None: as between scores.
    """

    labels: list[str]
    thresholds: list[float] | None
    problem_type: str
    top_k: int
    tolerance: float
    answers: list[Answer]
    logit_tolerance: float | None = None


def write_thresholds(folder: Path, thresholds: dict[str, float]) -> None:
    """Write thresholds.json: label to threshold."""
    _write(folder / THRESHOLDS_FILE, thresholds, indent=2)


def write_report(folder: Path, report: Report) -> None:
    """Write report.json."""
    _write(folder / REPORT_FILE, asdict(report), indent=2)


def read_report(folder: Path) -> Report:
    """Read report.json.

    Raises:
        UserError: the folder was not written by convert_to_onnx.py.
    """
    return _read(folder / REPORT_FILE, _report)


def write_reference(path: Path, reference: Reference) -> None:
    """Write reference.json or selftest.json."""
    # asdict would copy every number: of 10,000 classes that takes seconds.
    answers = [vars(answer) for answer in reference.answers]
    _write(path, {**vars(reference), "answers": answers}, indent=None)


def read_reference(path: Path) -> Reference:
    """Read a reference.json.

    Raises:
        UserError: the file is absent or of another form.
    """
    return _read(
        path,
        lambda data: Reference(**{**data, "answers": [Answer(**item) for item in data["answers"]]}),
    )


def _report(data: Any) -> Report:
    return Report(
        **{
            **data,
            "behaviour": Behaviour(**data["behaviour"]),
            "parity": Parity(**data["parity"]),
            "precision": PrecisionReport(**data["precision"]) if data["precision"] else None,
            "accuracy": Accuracy(**data["accuracy"]) if data["accuracy"] else None,
        }
    )


def _write(path: Path, data: object, indent: int | None) -> None:
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    path.write_text(text + "\n", encoding="utf-8")


def _read(path: Path, parse: Callable[[Any], _Form]) -> _Form:
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(path, "absent or damaged", "run utils/convert_to_onnx.py again") from error
