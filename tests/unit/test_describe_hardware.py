"""utils/describe_hardware.py."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from tests.in_process import call
from tests.unit.commands import error_line, run_utility, usage_error
from tests.unit.graphs import DISTILBERT_INPUTS, write_graph
from tests.unit.reports import BEHAVIOUR, CPU, make_precision, make_report
from utils import describe_hardware
from utils.artifacts import write_report
from utils.describe_hardware import describe, fallback_config
from utils.errors import UsageError
from utils.graph import graph_tensors
from utils.lint_repository import parse_config
from utils.targets.engine_config import engine_config
from utils.targets.profiles import Profile, read_profile

CONFIG = """\
name: "model_onnx"
backend: "onnxruntime"
max_batch_size: 4
input [ { name: "тексты" data_type: TYPE_INT64 dims: [ -1 ] } ]
output [ { name: "logits" data_type: TYPE_FP32 dims: [ 3 ] } ]
instance_group [ { kind: KIND_GPU count: 2 gpus: [ 0 ] } ]
optimization { execution_accelerators { gpu_execution_accelerator [ { name: "cuda" } ] } }
parameters { key: "intra_op_thread_count" value { string_value: "7" } }
parameters { key: "enable_mem_arena" value { string_value: "0" } }
dynamic_batching { max_queue_delay_microseconds: 100 }
"""
ENGINE_FIELDS = {
    "backend",
    "default_model_filename",
    "instance_group",
    "optimization",
    "parameters",
}
CPU_ENGINE = CPU.engine_file.read_text(encoding="utf-8")


def parsed(text: str) -> ModelConfig:
    """A config as Triton reads it."""
    return text_format.Parse(text, ModelConfig())


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A rendered repository, as far as it matters here."""
    folder = tmp_path / "models" / "model_onnx"
    folder.mkdir(parents=True)
    (folder / "config.pbtxt").write_text(CONFIG, encoding="utf-8")
    return folder.parent


def artifacts(folder: Path, precision: str = "fp32") -> Path:
    """What a repository was filled from."""
    write_graph(folder / "artifacts" / "model.onnx", DISTILBERT_INPUTS)
    report = make_report(precision=None if precision == "fp32" else make_precision(precision))
    write_report(folder / "artifacts", report)
    return folder / "artifacts"


def described(repository: Path, profile: Profile, precision: str) -> dict[str, Any]:
    """What hardware.json says of a repository in a precision."""
    describe(artifacts(repository.parent, precision), repository, profile, "embedded")
    return said(repository)


def rendered(repository: Path, profile: Profile, precision: str) -> Path:
    """The repository, its configuration as the profile's engine has it."""
    inputs, _ = graph_tensors(artifacts(repository.parent, precision) / "model.onnx")
    engine = engine_config(profile, profile.precisions[precision], inputs, BEHAVIOUR, 4, {})
    config = fallback_config(parsed(CONFIG), engine)
    (repository / "model_onnx" / "config.pbtxt").write_text(config, encoding="utf-8")
    return repository


def said(repository: Path) -> dict[str, Any]:
    """What hardware.json says."""
    data: dict[str, Any] = json.loads((repository / "hardware.json").read_text("utf-8"))
    return data


def files(repository: Path) -> list[str]:
    """What is in a repository."""
    found = (path for path in repository.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(repository)) for path in found)


def fallback(repository: Path) -> ModelConfig:
    """What is served on another machine."""
    return parse_config(repository / "model_onnx" / "configs" / "fallback.pbtxt")


def test_a_fallback_has_the_other_engine_and_nothing_of_its_own() -> None:
    changed, cpu = parsed(fallback_config(parsed(CONFIG), CPU_ENGINE)), parsed(CPU_ENGINE)
    for field in ENGINE_FIELDS:
        assert getattr(changed, field) == getattr(cpu, field), field
    assert set(changed.parameters) == set(cpu.parameters)


def test_a_fallback_changes_nothing_but_the_engine() -> None:
    config = parsed(CONFIG)
    changed = parsed(fallback_config(config, CPU_ENGINE))
    assert config == parsed(CONFIG)
    for field in {item.name for item in ModelConfig.DESCRIPTOR.fields} - ENGINE_FIELDS:
        assert getattr(changed, field) == getattr(config, field), field


def test_names_in_a_fallback_stay_readable() -> None:
    assert 'name: "тексты"' in fallback_config(parsed(CONFIG), CPU_ENGINE)


def test_a_repository_for_a_gpu_says_what_it_needs_and_falls_back_on_the_cpu(
    repository: Path,
) -> None:
    assert described(repository, read_profile("cuda"), "fp16") == {
        "hardware": "cuda",
        "precision": "fp16",
        "server": "embedded",
        "needs": {"gpu": True, "cuda": "13.0", "cpu_flags": []},
        "fallback": True,
    }
    assert files(repository) == [
        "hardware.json",
        "model_onnx/config.pbtxt",
        "model_onnx/configs/fallback.pbtxt",
    ]
    assert (repository / "model_onnx" / "config.pbtxt").read_text("utf-8") == CONFIG
    assert fallback(repository) == parsed(fallback_config(parsed(CONFIG), CPU_ENGINE))


@pytest.mark.parametrize("name", ["cpu", "openvino"])
def test_what_any_machine_can_serve_needs_nothing(name: str, repository: Path) -> None:
    needs = described(repository, read_profile(name), "fp32")["needs"]
    assert needs == {"gpu": False, "cuda": "0.0", "cpu_flags": []}


@pytest.mark.parametrize(
    ("name", "precision"),
    [("cpu", "fp32"), ("cpu", "int8"), ("openvino", "fp32"), ("openvino", "int8")],
)
def test_what_would_fall_back_on_its_own_engine_has_no_fallback(
    name: str, precision: str, repository: Path
) -> None:
    profile = read_profile(name)
    data = described(rendered(repository, profile, precision), profile, precision)
    assert data["fallback"] is False
    assert data["needs"]["cpu_flags"] == list(profile.precisions[precision].cpu_flags)
    assert files(repository) == ["hardware.json", "model_onnx/config.pbtxt"]


def test_a_precision_that_not_every_cpu_has_falls_back_on_the_profiles_fp32(
    repository: Path,
) -> None:
    openvino = read_profile("openvino")
    data = described(rendered(repository, openvino, "bf16"), openvino, "bf16")
    assert data["needs"]["cpu_flags"] == list(openvino.precisions["bf16"].cpu_flags)
    assert data["fallback"] is True
    config = fallback(repository)
    assert config.backend == "openvino"
    assert config.instance_group[0].kind == config.instance_group[0].KIND_CPU
    assert not [key for key in config.parameters if "BF16" in key]


@pytest.mark.parametrize("name", ["fp32", "fp16"])
def test_the_command_takes_the_precision_that_the_build_chose(
    name: str, repository: Path, tmp_path: Path
) -> None:
    words = ("--hardware", "cuda", "--server", "ngc", artifacts(tmp_path, name), repository)
    call(describe_hardware.main, *words)
    assert (said(repository)["precision"], said(repository)["server"]) == (name, "ngc")
    assert said(repository)["needs"]["cuda"] == "0.0"


def test_a_precision_that_the_profile_has_not_is_refused_and_writes_nothing(
    repository: Path,
) -> None:
    with pytest.raises(UsageError, match=r"^--hardware cpu: has no fp16 \(possible: fp32, int8\)$"):
        described(repository, CPU, "fp16")
    assert files(repository) == ["model_onnx/config.pbtxt"]


def test_the_command_ends_with_2_for_a_precision_that_the_profile_has_not(
    repository: Path, tmp_path: Path
) -> None:
    result = run_utility("describe_hardware.py", artifacts(tmp_path, "fp16"), repository)
    assert usage_error(result) == "error: --hardware cpu: has no fp16 (possible: fp32, int8)"


def test_the_command_refuses_a_folder_that_is_no_conversion(
    repository: Path, tmp_path: Path
) -> None:
    line = error_line(run_utility("describe_hardware.py", tmp_path, repository))
    assert "report.json: absent or damaged" in line
    assert files(repository) == ["model_onnx/config.pbtxt"]


def test_a_profile_that_there_is_not_is_a_usage_error(repository: Path, tmp_path: Path) -> None:
    result = run_utility("describe_hardware.py", "--hardware", "abacus", tmp_path, repository)
    assert "'abacus'" in usage_error(result)
