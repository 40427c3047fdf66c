"""Other profiles and precisions than plain fp32 on the CPU, on the real tritonserver."""

import subprocess
from pathlib import Path

import pytest
import torch
from google.protobuf import json_format
from safetensors.torch import load_file, save_file

from tests import checkpoints
from tests.checkpoints import Checkpoint
from tests.in_process import call
from tests.serving import ROOT, Rendered, Served, base_environment, render_artifacts, run, serve
from tests.texts import write_texts
from utils import convert_to_onnx, describe_hardware, join_steps, set_precision
from utils.artifacts import read_report
from utils.lint_repository import parse_config
from utils.targets.machine import missing, this_machine
from utils.targets.profiles import read_profile
from utils.verify_answers import verify

pytestmark = pytest.mark.server

# Where the machine has what they need; profiles for GPUs are served on the CPU here.
KINDS = [
    (hardware, precision)
    for hardware in ("cpu", "openvino")
    for precision in read_profile(hardware).precisions
    if (hardware, precision) != ("cpu", "fp32")
    and not missing(this_machine(), read_profile(hardware).needs(precision, "embedded"))
]


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts of a tiny BERT, with reference answers to 200 texts."""
    folder = tmp_path_factory.mktemp("converted")
    write_texts(folder / "samples.txt")
    checkpoint = checkpoints.make_bert(folder)
    make_decided(checkpoint)
    call(
        convert_to_onnx.main,
        *("--model", checkpoint.model, "--tokenizer", checkpoint.tokenizer),
        *("--labels", checkpoint.labels, "--samples", folder / "samples.txt"),
        *("--save-dir", folder / "artifacts"),
    )
    return folder / "artifacts"


def make_decided(checkpoint: Checkpoint) -> None:
    """Move labels apart: those of random weights turn over at the slightest difference."""
    file = checkpoint.model / "model.safetensors"
    weights = load_file(file)
    weights["classifier.bias"] += torch.tensor([2.0, 0.0, -2.0])
    save_file(weights, file, metadata={"format": "pt"})


def render_for(
    converted: Path, folder: Path, hardware: str, precision: str, lacks: str = ""
) -> Rendered:
    """A repository for some hardware, by the steps of the main command."""
    artifacts = folder / "artifacts"
    call(
        set_precision.main,
        *("--hardware", hardware, "--precisions", precision, "--lacks", lacks),
        *("--", converted, artifacts),
    )
    rendered = render_artifacts(artifacts, folder, 4, hardware)
    call(describe_hardware.main, "--hardware", hardware, artifacts, rendered.repository)
    call(join_steps.main, rendered.repository)
    return rendered


def assert_answers(served: Served, rendered: Rendered) -> None:
    """Over both protocols, in batches of all sizes."""
    verify(served.http, rendered.name, rendered.reference)
    verify(served.grpc, rendered.name, rendered.reference)


@pytest.mark.parametrize(("hardware", "precision"), KINDS)
def test_a_precision_answers_as_its_graph_did_when_it_was_compared_with_fp32(
    converted: Path, tmp_path: Path, hardware: str, precision: str
) -> None:
    rendered = render_for(converted, tmp_path, hardware, precision)
    report = read_report(rendered.artifacts).precision
    assert (precision == "fp32") == (report is None)
    if report:
        assert (report.name, report.texts) == (precision, 200)
        assert report.agreement >= read_profile(hardware).precisions[precision].agreement
    with serve(rendered.repository, tmp_path / "server.log") as served:
        assert_answers(served, rendered)
        engine = "openvino 2026" if hardware == "openvino" else "onnxruntime 1.31"
        assert engine in served.log


def test_int8_says_the_same_whatever_else_is_in_the_batch(converted: Path, tmp_path: Path) -> None:
    rendered = render_for(converted, tmp_path, "cpu", "int8")
    with serve(rendered.repository, tmp_path / "server.log") as served:
        alone = served.http.classify(rendered.name, ["the fox"])[0]
        beside = served.http.classify(rendered.name, ["the fox", "quick " * 60])[0]
    assert beside.logits == pytest.approx(alone.logits, abs=1e-5)


def test_openvino_refuses_a_parameter_that_nobody_knows(converted: Path, tmp_path: Path) -> None:
    rendered = render_for(converted, tmp_path, "openvino", "fp32")
    config = rendered.repository / "model_onnx" / "config.pbtxt"
    text = config.read_text(encoding="utf-8").replace("caller_threads", "caller_thread")
    config.write_text(text, encoding="utf-8")
    call(join_steps.main, rendered.repository)
    done = started(rendered, "--http-port", "18000")
    assert done.returncode == 1
    assert "unknown parameter 'caller_thread'" in done.stderr


def test_a_repository_for_gpus_is_refused_in_one_line_where_there_is_none(
    converted: Path, tmp_path: Path
) -> None:
    rendered = render_for(converted, tmp_path, "cuda", "fp16", "no GPU")
    done = started(rendered, "--hardware", "cpu")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: hardware: made for cuda, fp16, but ")


def test_a_repository_for_gpus_answers_on_the_cpu_when_it_is_told_to(
    converted: Path, tmp_path: Path
) -> None:
    rendered = render_for(converted, tmp_path, "cuda", "fp16", "no GPU")
    options = ("--allow-fallback", "--hardware", "cpu")
    with serve(rendered.repository, tmp_path / "server.log", options=options) as served:
        assert_answers(served, rendered)
        assert "warning: hardware: not what this was made for" in served.log


def started(rendered: Rendered, *options: str) -> "subprocess.CompletedProcess[str]":
    """What run_triton.sh says of a repository that it cannot serve."""
    return subprocess.run(
        ["./run_triton.sh", "--repository", rendered.repository, *options],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=60,
        env=base_environment(),
    )  # fmt: skip


# Opens a graph as the server does, then asks it from six threads at the same moment.
AT_ONCE = """
import json, os, sys, threading
import numpy as np
tree, graph, config = sys.argv[1:]
sys.path.insert(0, f"{tree}/backends/openvino")
from pathlib import Path
from openvino_engine import Engine
engine = Engine(Path(graph), json.loads(config), {"model_instance_kind": "CPU"})
sys.setswitchinterval(1e-6)
barrier = threading.Barrier(6)
def ask():
    barrier.wait()
    engine.run(None, {name: np.ones((1, 9), np.int64) for name in engine.inputs})
threads = [threading.Thread(target=ask, daemon=True) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join(20)
os._exit(any(thread.is_alive() for thread in threads))
"""


def test_the_first_requests_to_openvino_may_come_at_the_same_moment(
    converted: Path, tmp_path: Path
) -> None:
    rendered = render_for(converted, tmp_path, "openvino", "fp32")
    tree = run("utils/embedded_server.py", "--hardware", "openvino").strip()
    config = parse_config(rendered.repository / "model_onnx" / "config.pbtxt")
    asked = json_format.MessageToJson(config, preserving_proto_field_name=True)
    graph = rendered.artifacts / "model.onnx"
    done = subprocess.run(
        [f"{tree}/python/bin/python3", "-c", AT_ONCE, tree, graph, asked],
        check=False, timeout=120, env={**base_environment(), "LD_LIBRARY_PATH": f"{tree}/lib"},
    )  # fmt: skip
    assert done.returncode == 0


def test_openvino_asks_the_network_for_nothing(converted: Path, tmp_path: Path) -> None:
    rendered = render_for(converted, tmp_path, "openvino", "fp32")
    # Laid out before: the download of its wheels is no part of serving.
    run("utils/embedded_server.py", "--hardware", "openvino")
    trace_file = tmp_path / "trace"
    trace = ("strace", "-D", "-f", "-qq", "-e", "trace=connect", "-e", "signal=none", "-o")
    prefix = (*trace, str(trace_file))
    with serve(rendered.repository, tmp_path / "server.log", prefix=prefix) as served:
        assert_answers(served, rendered)
    asked = [line for line in trace_file.read_text("utf-8").splitlines() if "AF_INET" in line]
    assert all('inet_addr("127.0.0.1")' in line or '"::1"' in line for line in asked), asked
