"""From a Triton model configuration (as JSON) to OpenVINO compile properties for the CPU.

Parameters are named as the official backend names them
(github.com/triton-inference-server/openvino_backend, README and src/openvino.cc).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_parameters import with_parameters

CPU_INFO = Path("/proc/cpuinfo")

# A CPU without one of these computes bf16 through fp32 or not at all, and OpenVINO does not say so.
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})

HINTS = ("LATENCY", "THROUGHPUT", "CUMULATIVE_THROUGHPUT")

# Of the official backend. The last three make models of fixed size fit; here shapes stay
# as they are in the model, so that there is nothing to skip, to pad or to reshape.
OFFICIAL = frozenset(
    {
        "PERFORMANCE_HINT",
        "CPU_EXTENSION_PATH",
        "INFERENCE_NUM_THREADS",
        "COMPILATION_NUM_THREADS",
        "HINT_BF16",
        "NUM_STREAMS",
        "TARGET_DEVICE",
        "SKIP_OV_DYNAMIC_BATCHSIZE",
        "ENABLE_BATCH_PADDING",
        "RESHAPE_IO_LAYERS",
    }
)

# Of this backend; the official one ignores what it does not know.
OWN = frozenset({"caller_threads"})

# Of the Python backend that this one stands on.
PYTHON_BACKEND = frozenset({"EXECUTION_ENV_PATH", "FORCE_CPU_ONLY_INPUT_TENSORS"})


@dataclass(frozen=True)
class CompileSettings:
    """What `Core.compile_model` gets."""

    properties: dict[str, Any]
    precision: str
    extension: str


def compile_settings(
    config: Mapping[str, Any], cpus: int, instances: int, cpu_info: Path = CPU_INFO
) -> CompileSettings:
    """Settings for one instance out of `instances` that share `cpus` CPUs.

    `caller_threads` 0 is unknown to the official backend: as many requests run at a time as there
    are CPUs, each on one of them, unless `NUM_STREAMS` or `INFERENCE_NUM_THREADS` says otherwise.

    Raises:
        ValueError: a parameter that nobody knows, or a value that the official backend refuses;
            bf16 on a CPU that has no instructions for it.
    """
    parameters = {
        key: str(value.get("string_value", ""))
        for key, value in config.get("parameters", {}).items()
    }
    _refuse_unknown(parameters)
    share = max(1, cpus // instances)
    # OpenVINO's own default counts the cores of the affinity mask and knows no CPU quota.
    threads = _number(parameters, "INFERENCE_NUM_THREADS") or share
    properties: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": threads,
        # Two containers on a machine would pin their threads to the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    hint = parameters.get("PERFORMANCE_HINT", "").upper()
    if hint:
        properties["PERFORMANCE_HINT"] = _one_of("PERFORMANCE_HINT", hint, HINTS)
    streams = parameters.get("NUM_STREAMS", "").upper()
    if streams in ("AUTO", "NUMA"):
        properties["NUM_STREAMS"] = streams
    elif streams:
        properties["NUM_STREAMS"] = _number(parameters, "NUM_STREAMS")
    elif not hint and parameters.get("caller_threads") == "0":
        properties["NUM_STREAMS"] = threads
    # Checked and left out: OpenVINO's CPU plugin has no such property.
    _number(parameters, "COMPILATION_NUM_THREADS")
    precision = _precision(parameters, cpu_info)
    # Always said: left to itself, OpenVINO takes bf16 for a model in fp32 where the CPU has it.
    properties["INFERENCE_PRECISION_HINT"] = precision
    return CompileSettings(properties, precision, parameters.get("CPU_EXTENSION_PATH", ""))


def one_caller(config: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """The same configuration for one request at a time, on so many threads."""
    return with_parameters(
        config, caller_threads="1", NUM_STREAMS="1", INFERENCE_NUM_THREADS=str(threads)
    )


def has_bf16(cpu_info: Path = CPU_INFO) -> bool:
    """Whether the CPU multiplies bf16 itself.

    OpenVINO's OPTIMIZATION_CAPABILITIES is no answer: any CPU with AVX-512 may list BF16.
    """
    lines = cpu_info.read_text().splitlines()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not BF16_FLAGS.isdisjoint(flags.split())


def _precision(parameters: Mapping[str, str], cpu_info: Path) -> str:
    wanted = parameters.get("HINT_BF16", "").upper()
    if not wanted:
        return "f32"
    _one_of("HINT_BF16", wanted, ("YES",))
    if not has_bf16(cpu_info):
        raise ValueError(
            "parameter 'HINT_BF16' asks for bf16, this CPU has neither avx512_bf16 nor amx_bf16"
        )
    return "bf16"


def _refuse_unknown(parameters: Mapping[str, str]) -> None:
    for key in parameters:
        if key not in OFFICIAL | OWN | PYTHON_BACKEND:
            known = ", ".join(sorted(OFFICIAL | OWN))
            raise ValueError(f"unknown parameter '{key}' (known: {known})")
    _check(parameters, "TARGET_DEVICE", lambda value: value.upper() == "CPU", "must be CPU")
    _check(parameters, "caller_threads", lambda value: value in ("0", "1"), "must be 0 or 1")
    _check(
        parameters,
        "RESHAPE_IO_LAYERS",
        lambda value: value.upper() != "YES",
        "is not supported: shapes stay as they are in the model",
    )


def _check(
    parameters: Mapping[str, str], key: str, allowed: Callable[[str], bool], problem: str
) -> None:
    value = parameters.get(key, "")
    if value and not allowed(value):
        raise ValueError(f"parameter '{key}' {problem}, not '{value}'")


def _number(parameters: Mapping[str, str], key: str) -> int:
    value = parameters.get(key, "") or "0"
    if not value.isdecimal():
        raise ValueError(f"parameter '{key}' must be a whole number of 0 or more, not '{value}'")
    return int(value)


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"parameter '{key}' must be {' or '.join(allowed)}, not '{value}'")
    return value
