"""Reading a fine-tuned checkpoint: its weights, its tokenizer, what they imply for serving."""

import inspect
from dataclasses import dataclass
from typing import Any

from utils.errors import UserError, first_line
from utils.frameworks import torch, transformers
from utils.sources import Source

# The value that transformers writes when a tokenizer knows no limit is 1e30; no real one is close.
LARGEST_REAL_LENGTH = 1_000_000
FALLBACK_LENGTH = 512

# Plain attention takes memory with the square of the length: at this one 3 GB for twelve heads.
LARGEST_DEFAULT_LENGTH = 8192


@dataclass(frozen=True)
class Classifier:
    """A loaded checkpoint.

    Attributes:
        model: the transformers model in evaluation mode, fp32.
        tokenizer: its tokenizer, a fast one.
        max_length: most tokens that both take.
        padding_id: token id that fills rows up and that the model takes for no part of a text.
        input_names: which of the tokenizer's tensors the model takes.
    """

    model: Any
    tokenizer: Any
    max_length: int
    padding_id: int
    input_names: tuple[str, ...]


def load_classifier(model_source: Source, tokenizer_source: Source, max_length: int) -> Classifier:
    """Load model and tokenizer without running any code of theirs.

    Args:
        model_source: a folder of config.json and safetensors weights.
        tokenizer_source: a folder of tokenizer files.
        max_length: tokens at which texts are cut; 0 for the longest that the model takes, at most
            LARGEST_DEFAULT_LENGTH.

    Raises:
        UserError: not a sequence classifier, no safetensors, no fast tokenizer, a `max_length`
            that the model cannot take.
    """
    model = _load_model(model_source)
    tokenizer = _load_tokenizer(tokenizer_source)
    longest = _longest(model, tokenizer)
    if max_length > longest:
        raise UserError(
            "--max-length", f"{max_length} is over the {longest} tokens that the model takes"
        )
    _check_vocabulary(model, tokenizer, tokenizer_source.reference)
    return Classifier(
        model,
        tokenizer,
        max_length or min(longest, LARGEST_DEFAULT_LENGTH),
        _padding_id(model, tokenizer),
        _input_names(model, tokenizer),
    )


def _load_model(source: Source) -> Any:
    try:
        model, report = transformers.AutoModelForSequenceClassification.from_pretrained(
            source.path,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            # Exported graphs run fastest with plain attention: see docs/export.md.
            attn_implementation="eager",
            output_loading_info=True,
        )
    except Exception as error:
        raise UserError(
            source.reference, f"not a sequence classifier that can be loaded: {first_line(error)}"
        ) from error
    if report["missing_keys"]:
        names = ", ".join(sorted(report["missing_keys"])[:3])
        raise UserError(
            source.reference,
            f"not a fine-tuned sequence classifier: no weights for {names}",
            "fine-tune it first",
        )
    if report["mismatched_keys"]:
        raise UserError(
            source.reference, f"weights and config.json disagree: {report['mismatched_keys']}"
        )
    return model.eval()


def _load_tokenizer(source: Source) -> Any:
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            source.path, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        raise UserError(
            source.reference, f"not a tokenizer that can be loaded: {first_line(error)}"
        ) from error
    if not tokenizer.is_fast:
        raise UserError(
            source.reference,
            f"{type(tokenizer).__name__} has no fast version",
            "serving needs a tokenizer.json of the tokenizers library",
        )
    return tokenizer


def _longest(model: Any, tokenizer: Any) -> int:
    """Tokens that both position embeddings and tokenizer allow."""
    limits = []
    if tokenizer.model_max_length < LARGEST_REAL_LENGTH:
        limits.append(int(tokenizer.model_max_length))
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions and positions > 0:
        limits.append(int(positions) - _first_position(model))
    return min(limits, default=FALLBACK_LENGTH)


def _first_position(model: Any) -> int:
    """Rows of the position table that no token uses: RoBERTa's kind counts from padding_idx + 1."""
    for name, module in model.named_modules():
        if (
            name.endswith("position_embeddings")
            and getattr(module, "padding_idx", None) is not None
        ):
            return int(module.padding_idx) + 1
    return 0


def _check_vocabulary(model: Any, tokenizer: Any, subject: str) -> None:
    rows = _embedding_rows(model)
    if rows and len(tokenizer) > rows:
        raise UserError(
            subject,
            f"the tokenizer has {len(tokenizer)} tokens, the model knows {rows}",
            "is it this model's tokenizer?",
        )


def _input_names(model: Any, tokenizer: Any) -> tuple[str, ...]:
    takes = inspect.signature(model.forward).parameters
    try:
        names = tuple(name for name in tokenizer("a") if name in takes)
    except Exception as error:
        raise UserError(
            type(tokenizer).__name__, f"does not take a text alone: {first_line(error)}"
        ) from error
    # Neither transformers' pipeline nor we may hand the model what it does not take.
    tokenizer.model_input_names = list(names)
    return names


def _embedding_rows(model: Any) -> int:
    """Number of token ids that the model knows; 0 where it has no table of them."""
    try:
        return int(model.get_input_embeddings().weight.shape[0])
    except (AttributeError, NotImplementedError):
        return 0


def _padding_id(model: Any, tokenizer: Any) -> int:
    """The model's padding id, else its tokenizer's, else a new one.

    A decoder's classifier takes the last token that is not padding; where neither side knows a
    padding id, no id of the vocabulary is free of meaning. So the table of embeddings gets one row
    more, which no text can name.
    """
    config = model.config.get_text_config()
    rows = _embedding_rows(model)
    for known in (config.pad_token_id, tokenizer.pad_token_id):
        if known is not None and known >= 0 and (known < rows or not rows):
            config.pad_token_id = known
            return int(known)
    if not rows:
        raise UserError(type(model).__name__, "names no padding token", "set pad_token_id")
    model.resize_token_embeddings(rows + 1, mean_resizing=False)
    config.pad_token_id = rows
    return rows
