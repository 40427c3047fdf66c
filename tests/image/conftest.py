"""Images of tiny checkpoints, built by the main command on the real docker."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.checkpoints import Checkpoint, make_bert
from tests.containers import docker
from tests.serving import ROOT, base_environment
from tests.texts import write_texts
from tests.variants import VARIANTS, Variant

# One of each base of answers; tests/server has all.
BUILT_VARIANTS = (
    *("bert", "distilbert", "roberta"),
    *("multi_label_thresholds", "regression", "pairs", "window_mean"),
)


@dataclass(frozen=True)
class Built:
    """What one run of make_triton_image.sh left."""

    variant: Variant
    model_name: str
    image: str
    inputs: Checkpoint
    checkpoint: Path
    options: list[str]
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


def build(variant: Variant, folder: Path, model_name: str, *more: str) -> Built:
    """Build an image of a tiny checkpoint; one for single texts with 200 of them for the gates."""
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir(exist_ok=True)
    inputs, options = variant.build(checkpoint)
    samples = folder / "samples.txt"
    write_texts(samples)
    if not variant.pairs:
        options += ["--samples", str(samples)]
    options += more
    done = make_image(checkpoint, model_name, "pytest", *options)
    assert done.returncode == 0, done.stderr
    image = f"triton_{model_name}:pytest"
    return Built(variant, model_name, image, inputs, checkpoint, options, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny BERT: of one place, so that the main command converts it once."""
    checkpoint = tmp_path_factory.mktemp("image") / "checkpoint"
    make_bert(checkpoint)
    return checkpoint


@pytest.fixture(scope="session", params=BUILT_VARIANTS)
def any_built(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Built]:
    """An image of each variant in turn."""
    name = request.param
    if name == "bert":
        yield request.getfixturevalue("built")
        return
    image = build(VARIANTS[name], tmp_path_factory.mktemp(name), f"test_{name}")
    yield image
    docker("rmi", "--force", image.image, check=False)


@pytest.fixture(scope="session")
def built(bert: Path) -> Iterator[Built]:
    """An image of a tiny BERT, for the tests of the image itself too.

    Made with three labelled texts.
    """
    folder = bert.parent
    labelled = folder / "labelled.csv"
    # Whatever the model answers, one of three is right.
    labelled.write_text("text,label\nok,0\nok,1\nok,neutral\n", encoding="utf-8")
    image = build(VARIANTS["bert"], folder, "cls_model", "--labelled", str(labelled))
    yield image
    docker("rmi", "--force", image.image, check=False)
