"""How the embedded server starts, what it refuses to load, and how it stops."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.in_process import call
from tests.serving import ROOT, Rendered, Served, base_environment, serve, server_processes
from utils import join_steps
from utils.free_ports import free_ports

pytestmark = pytest.mark.server

# ONNX Runtime sends its first events some ten seconds after a session was made.
TELEMETRY_SECONDS = 25


def gate(
    rendered: Rendered, repository: Path, server: str = "embedded"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            "utils/gate.sh",
            "cls_model",
            rendered.artifacts / "reference.json",
            "repository",
            repository,
        ],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env={**base_environment(), "SERVER": server},
    )


def copy_with(rendered: Rendered, target: Path, file: str, old: str, new: str) -> Path:
    """A copy of the repository in which one file says something else."""
    shutil.copytree(rendered.repository, target)
    text = (target / file).read_text(encoding="utf-8")
    assert old in text
    (target / file).write_text(text.replace(old, new), encoding="utf-8")
    return target


def shared_memory() -> set[str]:
    return {path.name for path in Path("/dev/shm").iterdir() if "triton" in path.name}


@dataclass(frozen=True)
class Traced:
    """A server and a control whose connections are written down, until a time has come."""

    server: Served
    server_trace: Path
    control: subprocess.Popen[bytes]
    control_trace: Path
    until: float


@pytest.fixture(scope="module", autouse=True)
def traced(rendered: Rendered, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """Started before the module's other tests, so that they fill the time that has to pass."""
    folder = tmp_path_factory.mktemp("traced")
    control_trace, server_trace = folder / "control.trace", folder / "server.trace"
    # -D: the traced command stays our child, so that signals reach it.
    trace = ("strace", "-D", "-f", "-qq", "-e", "trace=connect", "-e", "signal=none", "-o")
    model = rendered.repository / "model_onnx" / "1" / "model.onnx"
    script = (
        f"import onnxruntime as o, time; s = o.InferenceSession({str(model)!r});"
        f" time.sleep({TELEMETRY_SECONDS})"
    )
    # onnxruntime keeps quiet by itself where it sees the variable CI.
    quiet = ("CI", "ORT_DISABLE_TELEMETRY")
    environment = {key: value for key, value in base_environment().items() if key not in quiet}
    control = subprocess.Popen(
        [*trace, control_trace, sys.executable, "-c", script], env=environment
    )
    try:
        with serve(
            rendered.repository,
            folder / "server.log",
            prefix=("env", "--unset=CI", *trace, str(server_trace)),
        ) as server:
            server.grpc.classify("cls_model", ["ok"])
            until = time.monotonic() + TELEMETRY_SECONDS
            yield Traced(server, server_trace, control, control_trace, until)
    finally:
        control.kill()
        control.wait(timeout=60)


@pytest.mark.parametrize("options", [(), ("--separate-steps",)])
def test_sigterm_stops_the_server_and_leaves_neither_process_nor_shared_memory(
    rendered: Rendered, tmp_path: Path, options: tuple[str, ...]
) -> None:
    servers, memory = set(server_processes()), shared_memory()
    with serve(rendered.repository, tmp_path / "server.log", options=options) as served:
        assert len(set(server_processes()) - servers) == 1
        # Triton 24.10 waits for idle keep-alive connections until its exit timeout is over.
        served.http.close()
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(timeout=10) == 0
    assert set(server_processes()) <= servers
    assert shared_memory() <= memory


def test_models_run_inside_the_server(rendered: Rendered, tmp_path: Path) -> None:
    with serve(rendered.repository, tmp_path / "server.log") as served:
        served.http.classify("cls_model", ["ok"])
        done = subprocess.run(
            ["pgrep", "--parent", str(served.process.pid)],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.stdout == ""


def test_the_log_has_no_warning_but_those_of_a_machine_without_a_gpu(
    rendered: Rendered, tmp_path: Path
) -> None:
    with serve(rendered.repository, tmp_path / "server.log") as served:
        served.http.classify("cls_model", ["ok"])
        bad = [line for line in served.log.splitlines() if line[:1] in "WE" and line[1:5].isdigit()]
    known = ("CudaDriverHelper", "unable to create stream", "failed to allocate pinned")
    assert [line for line in bad if not any(text in line for text in known)] == []


@pytest.mark.parametrize(("cpus", "callers"), [("0", 1), ("0,1", 2)])
def test_caller_threads_follow_the_cpus_that_the_process_may_use(
    rendered: Rendered, tmp_path: Path, cpus: str, callers: int
) -> None:
    with serve(
        rendered.repository, tmp_path / "server.log", prefix=("taskset", "--cpu-list", cpus)
    ) as served:
        assert f"{callers} caller threads x 1 intra-op threads" in served.log


def test_two_servers_on_one_machine_do_not_disturb_each_other(
    rendered: Rendered, tmp_path: Path
) -> None:
    with serve(rendered.repository, tmp_path / "one.log") as one:
        with serve(rendered.repository, tmp_path / "two.log") as two:
            first = two.http.classify("cls_model", ["помогите мне"])
        assert one.http.classify("cls_model", ["помогите мне"]) == first


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("model_onnx/config.pbtxt", "dims: [ 3 ]", "dims: [ 7 ]", "logits"),
        ("model_onnx/config.pbtxt", 'name: "input_ids" data_type: TYPE_INT64',
         'name: "input_ids" data_type: TYPE_INT32', "input_ids"),
        ("model_onnx/config.pbtxt", "TYPE_FP32", "TYPE_FP16", "logits"),
        ("model_onnx/config.pbtxt", 'key: "caller_threads" value { string_value: "0" }',
         'key: "caller_threads" value { string_value: "many" }', "caller_threads"),
        ("text_preprocessing/1/tokenizer.json", "{", "", "text_preprocessing"),
        ("post_processing/1/id2label.json", "{", "", "post_processing"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("server", ["embedded", "ngc"])
def test_a_repository_that_contradicts_itself_fails_the_gate_naming_the_part(
    rendered: Rendered, tmp_path: Path, server: str, file: str, old: str, new: str, reason: str
) -> None:
    broken = copy_with(rendered, tmp_path / "broken", file, old, new)
    call(join_steps.main, broken)
    assert_fails_naming(reason, gate(rendered, broken, server))


def test_an_ensemble_that_contradicts_its_steps_fails_the_gate_of_a_server_that_runs_it(
    rendered: Rendered, tmp_path: Path
) -> None:
    file, old, new = "cls_model/config.pbtxt", 'key: "logits" value', 'key: "nothing" value'
    broken = copy_with(rendered, tmp_path / "broken", file, old, new)
    assert_fails_naming("cls_model", gate(rendered, broken, "ngc"))


def test_a_configuration_that_changed_after_the_steps_were_joined_is_not_overlooked(
    rendered: Rendered, tmp_path: Path
) -> None:
    file = "model_onnx/config.pbtxt"
    changed = copy_with(
        rendered, tmp_path / "changed", file, "dynamic_batching", "# dynamic_batching"
    )
    assert_fails_naming(f"{file} has changed", gate(rendered, changed))
    assert gate(rendered, changed, "ngc").returncode == 0


def assert_fails_naming(reason: str, done: subprocess.CompletedProcess[str]) -> None:
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith("error: server: stopped while it was being checked")
    assert reason in last


def test_a_damaged_onnx_file_fails_the_gate(rendered: Rendered, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(rendered.repository, broken)
    (broken / "model_onnx" / "1" / "model.onnx").write_bytes(b"not onnx")
    done = gate(rendered, broken)
    assert done.returncode == 1
    assert "model.onnx" in done.stderr.strip().splitlines()[-1]


def test_the_gate_stops_the_server_that_it_started(rendered: Rendered) -> None:
    servers = set(server_processes())
    assert gate(rendered, rendered.repository).returncode == 0
    assert set(server_processes()) <= servers


def test_a_port_in_use_is_named(rendered: Rendered, tmp_path: Path) -> None:
    with serve(rendered.repository, tmp_path / "server.log") as served:
        port = served.url.rsplit(":", 1)[1]
        done = subprocess.run(
            ["./run_triton.sh", "--repository", rendered.repository, "--http-port", port,
             "--grpc-port", str(free_ports(1)[0])],
            cwd=ROOT, check=False, capture_output=True, text=True, env=base_environment(),
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: port {port}: in use")


def test_nothing_in_the_server_tries_to_reach_the_network(traced: Traced) -> None:
    """With a control: the same onnxruntime without our setting does try."""
    time.sleep(max(0.0, traced.until - time.monotonic()))
    traced.control.wait(timeout=60)
    assert traced.server.process.poll() is None, traced.server.log
    assert outside_connections(traced.control_trace)
    assert outside_connections(traced.server_trace) == []


def outside_connections(trace_file: Path) -> list[str]:
    lines = trace_file.read_text().splitlines()
    return [line for line in lines if "AF_INET" in line and '"127.0.0.1"' not in line]
