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
SETTINGS_FILE = "settings.json"
REFERENCE_FILE = "reference.json"


@dataclass(frozen=True)
class Settings:
    """What the template needs to know beyond the graph, and where the model came from.

    Attributes:
        classes: size of the last dimension of the logits.
        function: softmax, sigmoid or none.
        max_length: tokens at which a text is cut.
        model_type: transformers' name of the architecture.
        exporter: which exporter made the graph.
        largest_difference: largest absolute difference between the two models' logits.
        compared_texts: number of texts behind that figure.
        sources: model, tokenizer and labels as the user named them.
        digests: file name to sha256 of every file of the checkpoint that was read.
        versions: package to version at conversion.
    """

    classes: int
    function: str
    max_length: int
    model_type: str
    exporter: str
    largest_difference: float
    compared_texts: int
    sources: dict[str, str]
    digests: dict[str, str]
    versions: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What the original model says to a text: labels by falling score, and those scores."""

    text: str
    labels: list[str]
    scores: list[float]


def write_settings(folder: Path, settings: Settings) -> None:
    """Write settings.json."""
    text = json.dumps(asdict(settings), ensure_ascii=False, indent=2, sort_keys=True)
    (folder / SETTINGS_FILE).write_text(text + "\n", encoding="utf-8")


def read_settings(folder: Path) -> Settings:
    """Read settings.json.

    Raises:
        UserError: the folder was not written by convert_to_onnx.py.
    """
    return _read(folder / SETTINGS_FILE, lambda data: Settings(**data))


def write_reference(folder: Path, answers: list[Answer]) -> None:
    """Write reference.json."""
    text = json.dumps([asdict(answer) for answer in answers], ensure_ascii=False, indent=1)
    (folder / REFERENCE_FILE).write_text(text + "\n", encoding="utf-8")


def read_reference(path: Path) -> list[Answer]:
    """Read a reference.json.

    Raises:
        UserError: the file is absent or of another form.
    """
    return _read(path, lambda data: [Answer(**item) for item in data])


def _read(path: Path, parse: Callable[[Any], _Form]) -> _Form:
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(path, "absent or damaged", "run utils/convert_to_onnx.py again") from error
