"""utils/lint_repository.py."""

from pathlib import Path

import pytest

from tests.unit.commands import error_line, run_utility
from utils.errors import UserError
from utils.lint_repository import lint, parse_config

ENSEMBLE = """\
name: "cls"
platform: "ensemble"
max_batch_size: 4
ensemble_scheduling {
  step [
    { model_name: "prepare" model_version: -1 },
    { model_name: "model_onnx" model_version: -1 }
  ]
}
"""
PYTHON = 'name: "prepare"\nbackend: "python"\nmax_batch_size: 4\n'
ONNX = """\
name: "model_onnx"
backend: "onnxruntime"
max_batch_size: 4
input [
  { name: "input_ids" data_type: TYPE_INT64 dims: [ -1 ] }
]
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with nothing wrong in it."""
    for name, config, file in (
        ("cls", ENSEMBLE, ".gitkeep"),
        ("prepare", PYTHON, "model.py"),
        ("model_onnx", ONNX, "model.onnx"),
    ):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "config.pbtxt").write_text(config)
        (tmp_path / name / "1" / file).touch()
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    """Replace text that is there once."""
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def refusal(repository: Path) -> str:
    """The error that lint ends with, without the repository's own path."""
    with pytest.raises(UserError) as caught:
        lint(repository)
    return str(caught.value).replace(f"{repository}/", "")


def test_a_sound_repository_gives_its_models_names(repository: Path) -> None:
    assert lint(repository) == ["cls", "model_onnx", "prepare"]


def test_files_beside_the_models_are_no_models(repository: Path) -> None:
    (repository / "README.md").touch()
    assert len(lint(repository)) == 3


def test_a_misspelt_field_is_refused_with_line_and_column(repository: Path) -> None:
    change(repository / "model_onnx" / "config.pbtxt", "max_batch_size", "max_batchsize")
    message = refusal(repository)
    assert message.startswith("model_onnx/config.pbtxt:3:1: ")
    assert 'no field named "max_batchsize"' in message


def test_a_misspelt_inner_field_is_refused_with_line_and_column(repository: Path) -> None:
    change(repository / "model_onnx" / "config.pbtxt", "data_type", "datatype")
    message = refusal(repository)
    assert message.startswith("model_onnx/config.pbtxt:5:23: ")
    assert '"datatype"' in message


def test_a_value_outside_an_enum_is_refused_with_line_and_column(repository: Path) -> None:
    change(repository / "model_onnx" / "config.pbtxt", "TYPE_INT64", "INT64")
    message = refusal(repository)
    assert message.startswith("model_onnx/config.pbtxt:5:34: ")
    assert "INT64" in message


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('"model_onnx"', "$MODEL_NAME", "1:7"),
        ("size: 4", "size: $MAX_BATCH_SIZE", "3:17"),
        ("[ -1 ]", "[ $TOKENS ]", "5:53"),
    ],
)
def test_a_variable_that_was_not_replaced_is_refused_with_line_and_column(
    old: str, new: str, place: str, repository: Path
) -> None:
    change(repository / "model_onnx" / "config.pbtxt", old, new)
    assert refusal(repository).startswith(f"model_onnx/config.pbtxt:{place}: ")


def test_a_missing_quote_is_refused(repository: Path) -> None:
    change(repository / "prepare" / "config.pbtxt", '"prepare"', '"prepare')
    assert refusal(repository).startswith("prepare/config.pbtxt:1:")


def test_a_field_given_twice_is_refused(repository: Path) -> None:
    change(repository / "prepare" / "config.pbtxt", "size: 4", "size: 4\nmax_batch_size: 5")
    assert refusal(repository).startswith("prepare/config.pbtxt:4:17: ")


def test_a_problem_is_one_line_and_names_the_place_once(repository: Path) -> None:
    change(repository / "model_onnx" / "config.pbtxt", "max_batch_size", "max_batchsize")
    message = refusal(repository)
    assert "\n" not in message
    assert message.count("3:1") == 1


def test_a_name_that_is_not_the_folders_is_refused_naming_both(repository: Path) -> None:
    (repository / "cls").rename(repository / "renamed")
    assert refusal(repository) == (
        "renamed/config.pbtxt: names the model 'cls', the folder is 'renamed'"
    )


def test_a_config_without_a_name_is_refused(repository: Path) -> None:
    change(repository / "prepare" / "config.pbtxt", 'name: "prepare"\n', "")
    assert "names the model ''" in refusal(repository)


@pytest.mark.parametrize(("model", "file"), [("model_onnx", "model.onnx"), ("prepare", "model.py")])
def test_a_missing_model_file_is_refused_naming_its_folder(
    model: str, file: str, repository: Path
) -> None:
    (repository / model / "1" / file).unlink()
    assert refusal(repository) == f"{model}/1: has no {file}"


@pytest.mark.parametrize("missing", ["1", "2", "3"])
def test_every_version_needs_its_model_file(missing: str, repository: Path) -> None:
    for version in ("1", "2", "3"):
        (repository / "model_onnx" / version).mkdir(exist_ok=True)
        (repository / "model_onnx" / version / "model.onnx").touch()
    (repository / "model_onnx" / missing / "model.onnx").unlink()
    assert refusal(repository) == f"model_onnx/{missing}: has no model.onnx"


def test_a_step_without_its_model_is_refused_naming_it(repository: Path) -> None:
    change(repository / "cls" / "config.pbtxt", '"prepare"', '"absent"')
    assert refusal(repository) == "cls/config.pbtxt: step 'absent' is not in the repository"


def test_a_model_without_version_folder_is_refused(repository: Path) -> None:
    (repository / "cls" / "1" / ".gitkeep").unlink()
    (repository / "cls" / "1").rmdir()
    assert refusal(repository) == "cls: has no version folder (such as 1/)"


@pytest.mark.parametrize("name", ["v1", "latest", "1.0"])
def test_a_folder_that_is_not_a_number_is_no_version(name: str, repository: Path) -> None:
    (repository / "cls" / "1").rename(repository / "cls" / name)
    assert "has no version folder" in refusal(repository)


@pytest.mark.parametrize("name", ["0", "01", "²", "١"])
def test_a_folder_that_triton_overlooks_is_no_version(name: str, repository: Path) -> None:
    (repository / "cls" / "1").rename(repository / "cls" / name)
    assert "has no version folder" in refusal(repository)


def test_a_model_without_config_is_refused(repository: Path) -> None:
    (repository / "prepare" / "config.pbtxt").unlink()
    assert refusal(repository) == "prepare/config.pbtxt: no such file"


def test_a_config_in_another_encoding_is_refused(repository: Path) -> None:
    (repository / "prepare" / "config.pbtxt").write_bytes('name: "да"'.encode("cp1251"))
    assert "UTF-8" in refusal(repository)


JOINED = 'name: "cls"\nbackend: "classifier"\nmax_batch_size: 4\n'


@pytest.fixture
def joined(repository: Path) -> Path:
    """The folder of the joined steps, with nothing wrong in it."""
    folder = repository / "cls" / "joined" / "cls"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(JOINED)
    (folder / "1" / "steps.json").touch()
    return folder


@pytest.mark.usefixtures("joined")
def test_joined_steps_are_no_model_of_their_own(repository: Path) -> None:
    assert lint(repository) == ["cls", "model_onnx", "prepare"]


def test_a_mistake_in_joined_steps_is_refused_with_its_path_and_place(
    joined: Path, repository: Path
) -> None:
    change(joined / "config.pbtxt", "max_batch_size", "max_batchsize")
    assert refusal(repository).startswith("cls/joined/cls/config.pbtxt:3:1: ")


def test_joined_steps_without_their_file_are_refused_naming_the_folder(
    joined: Path, repository: Path
) -> None:
    (joined / "1" / "steps.json").unlink()
    assert refusal(repository) == "cls/joined/cls/1: has no steps.json"


def test_joined_steps_under_another_name_are_refused(joined: Path, repository: Path) -> None:
    joined.rename(joined.parent / "renamed")
    assert refusal(repository) == (
        "cls/joined/renamed/config.pbtxt: names the model 'cls', the folder is 'renamed'"
    )


def test_a_folder_for_joined_steps_without_any_is_refused(joined: Path, repository: Path) -> None:
    (joined / "config.pbtxt").unlink()
    assert refusal(repository).startswith("cls/joined")


def test_an_empty_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no models"):
        lint(tmp_path)


def test_an_absent_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent: no such folder"):
        lint(tmp_path / "absent")


def test_parsed_configs_have_their_values(repository: Path) -> None:
    config = parse_config(repository / "model_onnx" / "config.pbtxt")
    assert (config.name, config.max_batch_size, list(config.input[0].dims)) == (
        "model_onnx",
        4,
        [-1],
    )


def test_the_command_says_what_it_saw_on_stderr_only(repository: Path) -> None:
    result = run_utility("lint_repository.py", repository)
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "cls, model_onnx, prepare\n"


def test_the_command_ends_with_one_error_line(repository: Path) -> None:
    change(repository / "prepare" / "config.pbtxt", "backend", "back_end")
    line = error_line(run_utility("lint_repository.py", repository))
    assert line.startswith(f"error: {repository}/prepare/config.pbtxt:2:1: ")
