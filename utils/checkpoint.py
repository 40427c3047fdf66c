"""Reading a fine-tuned checkpoint: its weights, its tokenizer, what they imply for serving."""

import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before transformers is imported: nothing here may ask a hub, and nobody needs its advice.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Before torch is imported: its threads spin while they wait, seconds where cores are shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging as transformers_logging

from utils.errors import UserError, first_line

transformers_logging.disable_progress_bar()

# The value that transformers writes when a tokenizer knows no limit is 1e30; no real one is close.
LARGEST_REAL_LENGTH = 1_000_000
FALLBACK_LENGTH = 512


@dataclass(frozen=True)
class Classifier:
    """A loaded checkpoint.

    Attributes:
        model: the transformers model in evaluation mode, fp32.
        tokenizer: its tokenizer, a fast one.
        max_length: most tokens that both take.
    """

    model: Any
    tokenizer: Any
    max_length: int

    def encode(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """The tensors that the tokenizer makes and the model takes: name to [n, tokens] int64."""
        takes = inspect.signature(self.model.forward).parameters
        encoded = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self.max_length,
            return_tensors="pt",
        )
        return {name: tensor for name, tensor in encoded.items() if name in takes}


def load_classifier(model_folder: Path, tokenizer_folder: Path, max_length: int) -> Classifier:
    """Load model and tokenizer without running any code of theirs.

    Args:
        model_folder: config.json and safetensors weights.
        tokenizer_folder: tokenizer files.
        max_length: tokens at which texts are cut; 0 for the longest that the model takes.

    Raises:
        UserError: not a sequence classifier, no safetensors, no fast tokenizer, a `max_length`
            that the model cannot take.
    """
    model = _load_model(model_folder)
    tokenizer = _load_tokenizer(tokenizer_folder)
    longest = _longest(model, tokenizer)
    if max_length > longest:
        raise UserError(
            "--max-length", f"{max_length} is over the {longest} tokens that the model takes"
        )
    _check_vocabulary(model, tokenizer, tokenizer_folder)
    return Classifier(model, tokenizer, max_length or longest)


def score_function(config: Any) -> str:
    """softmax, sigmoid or none: the rule of transformers' TextClassificationPipeline.

    Source: `postprocess` in transformers/pipelines/text_classification.py (5.23).
    """
    if config.problem_type == "regression":
        return "none"
    if config.problem_type == "multi_label_classification" or config.num_labels == 1:
        return "sigmoid"
    return "softmax"


def _load_model(folder: Path) -> Any:
    try:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            folder,
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
            folder, f"not a sequence classifier that can be loaded: {first_line(error)}"
        ) from error
    if report["missing_keys"]:
        names = ", ".join(sorted(report["missing_keys"])[:3])
        raise UserError(
            folder,
            f"not a fine-tuned sequence classifier: no weights for {names}",
            "fine-tune it first",
        )
    if report["mismatched_keys"]:
        raise UserError(folder, f"weights and config.json disagree: {report['mismatched_keys']}")
    return model.eval()


def _load_tokenizer(folder: Path) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        raise UserError(
            folder, f"not a tokenizer that can be loaded: {first_line(error)}"
        ) from error
    if not tokenizer.is_fast:
        raise UserError(
            folder,
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


def _check_vocabulary(model: Any, tokenizer: Any, folder: Path) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise UserError(
            folder,
            f"the tokenizer has {len(tokenizer)} tokens, the model knows {rows}",
            "is it this model's tokenizer?",
        )
