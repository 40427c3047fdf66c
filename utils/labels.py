"""Label files: JSON objects that name the classes, `id2label` or `label2id`."""

import json
from pathlib import Path
from typing import Any

from utils.errors import UserError, first_line

SHAPES = 'id2label is {"0": "negative", …}, label2id is {"negative": 0, …}'


def read_label_file(path: Path) -> dict[int, str]:
    """Read either form and return index to label, indices 0 to n-1 in order.

    Raises:
        UserError: not JSON, neither form, gaps in the indices, or a label named twice.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except FileNotFoundError as error:
        raise UserError(path, "no such file") from error
    except UnicodeDecodeError as error:
        raise UserError(path, "not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise UserError(
            path, f"not JSON, line {error.lineno} column {error.colno}: {error.msg}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(path, f"not a label file: {first_line(error)}") from error
    return parse_labels(data, path)


def parse_labels(data: Any, subject: str | Path) -> dict[int, str]:
    """The same for parsed JSON; `subject` names it in errors."""
    if not isinstance(data, dict) or not data:
        raise UserError(subject, "neither id2label nor label2id", SHAPES)
    if all(isinstance(key, str) and key.isdecimal() and len(key) < 10 for key in data) and all(
        isinstance(value, str) for value in data.values()
    ):
        pairs = [(int(key), value) for key, value in data.items()]
    elif all(type(value) is int for value in data.values()):
        pairs = [(value, key) for key, value in data.items()]
    else:
        raise UserError(subject, "neither id2label nor label2id", SHAPES)

    labels = dict(sorted(pairs))
    missing = sorted(set(range(len(pairs))) - labels.keys())
    if missing or len(labels) != len(pairs):
        wrong = f"no label for class {missing[0]}" if missing else "two labels for one class"
        raise UserError(
            subject, wrong, f"{len(pairs)} labels need the indices 0 to {len(pairs) - 1}"
        )
    texts = list(labels.values())
    if len(set(texts)) != len(texts):
        twice = next(text for text in texts if texts.count(text) > 1)
        raise UserError(subject, f"two classes are named {twice!r}")
    try:
        "".join(texts).encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(subject, f"a label is not Unicode text: {error.reason}") from error
    return labels


def check_class_count(labels: dict[int, str], classes: int, subject: str | Path) -> None:
    """Compare with the model's class count.

    Raises:
        UserError: names both numbers.
    """
    if len(labels) != classes:
        raise UserError(subject, f"has {len(labels)} labels, but the model has {classes} classes")


def dump_labels(labels: dict[int, str]) -> str:
    """The text of an id2label file."""
    return (
        json.dumps(
            {str(index): text for index, text in labels.items()}, ensure_ascii=False, indent=2
        )
        + "\n"
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object that names no key twice, which json.loads would let the last one win."""
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a key is there twice")
    return data
