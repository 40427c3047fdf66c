"""Targets that cannot be written: one error line, nothing left there."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import checkpoints
from tests.serving import ROOT, base_environment

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    checkpoints.make_bert(folder)
    return folder


@pytest.fixture(params=["size=64k", "size=64m,ro"])
def bad_target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system that is full before the model is written, and a read-only one."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", tmp_path], check=False
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_full_or_read_only_output_ends_with_one_line_and_stays_empty(
    checkpoint: Path, bad_target: Path
) -> None:
    done = subprocess.run(
        [ROOT / "make_triton_image.sh", "--quiet", "--no-image", "--output", bad_target / "kept",
         checkpoint / "model", checkpoint / "tokenizer", checkpoint / "id2label.json"],
        cwd=checkpoint, check=False, capture_output=True, text=True, env=base_environment(),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert str(bad_target) in done.stderr
    assert list(bad_target.iterdir()) == []
