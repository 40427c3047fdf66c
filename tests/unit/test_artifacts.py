"""utils/artifacts.py."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.settings import make_settings
from utils.artifacts import (
    Answer,
    read_reference,
    read_settings,
    write_reference,
    write_settings,
)
from utils.errors import UserError

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ANSWERS = st.builds(Answer, st.text(), st.lists(st.text()), st.lists(FINITE))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to write to."""
    return tmp_path_factory.mktemp("artifacts")


@given(difference=FINITE, sources=st.dictionaries(st.text(), st.text()))
def test_settings_come_back_as_they_were_written(
    difference: float, sources: dict[str, str], folder: Path
) -> None:
    settings = make_settings(largest_difference=difference, sources=sources)
    write_settings(folder, settings)
    assert read_settings(folder) == settings


def test_settings_are_readable_text(tmp_path: Path) -> None:
    write_settings(tmp_path, make_settings())
    text = (tmp_path / "settings.json").read_text(encoding="utf-8")
    assert "/models/отзывы" in text
    assert text.endswith("}\n")


def test_the_same_settings_are_the_same_bytes(tmp_path: Path) -> None:
    write_settings(tmp_path, make_settings(digests={"a": "1", "b": "2"}))
    first = (tmp_path / "settings.json").read_bytes()
    write_settings(tmp_path, make_settings(digests={"b": "2", "a": "1"}))
    assert (tmp_path / "settings.json").read_bytes() == first


@given(answers=st.lists(ANSWERS, max_size=5))
def test_a_reference_comes_back_as_it_was_written(answers: list[Answer], folder: Path) -> None:
    write_reference(folder, answers)
    assert read_reference(folder / "reference.json") == answers


def test_a_score_that_is_not_a_number_survives_so_that_it_can_be_refused(tmp_path: Path) -> None:
    write_reference(tmp_path, [Answer("a", ["b"], [math.nan])])
    assert math.isnan(read_reference(tmp_path / "reference.json")[0].scores[0])


def test_absent_settings_are_refused_with_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"settings\.json: absent or damaged .*convert_to_onnx\.py"):
        read_settings(tmp_path)


def test_an_absent_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent or damaged"):
        read_reference(tmp_path / "reference.json")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
def test_settings_cut_short_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(UserError, match="absent or damaged"):
        read_settings(tmp_path)


@pytest.mark.parametrize("data", [{}, [], {"classes": 3}, None])
def test_settings_of_another_form_are_refused(data: object, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps(data))
    with pytest.raises(UserError):
        read_settings(tmp_path)


@pytest.mark.parametrize("data", [{"a": 1}, [1], [{"text": "a"}], None])
def test_a_reference_of_another_form_is_refused(data: object, tmp_path: Path) -> None:
    (tmp_path / "reference.json").write_text(json.dumps(data))
    with pytest.raises(UserError):
        read_reference(tmp_path / "reference.json")
