"""utils/artifacts.py."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.reports import make_report
from utils.artifacts import (
    Accuracy,
    Answer,
    Behaviour,
    Parity,
    PrecisionReport,
    Reference,
    read_reference,
    read_report,
    write_reference,
    write_report,
    write_thresholds,
)
from utils.errors import UserError

FINITE = st.floats(allow_nan=False, allow_infinity=False)
MEASURES = st.dictionaries(st.text(), FINITE)
ACCURACIES = st.builds(Accuracy, examples=st.integers(), before=MEASURES, after=MEASURES)
PRECISIONS = st.builds(
    PrecisionReport,
    agreement=FINITE,
    largest_difference=FINITE,
    speed=st.none() | FINITE,
)
PARITIES = st.builds(Parity, st.integers(), FINITE, FINITE, st.integers())
ANSWERS = st.builds(
    Answer,
    text=st.text(),
    text_pair=st.none() | st.text(),
    logits=st.lists(FINITE),
    scores=st.lists(FINITE),
    truncated=st.booleans(),
)
REFERENCES = st.builds(
    Reference,
    labels=st.lists(st.text()),
    thresholds=st.none() | st.lists(FINITE),
    problem_type=st.text(),
    top_k=st.integers(),
    tolerance=FINITE,
    answers=st.lists(ANSWERS, max_size=5),
    logit_tolerance=st.none() | FINITE,
)


def reference(answers: list[Answer]) -> Reference:
    """Of a model with one class."""
    return Reference(["b"], None, "single_label_classification", 1, 1e-4, answers)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to write to."""
    return tmp_path_factory.mktemp("artifacts")


@given(
    behaviour=st.builds(Behaviour),
    parity=PARITIES,
    precision=st.none() | PRECISIONS,
    accuracy=st.none() | ACCURACIES,
    sources=st.dictionaries(st.text(), st.text()),
)
def test_a_report_comes_back_as_it_was_written(
    behaviour: Behaviour,
    parity: Parity,
    precision: PrecisionReport | None,
    accuracy: Accuracy | None,
    sources: dict[str, str],
    folder: Path,
) -> None:
    report = make_report(
        behaviour=behaviour,
        parity=parity,
        precision=precision,
        accuracy=accuracy,
        sources=sources,
    )
    write_report(folder, report)
    assert read_report(folder) == report


def test_a_report_is_readable_text(tmp_path: Path) -> None:
    write_report(tmp_path, make_report())
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    assert "/models/отзывы" in text
    assert text.endswith("}\n")


@given(reference=REFERENCES)
def test_a_reference_comes_back_as_it_was_written(reference: Reference, folder: Path) -> None:
    write_reference(folder / "reference.json", reference)
    assert read_reference(folder / "reference.json") == reference


def test_thresholds_are_readable_text_in_the_order_of_classes(tmp_path: Path) -> None:
    write_thresholds(tmp_path, {"спам": 0.25, "a": 0.5})
    text = (tmp_path / "thresholds.json").read_text(encoding="utf-8")
    assert text == '{\n  "спам": 0.25,\n  "a": 0.5\n}\n'


def test_a_score_that_is_not_a_number_survives_so_that_it_can_be_refused(tmp_path: Path) -> None:
    write_reference(
        tmp_path / "reference.json", reference([Answer("a", None, [math.nan], [math.nan], False)])
    )
    (answer,) = read_reference(tmp_path / "reference.json").answers
    assert math.isnan(answer.logits[0])
    assert math.isnan(answer.scores[0])


def test_an_absent_report_is_refused_with_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"report\.json: absent or damaged .*convert_to_onnx\.py"):
        read_report(tmp_path)


def test_an_absent_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent or damaged"):
        read_reference(tmp_path / "reference.json")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
def test_a_report_cut_short_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(UserError, match="absent or damaged"):
        read_report(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        {"classes": 3},
        None,
        asdict(make_report()) | {"behaviour": {}},
        asdict(make_report()) | {"parity": None},
        asdict(make_report()) | {"accuracy": {"examples": 1}},
        asdict(make_report()) | {"precision": {"name": "int8"}},
        asdict(make_report()) | {"function": "softmax"},
    ],
)
def test_a_report_of_another_form_is_refused(data: object, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(data))
    with pytest.raises(UserError):
        read_report(tmp_path)


@pytest.mark.parametrize(
    "data",
    [{"a": 1}, [1], [{"text": "a"}], {"answers": [{"text": "a"}]}, None],
)
def test_a_reference_of_another_form_is_refused(data: object, tmp_path: Path) -> None:
    (tmp_path / "reference.json").write_text(json.dumps(data))
    with pytest.raises(UserError):
        read_reference(tmp_path / "reference.json")
