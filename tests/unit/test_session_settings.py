"""backends/onnxruntime/session_settings.py."""

from typing import Any

import onnxruntime as ort
import pytest
from session_settings import (
    ThreadPlan,
    integer,
    one_caller,
    parameter,
    providers,
    session_options,
    thread_plan,
)

ORT_CPU = "CPUExecutionProvider"
ORT_CUDA = "CUDAExecutionProvider"
ORT_TENSORRT = "TensorrtExecutionProvider"
ORT_OPENVINO = "OpenVINOExecutionProvider"
ALL = [ORT_TENSORRT, ORT_CUDA, ORT_OPENVINO, ORT_CPU]

Level = ort.GraphOptimizationLevel


def config(**parameters: object) -> dict[str, Any]:
    """A configuration with these parameters."""
    return {"parameters": {key: {"string_value": str(value)} for key, value in parameters.items()}}


def options(configuration: dict[str, Any]) -> ort.SessionOptions:
    """Session options for a plan that cannot be mistaken for a default."""
    return session_options(configuration, ThreadPlan(1, 3, 5))


def accelerated(kind: str, *names: str, **parameters: str) -> dict[str, Any]:
    """A configuration that asks for accelerators."""
    items = [{"name": name, "parameters": parameters} for name in names]
    return {"optimization": {"execution_accelerators": {f"{kind}_execution_accelerator": items}}}


# What this project's template says.
TEMPLATE = {"intra_op_thread_count": 0, "inter_op_thread_count": 1, "caller_threads": 0}


@pytest.mark.parametrize(
    ("parameters", "cpus", "instances", "plan"),
    [
        # As the official backend: one caller, all of the share for each call.
        ({}, 8, 1, ThreadPlan(1, 8, 8)),
        ({}, 8, 2, ThreadPlan(1, 4, 4)),
        ({}, 1, 1, ThreadPlan(1, 1, 1)),
        ({"intra_op_thread_count": 0}, 8, 1, ThreadPlan(1, 8, 8)),
        ({"intra_op_thread_count": 2}, 8, 1, ThreadPlan(1, 2, 8)),
        ({"intra_op_thread_count": 16}, 8, 1, ThreadPlan(1, 16, 8)),
        ({"inter_op_thread_count": 1}, 8, 1, ThreadPlan(1, 8, 1)),
        # Callers as many as the CPUs allow.
        (TEMPLATE, 8, 1, ThreadPlan(8, 1, 1)),
        (TEMPLATE, 1, 1, ThreadPlan(1, 1, 1)),
        (TEMPLATE, 8, 3, ThreadPlan(2, 1, 1)),
        (TEMPLATE, 2, 4, ThreadPlan(1, 1, 1)),
        (TEMPLATE | {"intra_op_thread_count": 2}, 8, 1, ThreadPlan(4, 2, 1)),
        (TEMPLATE | {"intra_op_thread_count": 3}, 8, 1, ThreadPlan(2, 3, 1)),
        (TEMPLATE | {"intra_op_thread_count": 16}, 8, 1, ThreadPlan(1, 16, 1)),
        # Callers as told.
        ({"caller_threads": 3}, 8, 1, ThreadPlan(3, 8, 8)),
        ({"caller_threads": 3, "intra_op_thread_count": 2}, 8, 1, ThreadPlan(3, 2, 8)),
    ],
)
def test_threads_are_planned_from_parameters_cpus_and_instances(
    parameters: dict[str, int], cpus: int, instances: int, plan: ThreadPlan
) -> None:
    assert thread_plan(config(**parameters), cpus, instances) == plan


@pytest.mark.parametrize(
    "key", ["intra_op_thread_count", "inter_op_thread_count", "caller_threads"]
)
@pytest.mark.parametrize("value", ["-1", "two", "", "1.5", " 2", "²"])
def test_a_thread_count_that_is_no_whole_number_is_refused_naming_it(key: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"'{key}'.* not '{value}'"):
        thread_plan(config(**{key: value}), 8, 1)


def test_one_caller_has_the_threads_that_it_is_given_and_all_else_as_it_was() -> None:
    many = config(**TEMPLATE, enable_mem_arena=0)
    one = one_caller(many, 3)
    assert thread_plan(one, 8, 1) == ThreadPlan(1, 3, 1)
    options = session_options(one, ThreadPlan(1, 3, 1))
    assert not options.enable_cpu_mem_arena
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "1"
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
    assert thread_plan(many, 8, 1) == ThreadPlan(8, 1, 1)


def test_a_parameter_that_is_absent_has_its_default() -> None:
    assert parameter({}, "a", "b") == "b"
    assert integer({"parameters": {}}, "a", 7) == 7


def test_the_plan_reaches_the_session() -> None:
    result = options({})
    assert (result.intra_op_num_threads, result.inter_op_num_threads) == (3, 5)


@pytest.mark.parametrize(
    ("optimization", "level"),
    [
        ({}, Level.ORT_ENABLE_ALL),
        ({"graph": {}}, Level.ORT_ENABLE_ALL),
        ({"graph": {"level": 0}}, Level.ORT_ENABLE_ALL),
        ({"graph": {"level": -1}}, Level.ORT_ENABLE_BASIC),
        ({"graph": {"level": 1}}, Level.ORT_ENABLE_EXTENDED),
        ({"graph": {"level": 2}}, Level.ORT_DISABLE_ALL),
        ({"graph": {"level": "2"}}, Level.ORT_DISABLE_ALL),
    ],
)
def test_graph_levels_mean_what_the_official_backend_documents(
    optimization: dict[str, Any], level: ort.GraphOptimizationLevel
) -> None:
    assert options({"optimization": optimization}).graph_optimization_level == level


def test_without_optimization_all_graph_optimizations_are_on() -> None:
    assert options({}).graph_optimization_level == Level.ORT_ENABLE_ALL


@pytest.mark.parametrize("level", [3, -2, 99])
def test_an_unknown_graph_level_is_refused_naming_it(level: int) -> None:
    with pytest.raises(ValueError, match=rf"optimization\.graph\.level .* not {level}$"):
        options({"optimization": {"graph": {"level": level}}})


@pytest.mark.parametrize(
    ("parameters", "mode"),
    [
        ({}, ort.ExecutionMode.ORT_SEQUENTIAL),
        ({"execution_mode": 0}, ort.ExecutionMode.ORT_SEQUENTIAL),
        ({"execution_mode": 1}, ort.ExecutionMode.ORT_PARALLEL),
    ],
)
def test_nodes_run_in_parallel_only_when_asked_to(
    parameters: dict[str, int], mode: ort.ExecutionMode
) -> None:
    assert options(config(**parameters)).execution_mode == mode


@pytest.mark.parametrize("key", ["enable_mem_arena", "enable_mem_pattern"])
@pytest.mark.parametrize(("value", "enabled"), [(None, True), (1, True), (0, False)])
def test_memory_arena_and_patterns_are_on_unless_switched_off(
    key: str, value: int | None, enabled: bool
) -> None:
    result = options(config() if value is None else config(**{key: value}))
    assert (result.enable_cpu_mem_arena if "arena" in key else result.enable_mem_pattern) is enabled


@pytest.mark.parametrize("key", ["execution_mode", "enable_mem_arena", "enable_mem_pattern"])
def test_a_switch_that_is_no_whole_number_is_refused_naming_it(key: str) -> None:
    with pytest.raises(ValueError, match=f"'{key}'.*not 'yes'"):
        options(config(**{key: "yes"}))


def test_idle_threads_do_not_spin() -> None:
    entry = options({}).get_session_config_entry("session.intra_op.allow_spinning")
    assert entry == "0"


def test_session_parameters_are_handed_on_and_win() -> None:
    configuration = config(
        **{"session.intra_op.allow_spinning": "1", "session.set_denormal_as_zero": "1"}
    )
    result = options(configuration)
    assert result.get_session_config_entry("session.intra_op.allow_spinning") == "1"
    assert result.get_session_config_entry("session.set_denormal_as_zero") == "1"


def test_the_cpu_is_the_only_provider_when_nothing_else_is_asked_for() -> None:
    assert providers({}, {"model_instance_kind": "CPU"}, ALL) == [(ORT_CPU, {})]


def test_a_cpu_accelerator_comes_before_the_cpu_with_its_parameters() -> None:
    configuration = accelerated("cpu", "openvino", device_type="CPU")
    assert providers(configuration, {"model_instance_kind": "CPU"}, ALL) == [
        (ORT_OPENVINO, {"device_type": "CPU"}),
        (ORT_CPU, {}),
    ]


def test_an_unknown_accelerator_is_refused_naming_it_and_the_known() -> None:
    with pytest.raises(ValueError, match=r"'onednn' \(known: openvino, cuda, tensorrt\)"):
        providers(accelerated("cpu", "onednn"), {}, ALL)


def test_a_provider_that_this_onnxruntime_lacks_is_refused_naming_what_it_has() -> None:
    with pytest.raises(ValueError, match=rf"no {ORT_OPENVINO} \(it has: Azure, {ORT_CPU}\)"):
        providers(accelerated("cpu", "openvino"), {}, ["Azure", ORT_CPU])


def test_an_instance_on_a_gpu_runs_on_that_gpu() -> None:
    arguments = {"model_instance_kind": "GPU", "model_instance_device_id": "1"}
    assert providers({}, arguments, ALL) == [(ORT_CUDA, {"device_id": "1"}), (ORT_CPU, {})]


def test_an_instance_on_a_gpu_is_refused_where_there_is_no_cuda() -> None:
    with pytest.raises(ValueError, match=f"no {ORT_CUDA}"):
        providers({}, {"model_instance_kind": "GPU"}, [ORT_CPU])


def test_a_gpu_accelerator_comes_before_cuda() -> None:
    configuration = accelerated("gpu", "tensorrt", trt_fp16_enable="1")
    arguments = {"model_instance_kind": "GPU", "model_instance_device_id": "2"}
    assert providers(configuration, arguments, ALL) == [
        (ORT_TENSORRT, {"trt_fp16_enable": "1", "device_id": "2"}),
        (ORT_CUDA, {"device_id": "2"}),
        (ORT_CPU, {}),
    ]


def test_cuda_that_was_asked_for_is_not_listed_twice() -> None:
    result = providers(accelerated("gpu", "cuda"), {"model_instance_kind": "GPU"}, ALL)
    assert [name for name, _ in result] == [ORT_CUDA, ORT_CPU]


@pytest.mark.parametrize(("kind", "other"), [("CPU", "gpu"), ("GPU", "cpu")])
def test_accelerators_of_the_other_kind_of_device_are_not_used(kind: str, other: str) -> None:
    result = providers(accelerated(other, "openvino"), {"model_instance_kind": kind}, ALL)
    assert ORT_OPENVINO not in [name for name, _ in result]
