"""The alternative exporter, in its own environment (make setup-optimum)."""

import json
import subprocess
from pathlib import Path

import pytest

from tests import checkpoints
from tests.serving import ROOT, base_environment

pytestmark = pytest.mark.optimum


def test_the_optimum_exporter_makes_a_repository_that_passes_all_gates(tmp_path: Path) -> None:
    checkpoints.make_bert(tmp_path)
    done = subprocess.run(
        [ROOT / "make_triton_image.sh", "--exporter", "optimum", "--no-image",
         "--output", tmp_path / "repository",
         tmp_path / "model", tmp_path / "tokenizer", tmp_path / "id2label.json"],
        cwd=tmp_path, check=False, capture_output=True, text=True, env=base_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "repository" / "model_onnx" / "1" / "model.onnx").is_file()


def test_its_transformers_is_older_than_ours_and_stays_in_its_environment(tmp_path: Path) -> None:
    checkpoints.make_bert(tmp_path)
    subprocess.run(
        [ROOT / ".venv-optimum" / "bin" / "python", "utils/convert_to_onnx.py",
         "--exporter", "optimum", "--model", tmp_path / "model",
         "--tokenizer", tmp_path / "tokenizer", "--save-dir", tmp_path / "artifacts"],
        cwd=ROOT, check=True,
    )  # fmt: skip
    report = json.loads((tmp_path / "artifacts" / "report.json").read_text())
    assert report["exporter"] == "optimum"
    assert report["versions"]["transformers"].startswith("4.")
