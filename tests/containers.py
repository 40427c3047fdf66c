"""The real docker, for the tests of images."""

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from utils.inference import Server

READY_TIMEOUT_SECONDS = 60


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run docker; stdout and stderr as text."""
    done = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"docker {arguments}: {done.stderr}"
    return done


def in_image(image: str, *command: str) -> str:
    """What a command prints that root runs in a container of an image, without a network."""
    program, *words = command
    options = ("--rm", "--user=0", "--network=none", f"--entrypoint={program}")
    return docker("run", *options, image, *words).stdout


def labels(image: str) -> dict[str, str]:
    """All labels of an image."""
    found = json.loads(docker("inspect", "--format", "{{json .Config.Labels}}", image).stdout)
    return {str(key): str(value) for key, value in found.items()}


def copy_out(image: str, path: str, target: Path) -> None:
    """Copy a folder of an image into a folder of this machine."""
    name = docker("create", image).stdout.strip()
    try:
        docker("cp", f"{name}:{path}", str(target))
    finally:
        docker("rm", name)


@dataclass(frozen=True)
class Container:
    """A running container; `http` and `grpc` need it to have published ports."""

    name: str

    def address(self, port: int) -> str:
        """Where a port of the container is published."""
        return docker("port", self.name, str(port)).stdout.split()[0]

    @property
    def http(self) -> Server:
        """Its HTTP port."""
        return Server("http", self.address(8000))

    @property
    def grpc(self) -> Server:
        """Its gRPC port."""
        return Server("grpc", self.address(8001))

    @property
    def log(self) -> str:
        """What it wrote so far."""
        done = docker("logs", self.name)
        return done.stdout + done.stderr

    def inspect(self, template: str) -> str:
        """One field, as `docker inspect --format` prints it."""
        return docker("inspect", "--format", template, self.name).stdout.strip()

    def wait_for(self, text: str) -> None:
        """Wait until the log has a text; fail when the container stops first."""
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while text not in self.log:
            assert self.inspect("{{.State.Running}}") == "true", self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)


@contextmanager
def running(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[Container]:
    """A container of an image, ready to answer; removed at the end."""
    container = Container(f"pytest-{uuid.uuid4().hex[:12]}")
    publish = [f"--publish=127.0.0.1::{port}" for port in (8000, 8001, 8002)]
    if "--network=none" in options:
        publish = []
    docker("run", "--detach", "--name", container.name, *publish, *options, image, *command)
    try:
        container.wait_for("Started Metrics Service")
        yield container
    finally:
        docker("rm", "--force", container.name, check=False)
