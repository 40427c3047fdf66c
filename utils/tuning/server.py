"""Embedded servers: one runs, the others stand still meanwhile."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from utils.errors import UserError
from utils.folders import ROOT
from utils.free_ports import free_ports
from utils.inference import Server

# A GPU's engines are built when a model is met for the first time.
READY_SECONDS = 1200.0

# Triton itself gives up after 8 s.
END_SECONDS = 15.0

POLL_SECONDS = 0.02

LOG_BYTES = 300


@dataclass(frozen=True)
class Running:
    """A server that has been ready.

    Attributes:
        process: its only one.
        address: host and port.
    """

    process: subprocess.Popen[bytes]
    address: tuple[str, int]

    def pause(self) -> None:
        """Let it stand still: even an idle server takes time from the one that is measured."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)


def start(repository: Path, model: str, log: Path) -> Running:
    """Serve a repository on a free port of 127.0.0.1.

    The server stays in this process's group, so that whoever ends the group ends both.

    Raises:
        UserError: it ended, or was not ready in time; with its own reason.
    """
    ports = free_ports(3)
    with log.open("wb") as written:
        process = subprocess.Popen(
            [
                ROOT / "run_triton.sh",
                *("--repository", repository, "--address", "127.0.0.1"),
                *("--http-port", str(ports[0])),
                *("--grpc-port", str(ports[1])),
                *("--metrics-port", str(ports[2])),
            ],
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHON": sys.executable},
        )
    running = Running(process, ("127.0.0.1", ports[0]))
    try:
        _wait_until_ready(running, model, log)
    except BaseException:
        end([running])
        raise
    return running


def end(servers: Sequence[Running]) -> None:
    """End them, however they stand."""
    for server in servers:
        # What lays the server out, while it is not up yet.
        for pid in _children(server.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        server.process.send_signal(signal.SIGTERM)
        server.resume()
    deadline = time.monotonic() + END_SECONDS
    for server in servers:
        try:
            server.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


def _wait_until_ready(running: Running, model: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    client = Server("http", "{}:{}".format(*running.address))
    try:
        while not client.ready(model):
            if running.process.poll() is not None:
                raise UserError("server", f"stopped: {_reason(log)}")
            if time.monotonic() > deadline:
                raise UserError("server", f"not ready after {READY_SECONDS:g} s")
            time.sleep(POLL_SECONDS)
    finally:
        # Triton waits for open connections when it is told to stop.
        client.close()


def _children(parent: int) -> list[int]:
    """Processes that a process has started itself."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # proc(5): behind the command, which may hold anything, state and parent.
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def _reason(log: Path) -> str:
    """The first error of ours that the server gave up with, else the last thing that it said."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines[-1:] or ["without a word"])[0][-LOG_BYTES:]
