"""One self-contained tokenizer.json: vocabulary, truncation and padding of the checkpoint."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from utils.artifacts import TOKENIZER_FILE
from utils.checkpoint import Classifier
from utils.errors import UserError


def export_tokenizer(classifier: Classifier, folder: Path) -> Tokenizer:
    """Write tokenizer.json to `folder`; what the server encodes with is exactly this file."""
    source = classifier.tokenizer
    exported = Tokenizer.from_str(source.backend_tokenizer.to_str())
    exported.enable_truncation(
        classifier.max_length, strategy="longest_first", direction=source.truncation_side
    )
    if source.pad_token_id is None:
        raise UserError("tokenizer", "has no padding token", "set pad_token in its configuration")
    exported.enable_padding(
        direction=source.padding_side,
        pad_id=source.pad_token_id,
        pad_type_id=source.pad_token_type_id,
        pad_token=source.pad_token,
    )
    exported.save(str(folder / TOKENIZER_FILE))
    return Tokenizer.from_file(str(folder / TOKENIZER_FILE))


def check_same_ids(classifier: Classifier, exported: Tokenizer, texts: Sequence[str]) -> None:
    """Compare token ids with the transformers tokenizer's, cut and padded in one batch.

    Raises:
        UserError: names the first text that differs.
    """
    expected = classifier.tokenizer(
        list(texts), truncation=True, max_length=classifier.max_length, padding=True
    )["input_ids"]
    for text, want, got in zip(texts, expected, exported.encode_batch(list(texts)), strict=True):
        if want != got.ids:
            raise UserError("tokenizer", f"tokenizer.json gives other token ids for {text[:60]!r}")
