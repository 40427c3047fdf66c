"""Base images from a registry of the user's: a real one, on this machine."""

import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.containers import docker, labels
from tests.image.conftest import Built, make_image
from tests.serving import run
from utils.free_ports import free_ports

pytestmark = pytest.mark.image

CONFIG = """\
version: 0.1
storage: {{ filesystem: {{ rootdirectory: {folder} }} }}
http: {{ addr: "127.0.0.1:{port}" }}
"""


@dataclass(frozen=True)
class Registry:
    """A registry that has a base image under the prefix of a mirror."""

    prefix: str
    digest: str


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Started for the module, with the bootstrapped base as its debian:12-slim."""
    if shutil.which("docker-registry") is None:
        pytest.fail("docker-registry is not installed: make setup-dev")
    folder, port = tmp_path_factory.mktemp("registry"), free_ports(1)[0]
    config = folder / "config.yml"
    config.write_text(CONFIG.format(folder=folder / "data", port=port))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
    prefix = f"127.0.0.1:{port}/mirror"
    image = f"{prefix}/library/debian:12-slim"
    try:
        _wait(port, process)
        target = folder / "target.env"
        run("utils/choose_target.py", "--output", target)
        docker("tag", run("utils/base_image.sh", "docker", target).strip(), image)
        pushed = docker("push", image).stdout
        docker("rmi", image)
        found = re.search("digest: (sha256:[0-9a-f]{64})", pushed)
        assert found, pushed
        yield Registry(prefix, found[1])
    finally:
        process.terminate()
        process.wait(timeout=30)
        docker("rmi", "--force", image, check=False)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        assert process.poll() is None
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


def test_a_base_image_comes_from_the_mirror_and_its_digest_is_labelled(
    registry: Registry, built: Built
) -> None:
    done = make_image(built.checkpoint, "mirrored", "pytest", "--registry", registry.prefix)
    assert done.returncode == 0, done.stderr
    try:
        found = labels("triton_mirrored:pytest")
        base = "org.opencontainers.image.base"
        assert found[f"{base}.name"] == f"{registry.prefix}/library/debian:12-slim"
        assert found[f"{base}.digest"] == registry.digest
    finally:
        docker("rmi", "--force", "triton_mirrored:pytest", check=False)


def test_what_the_mirror_has_not_is_not_taken_from_elsewhere(
    registry: Registry, built: Built, tmp_path: Path
) -> None:
    done = make_image(
        built.checkpoint, "nowhere", "pytest", "--registry", f"{registry.prefix}/none",
        "--output", tmp_path / "repository",
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        f"error: {registry.prefix}/none/library/debian:12-slim: cannot be pulled"
    )
