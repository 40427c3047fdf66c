"""Converted, rendered and served checkpoints for the tests on real servers."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.checkpoints import Checkpoint
from tests.in_process import call
from utils import convert_to_onnx, join_steps, template_variables
from utils.artifacts import Reference, read_reference
from utils.free_ports import free_ports
from utils.inference import Server

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Rendered:
    """A verified repository on disk and what the original model says to its sample texts."""

    name: str
    repository: Path
    artifacts: Path

    @property
    def reference(self) -> Reference:
        """The reference answers."""
        return read_reference(self.artifacts / "reference.json")


@dataclass(frozen=True)
class Served:
    """A running embedded server."""

    process: subprocess.Popen[bytes]
    http: Server
    grpc: Server
    url: str
    log_file: Path

    @property
    def log(self) -> str:
        """What the server wrote so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")


def run(*command: str | Path, **environment: str) -> str:
    """Run a command of the repository from its root; its stdout."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env={**base_environment(), **environment},
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def base_environment() -> dict[str, str]:
    """The environment of every command here: ours, with this interpreter as the tools' Python."""
    return {**os.environ, "PYTHON": sys.executable}


def render(
    checkpoint: Checkpoint, folder: Path, *options: str | Path, max_batch_size: int = 4
) -> Rendered:
    """Convert with options and render a checkpoint step by step, as the README does by hand."""
    artifacts = folder / "artifacts"
    call(
        convert_to_onnx.main,
        *("--model", checkpoint.model),
        *("--tokenizer", checkpoint.tokenizer),
        *("--labels", checkpoint.labels),
        *("--save-dir", artifacts),
        *options,
    )
    return render_artifacts(artifacts, folder, max_batch_size)


def render_artifacts(
    artifacts: Path, folder: Path, max_batch_size: int, hardware: str = "cpu"
) -> Rendered:
    """Render a converted checkpoint."""
    variables, repository = folder / "variables.env", folder / "repository"
    call(
        template_variables.main,
        *("--output", variables, "--hardware", hardware),
        *(artifacts, "cls_model", str(max_batch_size)),
    )
    run("./process_template.sh", "--variables", variables, "model_repository", repository)
    run("utils/fill_repository.sh", artifacts, repository)
    call(join_steps.main, repository)
    return Rendered("cls_model", repository, artifacts)


@contextmanager
def serve(
    repository: Path,
    log_file: Path,
    model: str = "cls_model",
    prefix: tuple[str, ...] = (),
    options: tuple[str, ...] = (),
) -> Iterator[Served]:
    """Serve a repository with run_triton.sh until the block ends.

    `prefix` goes before the command (taskset, strace), `options` are more of its own. The block
    may end the server itself: here it is killed, because Triton takes two seconds to stop.
    """
    ports = free_ports(3)
    command = [
        *prefix,
        "./run_triton.sh",
        *options,
        *("--repository", str(repository)),
        *("--address", "127.0.0.1"),
        *("--http-port", str(ports[0])),
        *("--grpc-port", str(ports[1])),
        *("--metrics-port", str(ports[2])),
    ]
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=log, env=base_environment()
        )
    served = Served(
        process,
        Server("http", f"127.0.0.1:{ports[0]}"),
        Server("grpc", f"127.0.0.1:{ports[1]}"),
        f"http://127.0.0.1:{ports[0]}",
        log_file,
    )
    try:
        wait_until_ready(served, model)
        yield served
    finally:
        served.http.close()
        process.kill()
        process.wait(timeout=30)


def wait_until_ready(served: Served, model: str) -> None:
    """Wait for the model over HTTP; fail with the server's log when it stops first."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not served.http.ready(model):
        assert served.process.poll() is None, served.log
        assert time.monotonic() < deadline, served.log
        time.sleep(0.05)


def server_processes() -> list[int]:
    """Process ids of Triton servers on this machine."""
    done = subprocess.run(
        ["pgrep", "-x", "tritonserver"], check=False, capture_output=True, text=True
    )
    return [int(pid) for pid in re.findall(r"\d+", done.stdout)]
