"""Servers side by side that take turns: the one that is measured runs, the others stand still."""

import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from benchmarks.speed import processes
from benchmarks.speed.services import Service, pinned, variables, weights_mb
from utils.errors import UserError
from utils.free_ports import free_ports

READY_SECONDS = 180.0


@dataclass(frozen=True)
class Server:
    """A running service.

    Attributes:
        service: what runs.
        pid: of its first process.
        port: of 127.0.0.1.
        ready_seconds: from its start to its first yes.
        idle: its memory then.
    """

    service: Service
    pid: int
    port: int
    ready_seconds: float
    idle: processes.Memory

    @property
    def address(self) -> tuple[str, int]:
        """For connections."""
        return "127.0.0.1", self.port


def prepare(service: Service) -> None:
    """What a service has to do before its first start.

    Raises:
        UserError: it fails.
    """
    if service.prepare:
        done = subprocess.run(
            service.prepare,
            env=variables(service),
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise UserError(service.name, "cannot be prepared", done.stdout.strip()[-300:])


@contextmanager
def serving(service: Service, cpus: Sequence[int]) -> Iterator[Server]:
    """Start a service on these processors; it stands still until its turn, and ends at the end.

    Raises:
        UserError: it ended, or was not ready in time; the end of its log is in the message.
    """
    (port,) = free_ports(1)
    with tempfile.NamedTemporaryFile(prefix=f"{service.name}-", suffix=".log") as log:
        started = time.monotonic()
        process = subprocess.Popen(
            pinned(service.command(port), cpus),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=variables(service),
            # Its processes are found by their session, whoever their parents are.
            start_new_session=True,
        )
        try:
            while not ready(port, service.ready_path):
                if process.poll() is not None or time.monotonic() - started > READY_SECONDS:
                    text = Path(log.name).read_text(encoding="utf-8", errors="replace")
                    raise UserError(service.name, "not ready", text.strip()[-300:])
                time.sleep(0.01)
            taken = time.monotonic() - started
            server = Server(service, process.pid, port, taken, processes.memory(process.pid))
            processes.pause(process.pid)
            yield server
        finally:
            processes.end(process.pid)
            process.wait()


@contextmanager
def turn(server: Server) -> Iterator[None]:
    """While it is a server's turn it runs."""
    processes.resume(server.pid)
    yield
    # Not after an error: the generator may still wait for answers, and all are ended anyway.
    processes.pause(server.pid)


def ready(port: int, path: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        return get(port, path)[0] == 200
    except (OSError, HTTPException):
        return False


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of a GET."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def describe(server: Server) -> dict[str, Any]:
    """For the results."""
    memory = processes.memory(server.pid)
    repository = server.service.repository
    return {
        "title": server.service.title,
        "group": server.service.group,
        "precision": server.service.precision,
        "versions": server.service.versions,
        "ready, s": round(server.ready_seconds, 2),
        "idle RSS, MB": server.idle.rss,
        "RSS, MB": memory.rss,
        "PSS, MB": memory.pss,
        "disk, MB": server.service.disk_mb,
        **({"weights, MB": weights_mb(repository)} if repository else {}),
    }
