"""utils/fetch.py with what is on this machine; tests/storages has the rest."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.in_process import call
from tests.unit.commands import ROOT, error_line, run_utility, usage_error
from utils import fetch
from utils.errors import UserError
from utils.storages.obtain import Obtained

WEIGHTS = b"weights"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder that looks like a checkpoint with its tokenizer and labels."""
    folder = tmp_path / "a model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "tokenizer.json").write_text("{}")
    (folder / "id2label.json").write_text('{"0": "a"}')
    return folder


def fetched(*arguments: str | Path) -> dict[str, dict[str, str]]:
    """What the command prints."""
    done = run_utility("fetch.py", *arguments)
    assert done.returncode == 0, done.stderr
    sources: dict[str, dict[str, str]] = json.loads(done.stdout)
    return sources


def refused(*arguments: str | Path) -> str:
    return error_line(run_utility("fetch.py", *arguments))


def test_a_folder_stays_where_it_is_and_has_no_revision(checkpoint: Path) -> None:
    sources = fetched("--model", checkpoint)
    assert sources["model"]["path"] == sources["model"]["reference"] == str(checkpoint)
    assert sources["model"]["revision"] == ""


def test_the_tokenizer_is_the_models_own_unless_another_is_named(
    checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    assert fetched("--model", checkpoint)["tokenizer"]["path"] == str(checkpoint)
    assert fetched("--model", checkpoint, "--tokenizer", "-")["tokenizer"]["path"] == str(
        checkpoint
    )
    other = fetched("--model", checkpoint, "--tokenizer", tmp_path)
    assert other["tokenizer"]["path"] == str(tmp_path)


def test_labels_are_the_models_own_names_unless_a_file_is_named(checkpoint: Path) -> None:
    assert fetched("--model", checkpoint)["labels"] is None
    assert fetched("--model", checkpoint, "--labels", "-")["labels"] is None
    named = fetched("--model", checkpoint, "--labels", checkpoint / "id2label.json")
    assert named["labels"]["path"] == str(checkpoint / "id2label.json")


def test_labels_may_be_a_folder_with_a_label_file(checkpoint: Path) -> None:
    found = fetched("--model", checkpoint, "--labels", checkpoint)
    assert found["labels"]["path"] == str(checkpoint / "id2label.json")


def test_the_older_form_names_the_storage_beside_a_bare_name(checkpoint: Path) -> None:
    for option in ("--where-model", "--where_model"):
        assert fetched("--model", checkpoint, option, "local")["model"]["path"] == str(checkpoint)


def test_the_output_file_has_what_would_be_printed(checkpoint: Path, tmp_path: Path) -> None:
    printed = run_utility("fetch.py", "--model", checkpoint).stdout
    run_utility("fetch.py", "--model", checkpoint, "--output", tmp_path / "sources.json")
    assert (tmp_path / "sources.json").read_text("utf-8") == printed


def test_a_storage_that_does_not_exist_is_refused_with_those_that_do(checkpoint: Path) -> None:
    line = refused("--model", "nowhere://a", "--labels", checkpoint)
    assert line.startswith("error: nowhere://: is no known storage (known: ")
    assert "clearml" in line


@pytest.mark.parametrize("part", ["tokenizer", "labels"])
def test_a_storage_for_no_name_is_refused(part: str, checkpoint: Path) -> None:
    line = refused("--model", checkpoint, f"--{part}", "-", f"--where-{part}", "hf")
    assert line.startswith(f"error: --where-{part}: ")


def test_a_model_that_changes_before_its_tokenizer_is_fetched_is_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revisions = iter("12")
    monkeypatch.setattr(fetch, "obtain", lambda *_: Obtained(checkpoint, revision=next(revisions)))
    with pytest.raises(UserError, match="hf://a/b: changed while it was fetched"):
        call(fetch.main, "--model", "hf://a/b", "--cache", tmp_path)


def test_code_in_a_folder_is_refused(checkpoint: Path) -> None:
    (checkpoint / "modeling.py").write_text("raise SystemExit")
    assert "modeling.py: is code" in refused("--model", checkpoint)


def test_credentials_in_a_reference_are_refused_without_repeating_them() -> None:
    line = refused("--model", "https://me:canary@127.0.0.1/model.zip")
    assert "credentials" in line
    assert "canary" not in line


def test_without_a_model_it_is_a_usage_error() -> None:
    assert "--model" in usage_error(run_utility("fetch.py"))


def test_the_list_of_storages_is_a_table_or_json() -> None:
    command = [sys.executable, "-m", "utils.storages"]
    table = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows = json.loads(
        subprocess.run(
            [*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
    )
    assert {"hf", "clearml", "mlflow", "wandb", "s3"} <= {row["scheme"] for row in rows}
    assert all(row["scheme"] in table for row in rows)
