"""The texts that the gates use, and the user's labelled ones."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.errors import UserError, first_line

BUILT_IN = Path(__file__).with_name("samples.txt")

FORMS = 'CSV with a header, or JSON lines: {"text": …, "text_pair": …, "label": …}'


@dataclass(frozen=True)
class Example:
    """A text, its second one for models of pairs, and what somebody says that it is.

    Attributes:
        text: the text.
        text_pair: the second text.
        label: of a labelled example: label, list of labels, or number.
    """

    text: str
    text_pair: str | None = None
    label: Any = None


def read_samples(path: Path | None, pairs: bool) -> list[Example]:
    """Texts of a file, or the built-in multilingual ones for None.

    One text a line, empty lines left out, the two texts of a pair with a tab between; or
    .csv or .jsonl as for `read_labelled`, without labels.

    Raises:
        UserError: the file is absent, empty, not UTF-8 or of another form.
    """
    if path is not None and path.suffix in READERS:
        return [_example(row, path, pairs, ()) for row in _rows(path)]
    source = path or BUILT_IN
    lines = [line for line in _text(source).split("\n") if line.strip()]
    if not lines:
        raise UserError(source, "has no texts", "one text per line")
    if not pairs:
        return [Example(line) for line in lines]
    if path is None:
        # Neighbours in another order, so that lengths and languages mix.
        return [
            Example(line, lines[(7 * number + 3) % len(lines)]) for number, line in enumerate(lines)
        ]
    for number, line in enumerate(lines, start=1):
        if line.count("\t") != 1:
            raise UserError(source, f"text {number} is not two with a tab between", "for --pairs")
    return [Example(*line.split("\t")) for line in lines]


def read_labelled(path: Path, pairs: bool) -> list[Example]:
    """Labelled texts: columns text, label and, for pairs, text_pair, of a .csv or .jsonl file.

    Raises:
        UserError: the file is absent, empty, not UTF-8, of another form, or lacks a column.
    """
    if path.suffix not in READERS:
        raise UserError(path, "neither .csv nor .jsonl", FORMS)
    return [_example(row, path, pairs, ("label",)) for row in _rows(path)]


def _rows(path: Path) -> list[Mapping[str, Any]]:
    try:
        rows = list(READERS[path.suffix](_text(path)))
    except (csv.Error, ValueError, RecursionError) as error:
        raise UserError(path, first_line(error), FORMS) from error
    if not rows:
        raise UserError(path, "has no texts", FORMS)
    return rows


def _read_csv(text: str) -> Iterable[Mapping[str, Any]]:
    return csv.DictReader(io.StringIO(text, newline=""), strict=True)


def _read_jsonl(text: str) -> Iterable[Mapping[str, Any]]:
    # Not splitlines(), which also splits at characters that JSON allows within a string.
    rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a line is not a JSON object")
    return rows


READERS: dict[str, Callable[[str], Iterable[Mapping[str, Any]]]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
}


def _example(row: Mapping[str, Any], path: Path, pairs: bool, others: tuple[str, ...]) -> Example:
    texts = ("text", "text_pair") if pairs else ("text",)
    missing = [name for name in (*texts, *others) if row.get(name) is None]
    if missing:
        raise UserError(path, f"a row has no {missing[0]}", FORMS)
    strange = [name for name in texts if not isinstance(row[name], str)]
    if strange:
        raise UserError(path, f"a {strange[0]} is not a text", FORMS)
    return Example(row["text"], row["text_pair"] if pairs else None, row.get("label"))


def _text(path: Path) -> str:
    try:
        # With or without the mark that spreadsheets put first.
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(path, "no such file") from error
    except UnicodeDecodeError as error:
        raise UserError(path, "not UTF-8 text") from error
