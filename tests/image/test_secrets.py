"""Credentials that a build uses stay out of everything that it leaves."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkpoints import make_distilbert
from tests.containers import docker
from tests.serving import ROOT, base_environment
from tests.storages.hub_state import Hub, Repository
from tests.storages.hub_tests import running_hub

pytestmark = pytest.mark.image

SECRET = "canary-5e0d31b7"  # noqa: S105
NAME, IMAGE = "someone/private", "triton_from_hub:pytest"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with a checkpoint that only the owner of the token may read."""
    made = make_distilbert(tmp_path_factory.mktemp("checkpoint"))
    files = [*made.model.iterdir(), *made.tokenizer.iterdir(), made.labels]
    with running_hub() as hub:
        hub.tokens.add(SECRET)
        hub.repositories[NAME] = Repository(access="private", readers={SECRET})
        hub.repositories[NAME].commit({path.name: path.read_bytes() for path in files})
        yield hub


@pytest.fixture(scope="module")
def built(
    hub: Hub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[subprocess.CompletedProcess[str]]:
    """An image made straight from the hub, with credentials of every storage in the environment."""
    folder = tmp_path_factory.mktemp("build")
    variables = (
        *("HF_TOKEN", "CLEARML_API_SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY"),
        *("MLFLOW_TRACKING_PASSWORD", "AZURE_STORAGE_KEY"),
    )
    done = subprocess.run(
        [
            ROOT / "make_triton_image.sh",
            *("--keep", "--output", folder / "kept"),
            *(f"hf://{NAME}", "-", "-", "from_hub", "pytest"),
        ],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env={
            **base_environment(),
            **dict.fromkeys(variables, SECRET),
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(folder / "home"),
            "HF_HUB_OFFLINE": "0",
        },
    )
    assert done.returncode == 0, done.stderr
    yield done
    docker("rmi", "--force", IMAGE, check=False)


def test_an_image_is_made_straight_from_a_storage(
    built: subprocess.CompletedProcess[str], hub: Hub
) -> None:
    revision = docker(
        "inspect", "--format", '{{index .Config.Labels "triton-image.model.revision"}}', IMAGE
    ).stdout.strip()
    assert built.stdout == f"{IMAGE}\n"
    assert revision == hub.repositories[NAME].refs["main"]


def test_no_secret_is_in_layers_labels_history_logs_or_report(
    built: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    docker("save", "--output", str(tmp_path / "image.tar"), IMAGE)
    inspected = docker("inspect", IMAGE).stdout + docker("history", "--no-trunc", IMAGE).stdout
    work = Path(built.stderr.rsplit("work folder kept: ", 1)[1].splitlines()[0])
    kept = Path(built.args[3]) if isinstance(built.args, list) else tmp_path
    left = [path for root in (work, kept) for path in root.rglob("*") if path.is_file()]
    assert any(path.name == "build.log" for path in left)
    assert any(path.name == "report.json" for path in left)
    assert SECRET not in built.stdout + built.stderr + inspected
    # Layers are not packed, or the secret could hide in them.
    assert _holds(tmp_path / "image.tar", b'"largest_difference"')
    assert not [path for path in (tmp_path / "image.tar", *left) if _holds(path, SECRET.encode())]
    subprocess.run(["rm", "-rf", work], check=True)


def _holds(path: Path, text: bytes) -> bool:
    """Whether a file, of whatever size, has a text in it."""
    tail = b""
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            if text in tail + block:
                return True
            tail = block[-len(text) :]
    return False
