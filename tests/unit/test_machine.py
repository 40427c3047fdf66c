"""server/bin/machine.py: what a machine has, and what is served on which."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import machine
import pytest
from machine import FALLBACK, Machine, configuration, missing, this_machine

from tests.unit.commands import ROOT, Result, error_line
from utils.describe_hardware import HARDWARE_FILE
from utils.targets import machine as build_side

PLAIN = Machine("x86_64", frozenset({"avx2"}), 0, None, False)
WITH_GPU = Machine("x86_64", frozenset({"avx2", "avx512f"}), 1, (12, 8), True)

NOTHING: dict[str, Any] = {"gpu": False, "cuda": "0.0", "cpu_flags": []}
CUDA = {"gpu": True, "cuda": "12.8", "cpu_flags": []}

# No machine has it.
IMPOSSIBLE = {"gpu": False, "cuda": "0.0", "cpu_flags": ["abacus"]}


def hardware(needs: dict[str, Any], fallback: bool = True) -> dict[str, Any]:
    """What hardware.json says."""
    return {
        "hardware": "cuda",
        "precision": "fp16",
        "server": "embedded",
        "needs": needs,
        "fallback": fallback,
    }


def served(
    needs: dict[str, Any],
    on: Machine,
    *,
    in_container: bool = True,
    allow_fallback: bool = False,
    fallback: bool = True,
) -> str:
    """The name of the configuration that is served."""
    return configuration(hardware(needs, fallback), on, in_container, allow_fallback)


def refusal(needs: dict[str, Any], on: Machine, **options: bool) -> str:
    """The error that a start ends with."""
    with pytest.raises(SystemExit) as caught:
        served(needs, on, **options)
    return str(caught.value)


def run(repository: Path, *words: str, **environment: str) -> Result:
    """The command, as server/bin/serve calls it."""
    return subprocess.run(
        [sys.executable, ROOT / "server" / "bin" / "machine.py", repository, *words],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository that no machine has the hardware for."""
    text = json.dumps(hardware(IMPOSSIBLE))
    (tmp_path / HARDWARE_FILE).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("on", [PLAIN, WITH_GPU])
@pytest.mark.parametrize("needs", [NOTHING, {}])
def test_what_needs_nothing_lacks_nothing(needs: dict[str, Any], on: Machine) -> None:
    assert missing(on, needs) == ""


@pytest.mark.parametrize(
    ("on", "lacks"),
    [
        (WITH_GPU, ""),
        (replace(WITH_GPU, cuda=(13, 0)), ""),
        (PLAIN, "no NVIDIA driver is visible (docker run --gpus all, on a machine with a GPU)"),
        (replace(WITH_GPU, gpus=0), "the NVIDIA driver sees no GPU (docker run --gpus all)"),
        (
            replace(WITH_GPU, cuda=(12, 7)),
            "the NVIDIA driver serves CUDA 12.7, 12.8 is needed (a newer driver)",
        ),
    ],
)
def test_a_gpu_with_a_driver_that_is_new_enough_is_needed_where_the_profile_says_so(
    on: Machine, lacks: str
) -> None:
    assert missing(on, CUDA) == lacks


def test_versions_of_cuda_are_compared_as_numbers() -> None:
    assert missing(replace(WITH_GPU, cuda=(12, 10)), {**CUDA, "cuda": "12.9"}) == ""
    assert missing(replace(WITH_GPU, cuda=(9, 2)), {**CUDA, "cuda": "12.0"}) != ""


def test_any_driver_will_do_where_no_version_is_named() -> None:
    assert missing(replace(WITH_GPU, cuda=(9, 0)), {"gpu": True}) == ""


def test_one_of_the_flags_of_the_cpu_is_enough() -> None:
    needs = {"cpu_flags": ["avx512f", "amx_bf16"]}
    assert missing(WITH_GPU, needs) == ""
    assert missing(PLAIN, needs) == "the CPU has none of avx512f, amx_bf16"


def test_a_machine_that_has_what_is_needed_serves_the_first_choice() -> None:
    assert served(CUDA, WITH_GPU) == ""
    assert served(NOTHING, PLAIN) == ""


@pytest.mark.parametrize("in_container", [True, False])
def test_a_machine_that_lacks_something_ends_with_a_line_that_says_what_was_made_for_what(
    in_container: bool,
) -> None:
    error = refusal(CUDA, PLAIN, in_container=in_container)
    assert error.startswith("error: hardware: made for cuda, fp16, but no NVIDIA driver is visible")
    assert error.endswith("; --allow-fallback serves on the CPU instead")
    assert len(error.splitlines()) == 1


def test_who_allows_it_gets_the_cpu_on_a_machine_that_lacks_something() -> None:
    assert served(CUDA, PLAIN, allow_fallback=True) == FALLBACK


def test_a_fallback_that_is_allowed_is_not_taken_where_everything_is_there() -> None:
    assert served(CUDA, WITH_GPU, allow_fallback=True) == ""


@pytest.mark.parametrize("allow_fallback", [True, False])
def test_without_a_fallback_a_machine_that_lacks_something_is_refused_whatever_is_allowed(
    allow_fallback: bool,
) -> None:
    needs = IMPOSSIBLE
    error = refusal(needs, PLAIN, allow_fallback=allow_fallback, fallback=False)
    assert error == (
        "error: hardware: made for cuda, fp16, but the CPU has none of abacus;"
        " no other way to serve it was built in (build with --precision fp32)"
    )


@pytest.mark.parametrize("allow_fallback", [True, False])
def test_a_machine_that_has_what_is_needed_needs_no_fallback(allow_fallback: bool) -> None:
    for needs, on in ((NOTHING, PLAIN), (CUDA, WITH_GPU)):
        assert served(needs, on, allow_fallback=allow_fallback, fallback=False) == ""


def test_a_container_that_was_given_a_gpu_it_would_not_use_ends_with_a_line() -> None:
    error = refusal(NOTHING, WITH_GPU)
    assert "this container was given a GPU that it would not use (run it without --gpus" in error
    assert len(error.splitlines()) == 1


def test_a_gpu_that_is_not_used_may_be_allowed() -> None:
    assert served(NOTHING, WITH_GPU, allow_fallback=True) == ""


def test_on_the_host_a_gpu_may_stay_unused() -> None:
    assert served(NOTHING, WITH_GPU, in_container=False) == ""


def test_a_container_without_a_gpu_on_a_machine_with_one_is_as_it_should_be() -> None:
    assert served(NOTHING, replace(WITH_GPU, gpu_shown=False)) == ""


def driver(
    version: int, devices: int, init: int = 0, count: int = 0
) -> Callable[[str], SimpleNamespace]:
    """A stand-in for libcuda.so.1 with the status codes of two of its functions."""

    def get_version(pointer: Any) -> int:
        pointer._obj.value = version
        return 0

    def get_count(pointer: Any) -> int:
        pointer._obj.value = devices
        return count

    library = SimpleNamespace(
        cuDriverGetVersion=get_version, cuInit=lambda _: init, cuDeviceGetCount=get_count
    )

    def load(name: str) -> SimpleNamespace:
        assert name == "libcuda.so.1"
        return library

    return load


def absent(name: str) -> SimpleNamespace:
    """No such library."""
    raise OSError(name)


@pytest.mark.parametrize(
    ("library", "gpus", "cuda"),
    [
        (driver(13000, 2), 2, (13, 0)),
        (driver(12080, 1), 1, (12, 8)),
        (driver(12040, 0), 0, (12, 4)),
        # CUDA_ERROR_NO_DEVICE
        (driver(12040, 1, init=100), 0, (12, 4)),
        (driver(12040, 1, count=100), 0, (12, 4)),
        (absent, 0, None),
    ],
)
def test_gpus_and_the_version_of_cuda_are_what_the_driver_says(
    library: Callable[[str], SimpleNamespace],
    gpus: int,
    cuda: tuple[int, int] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", library)
    found = this_machine()
    assert (found.gpus, found.cuda) == (gpus, cuda)


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f\nvmx flags\t: ept\nflags\t: other\n",
         {"fpu", "avx512f"}),
        ("processor\t: 0\nFeatures\t: fp asimd\n", {"fp", "asimd"}),
        ("processor\t: 0\n", set()),
    ],
)  # fmt: skip
def test_flags_of_the_cpu_are_those_of_its_first_core(
    text: str, flags: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    assert this_machine().cpu_flags == flags


def test_a_machine_without_proc_has_no_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_: Any, **__: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", unreadable)
    assert this_machine().cpu_flags == frozenset()


def test_this_machine_is_seen() -> None:
    found = this_machine()
    assert found.architecture == os.uname().machine
    assert found.cpu_flags


def test_a_gpu_is_shown_where_its_device_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "NVIDIA_DEVICE", tmp_path / "nvidiactl")
    assert not this_machine().gpu_shown
    (tmp_path / "nvidiactl").touch()
    assert this_machine().gpu_shown


def test_a_repository_that_says_nothing_of_hardware_is_served_as_it_is(tmp_path: Path) -> None:
    result = run(tmp_path, MODEL_REPOSITORY_IMAGE="1")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_command_ends_with_1_and_one_line_where_something_is_lacking(repository: Path) -> None:
    line = error_line(run(repository))
    assert "made for cuda, fp16, but the CPU has none of abacus; --allow-fallback" in line


def test_the_command_prints_the_fallback_that_was_allowed(repository: Path) -> None:
    result = run(repository, "--allow-fallback")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{FALLBACK}\n", "")


def test_the_command_prints_an_empty_line_where_nothing_is_lacking(repository: Path) -> None:
    (repository / HARDWARE_FILE).write_text(json.dumps(hardware(NOTHING)), encoding="utf-8")
    result = run(repository, MODEL_REPOSITORY_IMAGE="0")
    assert (result.returncode, result.stdout, result.stderr) == (0, "\n", "")


def test_the_command_takes_no_fallback_where_there_is_none(repository: Path) -> None:
    text = json.dumps(hardware(IMPOSSIBLE, fallback=False))
    (repository / HARDWARE_FILE).write_text(text, encoding="utf-8")
    line = error_line(run(repository, "--allow-fallback"))
    assert "no other way to serve it was built in" in line


@pytest.mark.parametrize("content", [b"", b'{"hardware": "cuda",', b"\xff\xfe", b"[\n\nnone\n]"])
def test_a_damaged_hardware_json_ends_the_command_with_one_line_that_names_it(
    content: bytes, repository: Path
) -> None:
    (repository / HARDWARE_FILE).write_bytes(content)
    for words in ([], ["--allow-fallback"]):
        line = error_line(run(repository, *words))
        assert line.startswith(f"error: {repository / HARDWARE_FILE}: cannot be read: ")


def test_a_hardware_json_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    (tmp_path / HARDWARE_FILE).mkdir()
    line = error_line(run(tmp_path))
    assert line.startswith(f"error: {tmp_path / HARDWARE_FILE}: cannot be read: ")


def test_builds_look_with_the_same_eyes() -> None:
    assert build_side.missing is missing
    assert build_side.FALLBACK == FALLBACK
