"""Images of a tiny BERT on a stand-in for NVIDIA's, made once for the tests of a run."""

import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.containers import docker
from tests.image.ngc import stand_in
from tests.serving import ROOT, base_environment, run


@dataclass(frozen=True)
class Bases:
    """Images that stand for ones of registries.

    Attributes:
        debian: what the other two are made of.
        nvidia: nvcr.io/nvidia/tritonserver.
        small: ubuntu:24.04.
        checkpoint: the folder of a tiny BERT to build images of.
        folder: for contexts of builds.
        name: of this run, part of all images' names.
    """

    debian: str
    nvidia: str
    small: str
    checkpoint: Path
    folder: Path
    name: str

    def made(self, tag: str, *options: str) -> str:
        """The image that the main command made."""
        done = subprocess.run(
            [ROOT / "make_triton_image.sh", *options, "--image", self.image(tag),
             *(self.checkpoint / name for name in ("model", "tokenizer", "id2label.json")),
             "cls_model"],
            cwd=self.folder, check=False, capture_output=True, text=True,
            env={**base_environment(), "BASE_IMAGE": self.nvidia, "SLIM_BASE_IMAGE": self.small},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def changed(self, tag: str, command: str) -> str:
        """NVIDIA's image after a command."""
        folder = self.folder / tag
        folder.mkdir()
        dockerfile = folder / "Dockerfile"
        dockerfile.write_text(f"ARG BASE_IMAGE\nFROM ${{BASE_IMAGE}}\nRUN {command}\n")
        stand_in.build(self.image(tag), dockerfile, folder, f"BASE_IMAGE={self.nvidia}")
        return self.image(tag)

    def build(self, server: str, base: str) -> subprocess.CompletedProcess[str]:
        """Build an image without a model on a base that its Dockerfile must refuse."""
        context = self.folder / f"{server}.context"
        (context / "models").mkdir(parents=True)
        run("utils/server_files.py", "--server", server, context / "server")
        return stand_in.docker_build(
            self.image("refused"), ROOT / "server" / server / "Dockerfile", context,
            f"BASE_IMAGE={base}", f"SLIM_BASE={self.small}",
        )  # fmt: skip

    def image(self, tag: str) -> str:
        """Name of an image of this run."""
        return f"{self.name}:{tag}"


def paths(image: str) -> set[str]:
    """All in an image but folders."""
    find = ("--entrypoint=find", image, "/", "-xdev", "-not", "-type", "d")
    return set(docker("run", "--rm", "--user=0", *find).stdout.splitlines())


@pytest.fixture(scope="session")
def bases(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bases]:
    """The bases; all images of the run are removed at the end, newest first."""
    folder = tmp_path_factory.mktemp("stand_in")
    name = f"test_ngc_{uuid.uuid4().hex[:8]}"
    debian = stand_in.debian(folder)
    try:
        stand_in.build_stand_in(name, folder / "context", debian)
        stand_in.build_small(name, folder / "empty", debian)
        yield Bases(debian, f"{name}:nvidia", f"{name}:small", bert, folder, name)
    finally:
        images = docker("images", "--format", "{{.Repository}}:{{.Tag}}", name).stdout.split()
        docker("rmi", "--force", *images, check=False)
        # What the builder keeps of first stages.
        stages = ("--filter=dangling=true", f"--filter=label={stand_in.LABEL}={name}")
        docker("rmi", *docker("images", "--quiet", *stages).stdout.split(), check=False)


@pytest.fixture(scope="session")
def ngc(bases: Bases) -> str:
    """The model on the stand-in."""
    return bases.made("ngc", "--server", "ngc")


@pytest.fixture(scope="session")
def slim(bases: Bases) -> str:
    """The model on the stand-in's parts."""
    return bases.made("slim", "--server", "ngc-slim")
