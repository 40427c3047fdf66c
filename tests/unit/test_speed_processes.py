"""benchmarks/speed/processes.py and servers.py, with real processes."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.speed import processes
from benchmarks.speed.servers import ready, serving, turn
from benchmarks.speed.services import Service
from utils.errors import UserError

# A parent that waits for a child that computes, in a session of their own.
FAMILY = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ready" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@contextmanager
def family() -> Iterator[int]:
    """The parent's id, once the child computes."""
    process = subprocess.Popen([sys.executable, "-c", FAMILY], start_new_session=True)
    try:
        while processes.cpu_seconds(process.pid) < 0.3:
            time.sleep(0.01)
        yield process.pid
    finally:
        processes.end(process.pid)
        process.wait()


def state(pid: int) -> str:
    """R, S, T, … as /proc has it; "" for none."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def service(program: str, ready_path: str = "/ready") -> Service:
    """A Python program that gets the port."""
    return Service(
        name="test",
        title="test",
        group="peer",
        precision="fp32",
        command=lambda port: [sys.executable, "-c", program, str(port)],
        ready_path=ready_path,
        message=lambda texts: texts[0].encode(),
        label=str,
    )


def test_a_tree_has_the_children_and_their_time_and_memory() -> None:
    with family() as parent:
        assert processes.tree(parent)[0] == parent
        assert len(processes.tree(parent)) == 2
        before = processes.cpu_seconds(parent)
        while processes.cpu_seconds(parent) < before + 0.1:
            time.sleep(0.01)
        memory = processes.memory(parent)
        assert memory.rss >= memory.pss > 5


def test_a_paused_tree_takes_no_time_until_it_is_resumed() -> None:
    with family() as parent:
        processes.pause(parent)
        assert {state(pid) for pid in processes.tree(parent)} == {"T"}
        before = processes.cpu_seconds(parent)
        time.sleep(0.2)
        assert processes.cpu_seconds(parent) == before
        processes.resume(parent)
        while processes.cpu_seconds(parent) == before:
            time.sleep(0.01)


def test_a_paused_tree_can_be_ended() -> None:
    with family() as parent:
        members = processes.tree(parent)
        processes.pause(parent)
        processes.end(parent)
        assert {state(pid) for pid in members} <= {"", "Z"}


def test_the_processors_time_grows_with_ours() -> None:
    before, cpus = time.process_time(), range(1024)
    busy = processes.busy_seconds(cpus)
    while time.process_time() < before + 0.2:
        pass
    assert processes.busy_seconds(cpus) - busy > 0.1


def test_a_server_stands_still_but_in_its_turn_and_ends_at_the_end() -> None:
    with serving(service(SERVER), [0]) as server:
        assert state(server.pid) == "T"
        assert server.ready_seconds > 0
        with turn(server):
            assert ready(server.port, "/ready")
            assert not ready(server.port, "/other")
        assert state(server.pid) == "T"
    assert state(server.pid) == ""


def test_a_server_that_ends_at_once_is_an_error_with_its_words() -> None:
    with (
        pytest.raises(UserError, match="no licence"),
        serving(service("raise SystemExit('no licence')"), [0]),
    ):
        pass
