"""Docker, for the benchmarks that measure images."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from utils.errors import UserError
from utils.inference import Server

READY_TIMEOUT_SECONDS = 120


def docker(*arguments: str) -> str:
    """Run docker and return its stdout.

    Raises:
        UserError: docker failed; its last line is in the message.
    """
    done = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise UserError("docker", (done.stderr.strip().splitlines() or ["no reason given"])[-1])
    return done.stdout.strip()


def megabytes_without_model(image: str) -> float:
    """Size of an image less the files under /models, in MB (10^6 bytes)."""
    total = int(docker("inspect", "--format", "{{.Size}}", image))
    listing = docker("run", "--rm", "--user=0", "--entrypoint=du", image, "-sb", "/models")
    return (total - int(listing.split()[0])) / 1e6


def report(image: str) -> dict[str, Any]:
    """The report.json that an image carries."""
    text = docker("run", "--rm", "--entrypoint=cat", image, "/models/report.json")
    content: dict[str, Any] = json.loads(text)
    return content


@contextmanager
def running(image: str, model: str, protocol: str = "http") -> Iterator[Server]:
    """A container of an image, ready to answer; removed at the end."""
    container = docker(
        "run",
        "--detach",
        "--publish=127.0.0.1::8000",
        "--publish=127.0.0.1::8001",
        image,
    )
    port = {"http": "8000", "grpc": "8001"}[protocol]
    try:
        server = Server(protocol, docker("port", container, port).split()[0])
        started = time.monotonic()
        while not server.ready(model):
            if time.monotonic() - started > READY_TIMEOUT_SECONDS:
                raise UserError(image, f"not ready after {READY_TIMEOUT_SECONDS} s")
            time.sleep(0.01)
        yield server
    finally:
        docker("rm", "--force", container)
