"""utils/convert_label2id.py and utils/count_classes.py, as commands."""

import json
from pathlib import Path

import pytest

from tests.unit.commands import error_line, run_utility, usage_error

COMMANDS = ("convert_label2id.py", "count_classes.py")


@pytest.fixture
def label2id(tmp_path: Path) -> Path:
    """A label2id file, its classes out of order."""
    path = tmp_path / "label2id.json"
    path.write_text('{"спам": 2, "a \\"b\\"": 0, "line\\nbreak": 1}', encoding="utf-8")
    return path


def test_count_classes_prints_the_number_alone(label2id: Path) -> None:
    result = run_utility("count_classes.py", label2id)
    assert (result.returncode, result.stdout, result.stderr) == (0, "3\n", "")


def test_convert_label2id_prints_the_id2label_form_alone(label2id: Path) -> None:
    result = run_utility("convert_label2id.py", label2id)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {"0": 'a "b"', "1": "line\nbreak", "2": "спам"}


def test_convert_label2id_writes_to_the_named_file_and_prints_nothing(
    label2id: Path, tmp_path: Path
) -> None:
    target = tmp_path / "id2label.json"
    result = run_utility("convert_label2id.py", "--output", target, label2id)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert target.read_text(encoding="utf-8") == run_utility("convert_label2id.py", label2id).stdout


def test_convert_label2id_leaves_an_id2label_file_as_it_is(label2id: Path, tmp_path: Path) -> None:
    target = tmp_path / "id2label.json"
    run_utility("convert_label2id.py", "-o", target, label2id)
    assert run_utility("convert_label2id.py", target).stdout == target.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_an_absent_file_ends_a_label_command_with_one_error_line(
    command: str, tmp_path: Path
) -> None:
    path = tmp_path / "absent.json"
    assert error_line(run_utility(command, path)) == f"error: {path}: no such file"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_label_file_ends_a_label_command_with_one_error_line(
    command: str, tmp_path: Path
) -> None:
    path = tmp_path / "labels.json"
    path.write_text('{"0": "a", "2": "b"}')
    assert "no label for class 1" in error_line(run_utility(command, path))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_in_place_of_a_label_file_is_one_error_line(command: str, tmp_path: Path) -> None:
    assert f"{tmp_path}: Is a directory" in error_line(run_utility(command, tmp_path))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_label_command_without_a_file_is_a_usage_error(command: str) -> None:
    assert "label_file" in usage_error(run_utility(command))


def test_an_output_that_cannot_be_written_is_one_error_line(label2id: Path, tmp_path: Path) -> None:
    target = tmp_path / "absent" / "id2label.json"
    result = run_utility("convert_label2id.py", "-o", target, label2id)
    assert error_line(result) == f"error: {target}: No such file or directory"


def test_a_newline_in_a_file_name_leaves_one_error_line(tmp_path: Path) -> None:
    path = tmp_path / "two\nlines"
    path.mkdir()
    error_line(run_utility("count_classes.py", path))
