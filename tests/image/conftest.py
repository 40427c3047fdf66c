"""Images of tiny checkpoints, built by the main command on the real docker."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import checkpoints
from tests.containers import docker
from tests.serving import ROOT, base_environment
from tests.texts import write_texts

BUILDERS: dict[str, Callable[[Path], object]] = {
    "bert": checkpoints.make_bert,
    "distilbert": checkpoints.make_distilbert,
    "roberta": checkpoints.make_roberta,
}


@dataclass(frozen=True)
class Built:
    """What one run of make_triton_image.sh left."""

    kind: str
    model_name: str
    image: str
    checkpoint: Path
    samples: Path
    stdout: str
    stderr: str


def make_image(
    checkpoint: Path, model_name: str, tag: str, *options: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run the main command from another folder than the repository's."""
    return subprocess.run(
        [
            ROOT / "make_triton_image.sh",
            *options,
            *(checkpoint / "model", checkpoint / "tokenizer", checkpoint / "id2label.json"),
            *(model_name, tag, "4"),
        ],
        cwd=checkpoint,
        check=False,
        capture_output=True,
        text=True,
        env=base_environment(),
    )


@pytest.fixture(scope="session", autouse=True)
def docker_answers() -> None:
    """These tests are nothing without an engine: say so instead of skipping."""
    if shutil.which("docker") is None or docker("version", check=False).returncode != 0:
        pytest.fail(
            "docker does not answer; run them with scripts/with_docker.sh or make test-image"
        )


def build(kind: str, folder: Path) -> Built:
    """Build an image of a tiny checkpoint, with 200 texts for the gates."""
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir()
    BUILDERS[kind](checkpoint)
    samples = folder / "samples.txt"
    write_texts(samples)
    name = f"test_{kind}"
    done = make_image(checkpoint, name, "pytest", "--samples", samples)
    assert done.returncode == 0, done.stderr
    return Built(kind, name, f"triton_{name}:pytest", checkpoint, samples, done.stdout, done.stderr)


@pytest.fixture(scope="session", params=sorted(BUILDERS))
def any_built(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Built]:
    """An image of each kind in turn."""
    built = build(request.param, tmp_path_factory.mktemp(request.param))
    yield built
    docker("rmi", "--force", built.image, check=False)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """An image of a tiny BERT under another name, for the tests of the image itself."""
    folder = tmp_path_factory.mktemp("image")
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir()
    checkpoints.make_bert(checkpoint)
    samples = folder / "samples.txt"
    write_texts(samples)
    done = make_image(checkpoint, "cls_model", "pytest", "--samples", samples)
    assert done.returncode == 0, done.stderr
    yield Built(
        "bert",
        "cls_model",
        "triton_cls_model:pytest",
        checkpoint,
        samples,
        done.stdout,
        done.stderr,
    )
    docker("rmi", "--force", "triton_cls_model:pytest", check=False)
