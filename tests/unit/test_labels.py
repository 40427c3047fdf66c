"""utils/labels.py."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from utils.errors import UserError
from utils.labels import check_class_count, dump_labels, parse_labels, read_label_file

LABEL_TEXTS = st.lists(st.text(), unique=True, min_size=1, max_size=30)
HOSTILE = ['"', "\n", "'", "\\", "😡", "👩‍👩‍👧", "\u2028", "\x00", "", " ", "0", "тревога", "$HOME"]


@pytest.fixture(scope="module")
def label_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A path to write to."""
    return tmp_path_factory.mktemp("labels") / "labels.json"


def write(folder: Path, data: Any) -> Path:
    """A label file with this JSON."""
    path = folder / "labels.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


@given(texts=LABEL_TEXTS)
@example(texts=HOSTILE)
@example(texts=[f'class\n"{number}" 😀' for number in range(10_000)])
def test_any_unique_labels_come_back_from_a_file_as_they_were(
    texts: list[str], label_file: Path
) -> None:
    label_file.write_text(dump_labels(dict(enumerate(texts))), encoding="utf-8")
    assert list(read_label_file(label_file).items()) == list(enumerate(texts))


@given(texts=LABEL_TEXTS)
@example(texts=HOSTILE)
def test_label2id_reads_as_the_id2label_of_the_same_labels(texts: list[str]) -> None:
    id2label = {str(index): text for index, text in enumerate(texts)}
    label2id = {text: index for index, text in enumerate(texts)}
    assert parse_labels(label2id, "x") == parse_labels(id2label, "x")


def test_labels_come_in_the_order_of_their_indices() -> None:
    labels = parse_labels({str(index): f"c{index}" for index in reversed(range(12))}, "x")
    assert list(labels) == list(range(12))


def test_labels_that_are_digits_are_told_from_indices() -> None:
    assert parse_labels({"1": 0, "0": 1}, "x") == {0: "1", 1: "0"}


def test_dumped_labels_are_readable_text_with_a_last_newline() -> None:
    assert dump_labels({0: "тревога", 1: "👍"}) == '{\n  "0": "тревога",\n  "1": "👍"\n}\n'


def test_an_absent_label_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.json: no such file"):
        read_label_file(tmp_path / "absent.json")


def test_a_label_file_that_is_not_json_is_refused_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text('{\n  "0": negative\n}')
    with pytest.raises(UserError, match="not JSON, line 2 column 8"):
        read_label_file(path)


def test_a_label_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_bytes('{"0": "да"}'.encode("cp1251"))
    with pytest.raises(UserError, match="not UTF-8 text"):
        read_label_file(path)


@pytest.mark.parametrize(
    "data",
    [
        [],
        ["negative"],
        {},
        None,
        3,
        "negative",
        {"0": 0.0},
        {"0": None},
        {"a": True, "b": False},
        {"a": "b"},
        {"0": "a", "b": "c"},
        {"0": "a", "1": 1},
        {"-1": "a"},
        {"0": ["a"]},
    ],
)
def test_other_json_is_refused_with_both_forms_shown(data: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither id2label nor label2id") as caught:
        read_label_file(write(tmp_path, data))
    assert "label2id is {" in str(caught.value)


def test_a_label_file_with_a_gap_is_refused_naming_the_class(tmp_path: Path) -> None:
    path = write(tmp_path, {"0": "a", "1": "b", "3": "d"})
    with pytest.raises(UserError, match=r"no label for class 2 .*indices 0 to 2"):
        read_label_file(path)


def test_a_label_file_that_counts_from_one_is_refused() -> None:
    with pytest.raises(UserError, match="no label for class 0"):
        parse_labels({"1": "a", "2": "b"}, "x")


def test_a_negative_index_is_refused() -> None:
    with pytest.raises(UserError, match="no label for class 1"):
        parse_labels({"a": -1, "b": 0}, "x")


def test_two_labels_for_one_class_are_refused() -> None:
    with pytest.raises(UserError, match=r"no label for class 2|two labels for one class"):
        parse_labels({"a": 0, "b": 0, "c": 1}, "x")


def test_one_label_for_two_classes_is_refused() -> None:
    with pytest.raises(UserError):
        parse_labels({"0": "same", "1": "same"}, "x")


def test_a_class_that_is_named_twice_in_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text('{"0": "a", "0": "b"}')
    with pytest.raises(UserError):
        read_label_file(path)


def test_half_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(r'{"0": "\ud83d"}')
    with pytest.raises(UserError):
        read_label_file(path)


@pytest.mark.parametrize("text", ['{"%s": "a"}' % ("1" * 5000), '{"a": %s}' % ("1" * 5000)])
def test_an_index_of_thousands_of_digits_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(UserError):
        read_label_file(path)


def test_as_many_labels_as_classes_are_accepted() -> None:
    check_class_count({0: "a", 1: "b"}, 2, "labels.json")


@pytest.mark.parametrize("classes", [1, 3])
def test_a_wrong_number_of_labels_is_refused_naming_both_numbers(classes: int) -> None:
    with pytest.raises(UserError) as caught:
        check_class_count({0: "a", 1: "b"}, classes, "labels.json")
    assert str(caught.value) == f"labels.json: has 2 labels, but the model has {classes} classes"
