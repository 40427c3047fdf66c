"""One self-contained tokenizer.json: vocabulary, truncation and padding of the checkpoint."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tokenizers import Tokenizer

from utils.artifacts import TOKENIZER_FILE, Behaviour
from utils.checkpoint import Classifier
from utils.encoding import encode, make_tokenization, served_tokenization
from utils.errors import UserError
from utils.original import original_rows
from utils.samples import Example
from utils.served import Tokenization


def export_tokenizer(classifier: Classifier, behaviour: Behaviour, folder: Path) -> Tokenization:
    """Write tokenizer.json to `folder`; what the server encodes with is exactly this file."""
    _tokenizer(classifier, behaviour).save(str(folder / TOKENIZER_FILE))
    return served_tokenization(folder, behaviour)


def plain_tokenization(classifier: Classifier, behaviour: Behaviour, padding: str) -> Tokenization:
    """The same in memory, for one row a text and padding on the given side."""
    plain = replace(behaviour, padding=padding, long_text="truncate", stride=0)
    return make_tokenization(_tokenizer(classifier, plain), plain)


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
