"""From a Triton model configuration (as JSON) to ONNX Runtime session settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnxruntime as ort
from model_parameters import with_parameters

# optimization.graph.level of the official backend's README; absent or 0 means all optimizations.
GRAPH_LEVELS = {
    -1: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    0: ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    1: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}

ACCELERATORS = {
    "openvino": "OpenVINOExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}

CPU_PROVIDER = "CPUExecutionProvider"


@dataclass(frozen=True)
class ThreadPlan:
    """Threads that call the session at once, and ONNX Runtime's own threads in each call."""

    callers: int
    intra_op: int
    inter_op: int


def parameter(config: Mapping[str, Any], key: str, default: str) -> str:
    """The `string_value` of a model parameter."""
    value = config.get("parameters", {}).get(key, {}).get("string_value", default)
    return str(value)


def integer(config: Mapping[str, Any], key: str, default: int) -> int:
    """A model parameter as a whole number of 0 or more.

    Raises:
        ValueError: names the parameter and its value.
    """
    text = parameter(config, key, str(default))
    if not text.isdecimal():
        raise ValueError(f"parameter '{key}' must be a whole number of 0 or more, not '{text}'")
    return int(text)


def thread_plan(config: Mapping[str, Any], cpus: int, instances: int) -> ThreadPlan:
    """Threads for one instance out of `instances` that share `cpus` CPUs.

    `intra_op_thread_count` and `inter_op_thread_count` mean what they mean to the official
    backend: 0 lets ONNX Runtime take one thread per core. `caller_threads` is unknown to the
    official backend: without it one thread calls the session, as there; with 0 as many call it as
    the CPUs allow, each call on one intra-op thread unless `intra_op_thread_count` says more.
    """
    intra_op = integer(config, "intra_op_thread_count", 0)
    inter_op = integer(config, "inter_op_thread_count", 0)
    callers = integer(config, "caller_threads", 1)
    share = max(1, cpus // instances)
    if callers == 0:
        intra_op = max(1, intra_op)
        callers = max(1, share // intra_op)
    # ONNX Runtime's own default counts the cores of the machine, not those of the container.
    return ThreadPlan(callers, intra_op or share, inter_op or share)


def one_caller(config: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """The same configuration for one call at a time, on so many intra-op threads.

    They spin from the first node of a run to its last: waking them up for each would cost a small
    graph what they save.
    """
    spinning = {"session.intra_op.allow_spinning": "1", "session.force_spinning_stop": "1"}
    return with_parameters(
        config, caller_threads="1", intra_op_thread_count=str(threads), **spinning
    )


def session_options(config: Mapping[str, Any], threads: ThreadPlan) -> ort.SessionOptions:
    """Session options as the official backend sets them from the same configuration.

    Raises:
        ValueError: a level or parameter outside the official backend's documented values.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads.intra_op
    options.inter_op_num_threads = threads.inter_op
    if integer(config, "execution_mode", 0) == 1:
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    level = int(config.get("optimization", {}).get("graph", {}).get("level", 0))
    if level not in GRAPH_LEVELS:
        raise ValueError(f"optimization.graph.level must be -1, 0, 1 or 2, not {level}")
    options.graph_optimization_level = GRAPH_LEVELS[level]
    options.enable_cpu_mem_arena = integer(config, "enable_mem_arena", 1) == 1
    options.enable_mem_pattern = integer(config, "enable_mem_pattern", 1) == 1
    # Spinning intra-op threads starve the Python steps that share these cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for key in config.get("parameters", {}):
        if key.startswith("session."):
            options.add_session_config_entry(key, parameter(config, key, ""))
    return options


def providers(
    config: Mapping[str, Any], args: Mapping[str, str], available: Sequence[str]
) -> list[tuple[str, dict[str, str]]]:
    """Execution providers, most wanted first, with the CPU last.

    Raises:
        ValueError: the configuration asks for one that this onnxruntime does not carry; a silent
            fallback would be slower than the user was promised.
    """
    wanted: list[tuple[str, dict[str, str]]] = []
    accelerators = config.get("optimization", {}).get("execution_accelerators", {})
    on_gpu = args.get("model_instance_kind") == "GPU"
    device = {"device_id": args.get("model_instance_device_id", "0")}
    kinds = ["gpu_execution_accelerator"] if on_gpu else ["cpu_execution_accelerator"]
    for accelerator in (item for kind in kinds for item in accelerators.get(kind, [])):
        name = accelerator["name"]
        if name not in ACCELERATORS:
            raise ValueError(
                f"unknown execution accelerator '{name}' (known: {', '.join(ACCELERATORS)})"
            )
        options = dict(accelerator.get("parameters", {}))
        wanted.append((ACCELERATORS[name], options | (device if on_gpu else {})))
    if on_gpu and not any(name == ACCELERATORS["cuda"] for name, _ in wanted):
        wanted.append((ACCELERATORS["cuda"], device))
    for name, _ in wanted:
        if name not in available:
            raise ValueError(f"this onnxruntime has no {name} (it has: {', '.join(available)})")
    return [*wanted, (CPU_PROVIDER, {})]
