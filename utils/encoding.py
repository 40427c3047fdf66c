"""Texts to token rows, by the very code that will be served."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from utils.artifacts import TOKENIZER_FILE, Behaviour
from utils.errors import UserError
from utils.samples import Example
from utils.served import Encoded, Tokenization


def served_tokenization(
    folder: Path, behaviour: Behaviour, length_multiple: int = 1
) -> Tokenization:
    """What the server encodes with: the tokenizer.json of converted files."""
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    return make_tokenization(tokenizer, behaviour, length_multiple)


def padding_id(folder: Path) -> int:
    """The token that rows are filled up with, by the tokenizer.json of converted files."""
    padding = Tokenizer.from_file(str(folder / TOKENIZER_FILE)).padding
    return int(padding["pad_id"]) if padding else 0


def make_tokenization(
    tokenizer: Tokenizer, behaviour: Behaviour, length_multiple: int = 1
) -> Tokenization:
    """A tokenizer with truncation and padding, used as `behaviour` says."""
    return Tokenization(
        tokenizer,
        pairs=behaviour.pairs,
        long_text=behaviour.long_text,
        max_windows=behaviour.max_windows,
        length_multiple=length_multiple,
    )


def encode(tokenization: Tokenization, examples: Sequence[Example]) -> Encoded:
    """What the server makes of examples.

    Raises:
        UserError: a text has no tokens.
    """
    try:
        return tokenization.encode(
            [example.text for example in examples],
            [example.text_pair or "" for example in examples],
        )
    except ValueError as error:
        raise UserError("tokenizer", str(error), "leave this text out of the samples") from error


def longer(examples: Sequence[Example]) -> Example:
    """A text longer than any of the examples, so that each of them is padded beside it."""
    longest = max(examples, key=lambda example: len(example.text) + len(example.text_pair or ""))
    twice = f"{longest.text} {longest.text}"
    return Example(twice, longest.text_pair and f"{longest.text_pair} {longest.text_pair}")
