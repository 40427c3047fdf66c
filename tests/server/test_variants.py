"""Every kind of checkpoint and of answer, on the real tritonserver, against transformers."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import checkpoints
from tests.checkpoints import Checkpoint
from tests.pipeline import assert_same, pipeline_answers, window_answers
from tests.serving import render, serve
from tests.texts import texts
from utils.client import classify_all
from utils.inference import Prediction

pytestmark = pytest.mark.server

# Tokens that all tiny checkpoints take.
MAX_LENGTH = 64

STRANGE_LABELS = ['say "no"', "two\nlines", "👩‍👩‍👧 семья", "back\\slash, {json}", "'$HOME'"]
THRESHOLDS = {"тревога": 0.45, "👍 great": 0.55, "neutral": 0.5, "negative": 0.1, "spam": 0.9}


@dataclass(frozen=True)
class Variant:
    """A checkpoint, the options it is converted with, and what its `predicts` must say."""

    make: Callable[..., Checkpoint]
    config: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    function: str | None = None
    top_k: int = 3
    predicts: Callable[[Prediction], str] = lambda prediction: prediction.labels[0]


def over(threshold: dict[str, float] | float) -> Callable[[Prediction], str]:
    """The JSON list of labels over a threshold."""

    def predicts(prediction: Prediction) -> str:
        chosen = [
            label
            for label, score in zip(prediction.labels, prediction.scores, strict=True)
            if score > (threshold[label] if isinstance(threshold, dict) else threshold)
        ]
        return json.dumps(chosen, ensure_ascii=False)

    return predicts


def number(prediction: Prediction) -> str:
    """The only score, as short as FP32 allows."""
    return str(np.float32(prediction.scores[0]))


MULTI_LABEL = {"problem_type": "multi_label_classification", "num_labels": 5}

VARIANTS = {
    **{kind: Variant(make) for kind, make in checkpoints.BUILDERS.items() if kind != "distilbert"},
    "distilbert": Variant(checkpoints.make_distilbert, top_k=2),
    "gpt2 whose tokenizer pads on the left": Variant(
        checkpoints.make_gpt2, {"pad_token_id": 0, "padding_side": "left"}
    ),
    "multi-label": Variant(checkpoints.make_bert, MULTI_LABEL, (), None, 5, over(0.5)),
    "multi-label with a threshold": Variant(
        checkpoints.make_bert, MULTI_LABEL, ("--threshold", "0.3"), None, 5, over(0.3)
    ),
    "multi-label with a threshold for each label": Variant(
        checkpoints.make_bert, MULTI_LABEL, ("--threshold", "FILE"), None, 5, over(THRESHOLDS)
    ),
    "regression": Variant(
        checkpoints.make_bert,
        {"problem_type": "regression", "num_labels": 1},
        top_k=1,
        predicts=number,
    ),
    "one logit": Variant(checkpoints.make_roberta, {"num_labels": 1}, top_k=1),
    "sigmoid instead of softmax": Variant(
        checkpoints.make_bert, {}, ("--function", "sigmoid"), "sigmoid"
    ),
    "no function": Variant(checkpoints.make_bert, {}, ("--function", "none"), "none"),
    "10,000 classes": Variant(
        checkpoints.make_bert, {"num_labels": 10_000}, ("--top-k", "7"), top_k=7
    ),
    "strange labels": Variant(checkpoints.make_bert, {"num_labels": 5}, top_k=5),
}


def ask_both(rendered: Any, folder: Path, questions: Sequence[str], *more: Any) -> list[Any]:
    """Predictions over HTTP and over gRPC."""
    with serve(rendered.repository, folder / "server.log") as served:
        return [
            classify_all(server, rendered.name, list(questions), *more)
            for server in (served.http, served.grpc)
        ]


@pytest.mark.parametrize("name", VARIANTS)
def test_500_texts_are_answered_as_by_the_pipeline(name: str, tmp_path: Path) -> None:
    variant = VARIANTS[name]
    checkpoint = variant.make(tmp_path, **variant.config)
    if name == "strange labels":
        checkpoint.labels.write_text(json.dumps(dict(enumerate(STRANGE_LABELS))))
    (tmp_path / "thresholds.json").write_text(json.dumps(THRESHOLDS), encoding="utf-8")
    options = [str(tmp_path / "thresholds.json") if o == "FILE" else o for o in variant.options]
    rendered = render(checkpoint, tmp_path, *options)
    questions = texts(500)
    expected = pipeline_answers(checkpoint, questions, MAX_LENGTH, function=variant.function)
    for predictions in ask_both(rendered, tmp_path, questions):
        assert_same(expected, predictions, variant.top_k)
        assert [item.predict for item in predictions] == list(map(variant.predicts, predictions))


def test_500_pairs_are_answered_as_by_the_pipeline(tmp_path: Path) -> None:
    checkpoint = checkpoints.make_bert(tmp_path)
    rendered = render(checkpoint, tmp_path, "--pairs")
    firsts = texts(500)
    seconds = firsts[250:] + firsts[:250]
    expected = pipeline_answers(checkpoint, firsts, MAX_LENGTH, pairs=seconds)
    for predictions in ask_both(rendered, tmp_path, firsts, seconds):
        assert_same(expected, predictions, 3)


@pytest.mark.parametrize("merge", ["mean", "max"])
def test_500_texts_in_windows_are_answered_as_by_the_original_on_each_window(
    merge: str, tmp_path: Path
) -> None:
    checkpoint = checkpoints.make_roberta(tmp_path)
    rendered = render(
        checkpoint, tmp_path, "--long-text", "window", "--merge", merge, "--stride", "10",
        "--max-windows", "4",
    )  # fmt: skip
    expected = window_answers(
        checkpoint,
        texts(500),
        MAX_LENGTH,
        stride=10,
        max_windows=4,
        merge=lambda logits: logits.mean(0) if merge == "mean" else logits.amax(0),
    )
    for predictions in ask_both(rendered, tmp_path, texts(500)):
        assert_same(expected, predictions, 3)
        # 4 windows of 62 tokens that share 10 hold 218; the longest texts have more.
        assert {item.truncated for item in predictions} == {False, True}


def test_head_and_tail_of_a_long_text_decide(tmp_path: Path) -> None:
    checkpoint = checkpoints.make_distilbert(tmp_path)
    rendered = render(checkpoint, tmp_path, "--long-text", "head-tail")
    head, tail = "the quick fox " * 20, " lazy dog why" * 20
    questions = [head + " ".join(texts(30)) + tail, head + "👍" + tail, head + tail, "the fox"]
    for predictions in ask_both(rendered, tmp_path, questions):
        assert predictions[0].logits == predictions[1].logits == predictions[2].logits
        assert predictions[3].logits != predictions[0].logits
        assert [item.truncated for item in predictions] == [True, True, True, False]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_checkpoint_in_half_precision_answers_as_the_pipeline_in_fp32(
    dtype: str, tmp_path: Path
) -> None:
    checkpoint = checkpoints.make_bert(tmp_path)
    checkpoints.cast(checkpoint, dtype)
    rendered = render(checkpoint, tmp_path)
    expected = pipeline_answers(checkpoint, texts(500), MAX_LENGTH)
    for predictions in ask_both(rendered, tmp_path, texts(500)):
        assert_same(expected, predictions, 3)
