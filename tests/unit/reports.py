"""The Report of a converted model that never was."""

from dataclasses import replace
from typing import Any

from utils.artifacts import Behaviour, Parity, PrecisionReport, Report
from utils.image_labels import Place
from utils.targets.profiles import read_profile
from utils.targets.servers import read_server

CPU = read_profile("cpu")
CPU_IMAGE = Place(CPU, read_server("embedded"), release="", lacks="")

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
    precision=None,
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


def make_precision(name: str, **changes: Any) -> PrecisionReport:
    """What was found of a precision."""
    report = PrecisionReport(
        name=name,
        recipe="a recipe",
        engine="an engine",
        texts=26,
        agreement=1.0,
        largest_difference=0.00125,
        speed=None,
    )
    return replace(report, **changes)
