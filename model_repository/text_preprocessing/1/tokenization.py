"""Texts to token tensors: cut to what the model takes, joined with special tokens, padded.

tokenizer.json is the only source: its `truncation` says how long a text may be and which end is
cut, its `padding` says how rows are filled, its post-processor where special tokens go. The
Rust library is asked for the tokens alone. Its own truncation keeps every piece that it cuts off,
for two long texts in all combinations: gigabytes for a pair of 3,000 words each.

The conversion imports this file too, so that its gates see what is served.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

# Of a text that is too long, head-tail keeps 128 and 382 of 510 tokens: Sun et al. 2019, "How to
# Fine-Tune BERT for Text Classification", table 2.
HEAD_SHARE = 128 / 510

# What a row of tokens can hold, by the names that models give to their inputs.
INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")

# Of the types that graphs take tokens in, by their names in config.pbtxt.
NUMPY_TYPES = {"TYPE_INT32": np.int32, "TYPE_INT64": np.int64}

# Texts whose tokens show where special tokens go; a vocabulary may lack any of them.
PROBES = ("a", "0", "the", ".", "я", "的")

Tokens = list[int]


@dataclass(frozen=True)
class Row:
    """Tokens in a row: their ids and type ids."""

    ids: Tokens
    type_ids: Tokens


@dataclass(frozen=True)
class Layout:
    """Special tokens before, between and after one or two texts, and the texts' type ids."""

    before: Row
    between: Row
    after: Row
    types: tuple[int, int]

    @property
    def size(self) -> int:
        """Number of special tokens."""
        return len(self.before.ids) + len(self.between.ids) + len(self.after.ids)


@dataclass(frozen=True)
class Encoded:
    """Rows for each text, one or, of a long text in windows, several; and which texts were cut."""

    rows: list[list[Row]]
    truncated: list[bool]


class Tokenization:
    """Encodes texts, or pairs of texts, as a tokenizer.json and the treatment of long texts say.

    Args:
        tokenizer: with truncation and padding; they are taken out of it.
        pairs: whether every text comes with a second one.
        long_text: truncate, head-tail or window.
        max_windows: most windows of one text; a longer text is cut behind them.
        length_multiple: rows are filled up to a multiple of this, as far as the model goes; 1: to
            the longest row.
        types: the wanted tensors, of INPUT_NAMES, with their numpy types; all as INT64 if not said.

    Attributes:
        pairs: as above.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        pairs: bool,
        long_text: str,
        max_windows: int,
        length_multiple: int = 1,
        types: Mapping[str, Any] | None = None,
    ) -> None:
        truncation, padding = tokenizer.truncation, tokenizer.padding
        if truncation is None or padding is None:
            raise ValueError("tokenizer.json has no truncation or no padding")
        self._padding = padding
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.pairs = pairs
        self._windows = long_text == "window"
        self._head_tail = long_text == "head-tail"
        self._max_windows = max_windows
        self._max_length = truncation["max_length"]
        self._length_multiple = length_multiple
        self._from_right = truncation["direction"] == "right"
        self._types = types or dict.fromkeys(INPUT_NAMES, np.int64)
        self._layout = _layout(tokenizer, pairs)
        self._room = truncation["max_length"] - self._layout.size
        self._overlap = truncation["stride"]

    def encode(self, texts: Sequence[str], pairs: Sequence[str] = ()) -> Encoded:
        """Rows of one to `max_length` tokens.

        Raises:
            ValueError: a text has no tokens, not even special ones; the message says which.
        """
        firsts = self._tokens(texts)
        if self.pairs:
            cut = [self._cut_pair(*two) for two in zip(firsts, self._tokens(pairs), strict=True)]
        else:
            cut = [self._cut(tokens) for tokens in firsts]
        rows = [[self._row(*parts) for parts in windows] for windows, _ in cut]
        for number, windows in enumerate(rows):
            if not windows[0].ids:
                raise ValueError(f"row {number} has no tokens")
        return Encoded(rows, [truncated for _, truncated in cut])

    def tensors(self, rows: Sequence[Sequence[Row]]) -> dict[str, npt.NDArray[Any]]:
        """[texts, tokens], or [texts, windows, tokens], for each of the wanted tensors.

        Filled up with padding on the tokenizer's side; a window that a text has not is all padding.
        """
        longest = max(len(row.ids) for windows in rows for row in windows)
        length = -(-longest // self._length_multiple) * self._length_multiple
        length = max(longest, min(length, self._max_length))
        shape = (len(rows), max(map(len, rows)) if self._windows else 1, length)
        left = self._padding["direction"] == "left"
        arrays = {
            name: np.full(shape, self._fill(name), dtype) for name, dtype in self._types.items()
        }
        for number, windows in enumerate(rows):
            for window, row in enumerate(windows):
                start = length - len(row.ids) if left else 0
                place = (number, window, slice(start, start + len(row.ids)))
                for name, array in arrays.items():
                    array[place] = _values(name, row)
        if self._windows:
            return arrays
        return {name: array[:, 0] for name, array in arrays.items()}

    def _fill(self, name: str) -> int:
        fills = {
            "input_ids": self._padding["pad_id"],
            "token_type_ids": self._padding["pad_type_id"],
        }
        return int(fills.get(name, 0))

    def _tokens(self, texts: Sequence[str]) -> list[Tokens]:
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def _cut(self, tokens: Tokens) -> tuple[list[tuple[Tokens, Tokens]], bool]:
        """The parts of a text that are scored, and whether anything is lost."""
        if len(tokens) <= self._room:
            return [(tokens, [])], False
        if self._head_tail:
            head = round(self._room * HEAD_SHARE)
            return [(tokens[:head] + tokens[len(tokens) - self._room + head :], [])], True
        if self._windows:
            parts = list(self._window_slices(len(tokens)))
            kept = parts[: self._max_windows]
            return [(tokens[part], []) for part in kept], len(kept) < len(parts)
        return [(self._end(tokens, self._room), [])], True

    def _window_slices(self, count: int) -> Iterator[slice]:
        """Overlapping slices from the end that truncation keeps to the other."""
        step = self._room - self._overlap
        for cut in range(0, count, step):
            if self._from_right:
                yield slice(cut, min(cut + self._room, count))
            else:
                yield slice(max(0, count - cut - self._room), count - cut)
            if cut + self._room >= count:
                return

    def _cut_pair(self, first: Tokens, second: Tokens) -> tuple[list[tuple[Tokens, Tokens]], bool]:
        if len(first) + len(second) <= self._room:
            return [(first, second)], False
        lengths = longest_first(len(first), len(second), self._room)
        return [(self._end(first, lengths[0]), self._end(second, lengths[1]))], True

    def _end(self, tokens: Tokens, count: int) -> Tokens:
        return tokens[:count] if self._from_right else tokens[max(0, len(tokens) - count) :]

    def _row(self, first: Tokens, second: Tokens) -> Row:
        layout = self._layout
        return Row(
            layout.before.ids + first + layout.between.ids + second + layout.after.ids,
            layout.before.type_ids
            + [layout.types[0]] * len(first)
            + layout.between.type_ids
            + [layout.types[1]] * len(second)
            + layout.after.type_ids,
        )


def read_tokenization(folder: Path, config: Mapping[str, Any]) -> Tokenization:
    """The tokenization of a version folder, as text_preprocessing's configuration (as JSON) says.

    Raises:
        ValueError: an output that no tokenizer makes, or no tokenizer in the file.
    """
    parameters = {name: value["string_value"] for name, value in config["parameters"].items()}
    types = {entry["name"]: entry["data_type"] for entry in config["output"]}
    del types["truncated"]
    unknown = sorted(types.keys() - set(INPUT_NAMES))
    if unknown:
        raise ValueError(f"no tokenizer makes {', '.join(unknown)}")
    return Tokenization(
        _read_tokenizer(folder / "tokenizer.json"),
        pairs=len(config["input"]) == 2,
        long_text=parameters["long_text"],
        max_windows=int(parameters["max_windows"]),
        length_multiple=int(parameters["length_multiple"]),
        types={name: NUMPY_TYPES[data_type] for name, data_type in types.items()},
    )


def _read_tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:
        # The library's own words do not name it.
        raise ValueError(f"{path.name}: {error}") from error


def decoded(name: str, rows: npt.NDArray[np.object_]) -> list[str]:
    """The texts of a BYTES tensor.

    Raises:
        ValueError: a row is not UTF-8; the message says which and where.
    """
    texts = []
    for number, row in enumerate(rows.reshape(-1)):
        try:
            texts.append(row.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{name}: row {number} is not UTF-8 ({error.reason} at byte {error.start})"
            ) from error
    return texts


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Lengths to which a pair is cut: the longer text loses tokens until both are alike.

    Source: `truncate_encodings`, TruncationStrategy::LongestFirst, in the tokenizers library.
    """
    short, long = sorted((first, second))
    long = max(short, room - short)
    if short + long > room:
        short = room // 2
        long = room - short
    return (short, long) if first <= second else (long, short)


def _values(name: str, row: Row) -> Tokens | int:
    if name == "attention_mask":
        return 1
    return row.ids if name == "input_ids" else row.type_ids


def _layout(tokenizer: Tokenizer, pairs: bool) -> Layout:
    """What the post-processor adds, seen on a text whose tokens are known."""
    for probe in PROBES:
        alone = tokenizer.encode(probe, add_special_tokens=False)
        if alone.ids:
            break
    else:
        raise ValueError("tokenizer.json makes no tokens")
    joined = tokenizer.post_process(alone, alone if pairs else None)
    # Special tokens of the post-processor are marked; those that stand in a text are not.
    places = [place for place, mark in enumerate(joined.special_tokens_mask) if not mark]
    first, second = places[: len(alone.ids)], places[len(alone.ids) :]

    def part(start: int, end: int | None) -> Row:
        return Row(joined.ids[start:end], joined.type_ids[start:end])

    between = part(first[-1] + 1, second[0]) if pairs else Row([], [])
    return Layout(
        part(0, first[0]),
        between,
        part(places[-1] + 1, None),
        (joined.type_ids[first[0]], joined.type_ids[second[0]] if pairs else 0),
    )
