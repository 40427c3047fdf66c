"""Every kind of checkpoint and of answer, and what transformers says of each."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests import checkpoints
from tests.checkpoints import Checkpoint
from tests.pipeline import Ranked, pipeline_answers, window_answers
from utils.inference import Prediction

# Tokens that all tiny checkpoints take.
MAX_LENGTH = 64

STRANGE_LABELS = ['say "no"', "two\nlines", "👩‍👩‍👧 семья", "back\\slash, {json}", "'$HOME'"]
THRESHOLDS = {"тревога": 0.45, "👍 great": 0.55, "neutral": 0.5, "negative": 0.1, "spam": 0.9}
MULTI_LABEL = {"problem_type": "multi_label_classification", "num_labels": 5}

Answers = Callable[[Checkpoint, Sequence[str], Sequence[str] | None], list[Ranked]]


def first_label(prediction: Prediction) -> str:
    """What `predicts` is for one label a text."""
    return prediction.labels[0]


def over(threshold: dict[str, float] | float) -> Callable[[Prediction], str]:
    """What `predicts` is for several labels a text: the JSON list of those over a threshold."""

    def predicts(prediction: Prediction) -> str:
        chosen = [
            label
            for label, score in zip(prediction.labels, prediction.scores, strict=True)
            if score > (threshold[label] if isinstance(threshold, dict) else threshold)
        ]
        return json.dumps(chosen, ensure_ascii=False)

    return predicts


def number(prediction: Prediction) -> str:
    """What `predicts` is for a regression: the only score, as short as FP32 allows."""
    return str(np.float32(prediction.scores[0]))


def numbers(prediction: Prediction) -> str:
    """The same for several outputs, in the order of classes."""
    return f"[{', '.join(str(np.float32(logit)) for logit in prediction.logits)}]"


def from_pipeline(
    checkpoint: Checkpoint,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    function: str | None = None,
) -> list[Ranked]:
    """What the text-classification pipeline says."""
    return pipeline_answers(checkpoint, texts, MAX_LENGTH, pairs=pairs, function=function)


def from_windows(
    checkpoint: Checkpoint, texts: Sequence[str], _: Sequence[str] | None, merge: str
) -> list[Ranked]:
    """What the original says of each window, merged: of 4 windows that share 10 tokens."""
    return window_answers(checkpoint, texts, MAX_LENGTH, stride=10, max_windows=4, merge=merge)


@dataclass(frozen=True)
class Variant:
    """A checkpoint, the options it is converted with, and what it should answer.

    Attributes:
        make: builds the checkpoint in a folder.
        config: changes to its configuration.
        tokenizer: changes to tokenizer_config.json.
        options: of the conversion; THRESHOLDS stands for a file of them.
        labels: the label file's, None for those of the builder.
        dtype: the precision of the checkpoint's weights.
        top_k: number of labels in an answer.
        pairs: texts come in pairs.
        answers: the original's.
        predicts: what `predicts` says beside labels and scores.
    """

    make: Callable[..., Checkpoint]
    config: dict[str, Any] = field(default_factory=dict)
    tokenizer: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    labels: list[str] | None = None
    dtype: str = "float32"
    top_k: int = 3
    pairs: bool = False
    answers: Answers = from_pipeline
    predicts: Callable[[Prediction], str] = first_label

    def build(self, folder: Path) -> tuple[Checkpoint, list[str]]:
        """The checkpoint, and the options with real file names."""
        checkpoint = self.make(folder, **self.config)
        if self.tokenizer:
            checkpoints.configure_tokenizer(checkpoint, **self.tokenizer)
        if self.dtype != "float32":
            checkpoints.cast(checkpoint, self.dtype)
        if self.labels:
            checkpoint.labels.write_text(json.dumps(dict(enumerate(self.labels))))
        thresholds = folder / "thresholds.json"
        thresholds.write_text(json.dumps(THRESHOLDS), encoding="utf-8")
        options = [str(thresholds) if word == "THRESHOLDS" else word for word in self.options]
        return checkpoint, options


VARIANTS = {
    "bert": Variant(checkpoints.make_bert),
    "distilbert": Variant(checkpoints.make_distilbert, top_k=2),
    "roberta": Variant(checkpoints.make_roberta),
    "xlm_roberta": Variant(checkpoints.make_xlm_roberta),
    "gpt2": Variant(checkpoints.make_gpt2),
    "gpt2_padded_left": Variant(
        checkpoints.make_gpt2,
        {"pad_token_id": 0},
        tokenizer={"padding_side": "left", "pad_token": checkpoints.END_OF_TEXT},
    ),
    "cut_on_the_left": Variant(checkpoints.make_bert, tokenizer={"truncation_side": "left"}),
    "qwen2": Variant(checkpoints.make_qwen2),
    "float16": Variant(checkpoints.make_bert, dtype="float16"),
    "bfloat16": Variant(checkpoints.make_bert, dtype="bfloat16"),
    "multi_label": Variant(checkpoints.make_bert, MULTI_LABEL, top_k=5, predicts=over(0.5)),
    "multi_label_threshold": Variant(
        checkpoints.make_bert,
        MULTI_LABEL,
        options=("--threshold", "0.3"),
        top_k=5,
        predicts=over(0.3),
    ),
    "multi_label_thresholds": Variant(
        checkpoints.make_bert,
        MULTI_LABEL,
        options=("--threshold", "THRESHOLDS"),
        top_k=5,
        predicts=over(THRESHOLDS),
    ),
    "regression": Variant(
        checkpoints.make_distilbert,
        {"problem_type": "regression", "num_labels": 1},
        top_k=1,
        predicts=number,
    ),
    "regression_of_three": Variant(
        checkpoints.make_bert, {"problem_type": "regression"}, predicts=numbers
    ),
    "one_logit": Variant(checkpoints.make_roberta, {"num_labels": 1}, top_k=1),
    "sigmoid": Variant(
        checkpoints.make_bert,
        options=("--function", "sigmoid"),
        answers=partial(from_pipeline, function="sigmoid"),
    ),
    "no_function": Variant(
        checkpoints.make_bert,
        options=("--function", "none"),
        answers=partial(from_pipeline, function="none"),
    ),
    "softmax_of_multi_label": Variant(
        checkpoints.make_bert,
        MULTI_LABEL,
        options=("--function", "softmax"),
        top_k=5,
        answers=partial(from_pipeline, function="softmax"),
    ),
    "ten_thousand_classes": Variant(
        checkpoints.make_bert, {"num_labels": 10_000}, options=("--top-k", "7"), top_k=7
    ),
    "strange_labels": Variant(
        checkpoints.make_bert, {"num_labels": 5}, labels=STRANGE_LABELS, top_k=5
    ),
    "pairs": Variant(checkpoints.make_bert, options=("--pairs",), pairs=True),
    "pairs_of_roberta": Variant(checkpoints.make_roberta, options=("--pairs",), pairs=True),
    **{
        f"window_{merge}": Variant(
            checkpoints.make_roberta,
            options=("--long-text", "window", "--merge", merge, "--stride", "10", "--max-windows",
                     "4"),
            answers=partial(from_windows, merge=merge),
        )
        for merge in ("mean", "max")
    },
}  # fmt: skip
