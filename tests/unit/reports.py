"""The Report of a converted model that never was."""

from dataclasses import replace
from typing import Any

from utils.artifacts import Behaviour, Parity, Report

BEHAVIOUR = Behaviour(
    problem_type="single_label_classification",
    function="softmax",
    top_k=3,
    pairs=False,
    max_length=512,
    padding="right",
    long_text="truncate",
    stride=0,
    merge="mean",
    max_windows=1,
)

REPORT = Report(
    model_type="bert",
    classes=3,
    exporter="torchscript",
    behaviour=BEHAVIOUR,
    parity=Parity(
        texts=26, largest_difference=3.5762786865234375e-07, tolerance=1e-4, changed_labels=0
    ),
    accuracy=None,
    sources={"model": "/models/отзывы", "tokenizer": "tok", "labels": "id2label.json"},
    revisions={"model": "0123abcd"},
    pickle_scanner="",
    digests={"model/config.json": "ab" * 32},
    versions={"torch": "2.13.0+cpu"},
)


def make_behaviour(**changes: Any) -> Behaviour:
    """BEHAVIOUR with other values."""
    return replace(BEHAVIOUR, **changes)


def make_report(**changes: Any) -> Report:
    """REPORT with other values."""
    return replace(REPORT, **changes)
