"""What transformers says of an original checkpoint, asked here and now, without our own code."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.checkpoints import Checkpoint
from utils.inference import Prediction

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Ranked:
    """All labels of a text by falling score, and those scores."""

    labels: list[str]
    scores: list[float]


def pipeline_answers(
    checkpoint: Checkpoint,
    texts: Sequence[str],
    max_length: int,
    *,
    pairs: Sequence[str] | None = None,
    function: str | None = None,
) -> list[Ranked]:
    """Answers of the text-classification pipeline with `top_k=None`."""
    classify = _pipeline(checkpoint)
    options = {"truncation": True, "max_length": max_length, "function_to_apply": function}
    questions: Sequence[Any] = texts
    if pairs is not None:
        questions = [
            {"text": text, "text_pair": pair} for text, pair in zip(texts, pairs, strict=True)
        ]
    return [_ranked(classify(question, top_k=None, **options)) for question in questions]


def window_answers(
    checkpoint: Checkpoint,
    texts: Sequence[str],
    max_length: int,
    *,
    stride: int,
    max_windows: int,
    merge: str,
) -> list[Ranked]:
    """The pipeline's last step on merged logits of the tokenizer's own overlapping windows."""
    import torch

    classify = _pipeline(checkpoint)
    answers = []
    for text in texts:
        windows = classify.tokenizer(
            text,
            truncation=True,
            max_length=max_length,
            stride=stride,
            return_overflowing_tokens=True,
        )["input_ids"]
        with torch.inference_mode():
            logits = [
                classify.model(input_ids=torch.tensor([ids])).logits
                for ids in windows[:max_windows]
            ]
        stacked = torch.cat(logits)
        merged = (stacked.mean(0) if merge == "mean" else stacked.amax(0))[None]
        answers.append(_ranked(classify.postprocess({"logits": merged}, top_k=None, _legacy=False)))
    return answers


def assert_same(expected: Sequence[Ranked], got: Sequence[Prediction], top_k: int) -> None:
    """Labels identical, scores within 1e-4."""
    assert len(expected) == len(got)
    for ranked, prediction in zip(expected, got, strict=True):
        assert prediction.labels == ranked.labels[:top_k]
        for score, original in zip(prediction.scores, ranked.scores[:top_k], strict=True):
            assert abs(score - original) <= TOLERANCE


def _ranked(items: list[dict[str, Any]]) -> Ranked:
    return Ranked([item["label"] for item in items], [item["score"] for item in items])


def _pipeline(checkpoint: Checkpoint) -> Any:
    # Seconds to import, so only for those who ask.
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    model = AutoModelForSequenceClassification.from_pretrained(
        checkpoint.model, dtype=torch.float32
    )
    labels = json.loads(checkpoint.labels.read_text(encoding="utf-8"))
    model.config.id2label = {int(index): label for index, label in labels.items()}
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.tokenizer)
    return pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
