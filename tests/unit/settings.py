"""The Settings of a converted model that never was."""

from dataclasses import replace
from typing import Any

from utils.artifacts import Settings

BASE = Settings(
    classes=3,
    function="softmax",
    max_length=512,
    model_type="bert",
    exporter="torchscript",
    largest_difference=3.5762786865234375e-07,
    compared_texts=26,
    sources={"model": "/models/отзывы", "tokenizer": "tok", "labels": "id2label.json"},
    digests={"model/config.json": "ab" * 32},
    versions={"torch": "2.13.0+cpu"},
)


def make_settings(**changes: Any) -> Settings:
    """BASE with other values."""
    return replace(BASE, **changes)
