"""One self-contained tokenizer.json: vocabulary, truncation and padding of the checkpoint."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tokenizers import Tokenizer

from utils.artifacts import TOKENIZER_FILE, Behaviour
from utils.checkpoint import Classifier
from utils.errors import UserError
from utils.original import original_rows
from utils.samples import Example
from utils.served import Encoded, Tokenization


def export_tokenizer(classifier: Classifier, behaviour: Behaviour, folder: Path) -> Tokenization:
    """Write tokenizer.json to `folder`; what the server encodes with is exactly this file."""
    path = str(folder / TOKENIZER_FILE)
    _tokenizer(classifier, behaviour).save(path)
    return _tokenization(Tokenizer.from_file(path), behaviour)


def plain_tokenization(classifier: Classifier, behaviour: Behaviour, padding: str) -> Tokenization:
    """The same in memory, for one row a text and padding on the given side."""
    plain = replace(behaviour, padding=padding, long_text="truncate", stride=0)
    return _tokenization(_tokenizer(classifier, plain), plain)


def _tokenization(tokenizer: Tokenizer, behaviour: Behaviour) -> Tokenization:
    return Tokenization(
        tokenizer,
        pairs=behaviour.pairs,
        long_text=behaviour.long_text,
        max_windows=behaviour.max_windows,
    )


def _tokenizer(classifier: Classifier, behaviour: Behaviour) -> Tokenizer:
    source = classifier.tokenizer
    tokenizer = Tokenizer.from_str(source.backend_tokenizer.to_str())
    tokenizer.enable_truncation(
        behaviour.max_length,
        stride=behaviour.stride,
        strategy="longest_first",
        direction=source.truncation_side,
    )
    tokenizer.enable_padding(
        direction="left" if behaviour.padding == "left" else "right",
        pad_id=classifier.padding_id,
        pad_type_id=source.pad_token_type_id,
        pad_token=source.pad_token or "[PAD]",
    )
    return tokenizer


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


def check_same_ids(
    classifier: Classifier,
    behaviour: Behaviour,
    tokenization: Tokenization,
    examples: Sequence[Example],
) -> None:
    """Compare token ids and type ids with the transformers tokenizer's.

    Raises:
        UserError: names the first text that differs.
    """
    for example in examples:
        want, want_truncated = original_rows(classifier, behaviour, example)
        got = encode(tokenization, [example])
        ids = [row.ids for row in got.rows[0]] == [row["input_ids"] for row in want]
        types = [row.type_ids for row in got.rows[0]] == [
            row.get("token_type_ids", served.type_ids)
            for row, served in zip(want, got.rows[0], strict=False)
        ]
        if not ids or not types or got.truncated != [want_truncated]:
            raise UserError(
                "tokenizer", f"tokenizer.json gives other token ids for {example.text[:60]!r}"
            )
