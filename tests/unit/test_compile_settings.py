"""backends/openvino/compile_settings.py."""

import re
from pathlib import Path
from typing import Any

import pytest
from compile_settings import (
    BF16_FLAGS,
    OFFICIAL,
    OWN,
    PYTHON_BACKEND,
    CompileSettings,
    compile_settings,
    has_bf16,
    one_caller,
)

WHOLE_NUMBER = "must be a whole number of 0 or more"


def config(**parameters: object) -> dict[str, Any]:
    """A configuration with these parameters."""
    return {"parameters": {key: {"string_value": str(value)} for key, value in parameters.items()}}


def cpu_info(folder: Path, *flags: str) -> Path:
    """A file like /proc/cpuinfo, of a CPU with these flags."""
    path = folder / "cpuinfo"
    line = f"flags\t\t: fpu avx512f {' '.join(flags)}"
    path.write_text(f"processor\t: 0\nmodel name\t: bf16 avx512_bf16\n{line}\n\nprocessor\t: 1\n")
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A CPU that does not multiply bf16."""
    return cpu_info(tmp_path, "avx512_vnni")


def settings(
    parameters: dict[str, object], plain: Path, cpus: int = 8, instances: int = 1
) -> CompileSettings:
    """Settings of parameters on a CPU."""
    return compile_settings(config(**parameters), cpus, instances, plain)


@pytest.mark.parametrize(
    ("cpus", "instances", "threads"),
    [(8, 1, 8), (8, 2, 4), (8, 3, 2), (1, 1, 1), (2, 4, 1), (7, 2, 3)],
)
@pytest.mark.parametrize("parameters", [{}, {"INFERENCE_NUM_THREADS": 0}])
def test_an_instance_has_its_share_of_the_cpus(
    parameters: dict[str, object], cpus: int, instances: int, threads: int, plain: Path
) -> None:
    result = settings(parameters, plain, cpus, instances)
    assert result.properties["INFERENCE_NUM_THREADS"] == threads


@pytest.mark.parametrize("threads", [1, 3, 16])
def test_threads_are_as_many_as_told(threads: int, plain: Path) -> None:
    result = settings({"INFERENCE_NUM_THREADS": threads}, plain, instances=4)
    assert result.properties["INFERENCE_NUM_THREADS"] == threads


@pytest.mark.parametrize("parameters", [{}, {"caller_threads": 0}, {"PERFORMANCE_HINT": "LATENCY"}])
def test_threads_are_never_pinned(parameters: dict[str, object], plain: Path) -> None:
    assert settings(parameters, plain).properties["ENABLE_CPU_PINNING"] is False


@pytest.mark.parametrize(
    ("parameters", "cpus", "instances", "streams"),
    [
        # As the official backend: OpenVINO's own default.
        ({}, 8, 1, None),
        ({"caller_threads": 1}, 8, 1, None),
        # A stream for each thread of the share.
        ({"caller_threads": 0}, 8, 1, 8),
        ({"caller_threads": 0}, 8, 3, 2),
        ({"caller_threads": 0}, 1, 1, 1),
        ({"caller_threads": 0, "INFERENCE_NUM_THREADS": 3}, 8, 1, 3),
        # As told.
        ({"caller_threads": 0, "NUM_STREAMS": 2}, 8, 1, 2),
        ({"NUM_STREAMS": 5}, 8, 1, 5),
        ({"NUM_STREAMS": "AUTO"}, 8, 1, "AUTO"),
        ({"NUM_STREAMS": "numa"}, 8, 1, "NUMA"),
        ({"caller_threads": 0, "NUM_STREAMS": "auto"}, 8, 1, "AUTO"),
        # A hint is OpenVINO's to follow.
        ({"caller_threads": 0, "PERFORMANCE_HINT": "LATENCY"}, 8, 1, None),
        ({"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": 2}, 8, 1, 2),
    ],
)
def test_streams_are_planned_from_parameters_cpus_and_instances(
    parameters: dict[str, object],
    cpus: int,
    instances: int,
    streams: int | str | None,
    plain: Path,
) -> None:
    assert settings(parameters, plain, cpus, instances).properties.get("NUM_STREAMS") == streams


@pytest.mark.parametrize("parameters", [{"caller_threads": 0}, {"NUM_STREAMS": "AUTO"}])
def test_one_caller_has_a_stream_with_the_threads_that_it_is_given(
    parameters: dict[str, object], plain: Path
) -> None:
    one = one_caller(config(**parameters), 3)
    properties = compile_settings(one, 8, 1, plain).properties
    assert (properties["NUM_STREAMS"], properties["INFERENCE_NUM_THREADS"]) == (1, 3)


@pytest.mark.parametrize("hint", ["LATENCY", "throughput", "Cumulative_Throughput"])
def test_a_hint_is_handed_on(hint: str, plain: Path) -> None:
    properties = settings({"PERFORMANCE_HINT": hint}, plain).properties
    assert properties["PERFORMANCE_HINT"] == hint.upper()


def test_without_a_hint_there_is_none(plain: Path) -> None:
    assert "PERFORMANCE_HINT" not in settings({}, plain).properties


@pytest.mark.parametrize(
    "parameters", [{}, {"HINT_BF16": ""}, {"caller_threads": 0}, {"PERFORMANCE_HINT": "LATENCY"}]
)
@pytest.mark.parametrize("flags", [(), ("avx512_bf16", "amx_bf16")])
def test_fp32_is_said_even_where_the_cpu_has_bf16(
    flags: tuple[str, ...], parameters: dict[str, object], tmp_path: Path
) -> None:
    result = settings(parameters, cpu_info(tmp_path, *flags))
    assert result.precision == "f32"
    assert result.properties["INFERENCE_PRECISION_HINT"] == "f32"


@pytest.mark.parametrize("value", ["YES", "yes"])
@pytest.mark.parametrize("flag", sorted(BF16_FLAGS))
def test_bf16_is_said_where_it_is_asked_for_and_the_cpu_has_it(
    flag: str, value: str, tmp_path: Path
) -> None:
    result = settings({"HINT_BF16": value}, cpu_info(tmp_path, flag))
    assert result.precision == "bf16"
    assert result.properties["INFERENCE_PRECISION_HINT"] == "bf16"


def test_bf16_is_refused_on_a_cpu_without_instructions_for_it(plain: Path) -> None:
    with pytest.raises(ValueError, match=r"^parameter 'HINT_BF16' asks for bf16, this CPU has"):
        settings({"HINT_BF16": "YES"}, plain)


@pytest.mark.parametrize(
    ("flags", "found"),
    [(["avx512_bf16"], True), (["amx_bf16"], True), (["amx_bf16x", "avx512f"], False), ([], False)],
)
def test_what_a_cpu_has_stands_among_its_flags(
    flags: list[str], found: bool, tmp_path: Path
) -> None:
    assert has_bf16(cpu_info(tmp_path, *flags)) is found


def test_a_cpu_that_tells_no_flags_has_no_bf16(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nFeatures\t: asimd bf16\n")
    assert not has_bf16(path)


def test_an_extension_is_handed_on(plain: Path) -> None:
    assert settings({}, plain).extension == ""
    assert settings({"CPU_EXTENSION_PATH": "/a b.so"}, plain).extension == "/a b.so"


@pytest.mark.parametrize("key", ["INTRA_OP", "num_streams", "caller_thread", ""])
def test_an_unknown_parameter_is_refused_naming_it_and_the_known(key: str, plain: Path) -> None:
    known = ", ".join(sorted(OFFICIAL | OWN))
    with pytest.raises(ValueError, match=rf"^unknown parameter '{key}' \(known: {known}\)$"):
        settings({key: "1"}, plain)


@pytest.mark.parametrize("key", sorted(OFFICIAL | OWN | PYTHON_BACKEND))
def test_a_known_parameter_without_a_value_is_as_if_it_were_not_there(
    key: str, plain: Path
) -> None:
    assert settings({key: ""}, plain) == settings({}, plain)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("TARGET_DEVICE", "cpu"),
        ("SKIP_OV_DYNAMIC_BATCHSIZE", "YES"),
        ("ENABLE_BATCH_PADDING", "YES"),
        ("RESHAPE_IO_LAYERS", "NO"),
        ("COMPILATION_NUM_THREADS", "2"),
        ("EXECUTION_ENV_PATH", "/env"),
    ],
)
def test_what_changes_nothing_here_is_taken_and_left_out(key: str, value: str, plain: Path) -> None:
    assert settings({key: value}, plain) == settings({}, plain)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("TARGET_DEVICE", "GPU", "must be CPU"),
        ("TARGET_DEVICE", "AUTO", "must be CPU"),
        ("caller_threads", "2", "must be 0 or 1"),
        ("caller_threads", "no", "must be 0 or 1"),
        ("RESHAPE_IO_LAYERS", "yes", "is not supported"),
        ("PERFORMANCE_HINT", "FAST", "must be LATENCY or THROUGHPUT or CUMULATIVE_THROUGHPUT"),
        ("HINT_BF16", "NO", "must be YES"),
        ("HINT_BF16", "1", "must be YES"),
        ("NUM_STREAMS", "MANY", WHOLE_NUMBER),
        *(
            (key, value, WHOLE_NUMBER)
            for key in ("INFERENCE_NUM_THREADS", "COMPILATION_NUM_THREADS", "NUM_STREAMS")
            for value in ("-1", "1.5", " 2", "²")
        ),
    ],
)
def test_a_bad_value_is_refused_naming_parameter_and_value(
    key: str, value: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"^parameter '{key}' {problem}.*not '{value}'$"):
        settings({key: value}, cpu_info(tmp_path, *BF16_FLAGS))


def test_a_configuration_without_parameters_has_the_defaults(tmp_path: Path, plain: Path) -> None:
    expected = {
        "INFERENCE_NUM_THREADS": 8,
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    assert compile_settings({}, 8, 1, plain) == CompileSettings(expected, "f32", "")
    # Where nothing asks for bf16, nothing looks at the CPU.
    assert compile_settings({}, 8, 1, tmp_path / "absent").precision == "f32"


def test_the_parameters_of_the_profile_are_known(plain: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    engine = (root / "hardware" / "openvino" / "engine.pbtxt").read_text(encoding="utf-8")
    names = re.findall(r'key: "([^"]+)" value \{ string_value: "([^"]*)"', engine)
    assert names
    assert settings(dict(names), plain).precision == "f32"
