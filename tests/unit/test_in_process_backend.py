"""utils/in_process_backend.py, with a compiler that writes down what it is told, and its own."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.commands import ROOT
from utils import in_process_backend as module
from utils.errors import UserError
from utils.in_process_backend import LIBRARY, SOURCE, compiled_backend
from utils.wheels import Wheels, download_wheels

# Writes its arguments, one a line, and where it is, and where it keeps what it has compiled before.
ZIG = """\
#!/bin/sh
while [ $# -gt 0 ]; do
  printf '%s\\n' "$1" >>arguments
  [ "$1" != -o ] || target="$2"
  shift
done
printf '%s\\n' "$ZIG_LOCAL_CACHE_DIR" "$ZIG_GLOBAL_CACHE_DIR" >folders
cat arguments in_process.c >"$target"
rm arguments
printf 'run\\n' >>runs
"""
BROKEN = """\
#!/bin/sh
printf 'in_process.c:7:1: error: unknown type name\\n  nonsense\\n  ^\\n' >&2
exit 1
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources that may be changed."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("in_process.c", "triton.h", "requirements.txt"):
        shutil.copy(SOURCE / name, folder)
    monkeypatch.setattr(module, "SOURCE", folder)
    return folder


def fake_compiler(monkeypatch: pytest.MonkeyPatch, script: str) -> list[Wheels]:
    """A script in the place of the compiler; the wheels that it comes from."""
    unpacked: list[Wheels] = []

    def unpack(wheels: Wheels, _: Path, target: Path) -> None:
        unpacked.append(wheels)
        zig = target / "ziglang" / "zig"
        zig.parent.mkdir(parents=True)
        zig.write_text(script)

    monkeypatch.setattr(module, "download_wheels", lambda *_: Path("/wheels"))
    monkeypatch.setattr(module, "unpack_program", unpack)
    return unpacked


@pytest.fixture
def wheels(source: Path, monkeypatch: pytest.MonkeyPatch) -> list[Wheels]:
    """What was unpacked; each time there is a compiler."""
    assert source == module.SOURCE
    return fake_compiler(monkeypatch, ZIG)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An empty cache."""
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.mark.usefixtures("wheels")
def test_the_library_is_for_that_machine_and_python_on_an_old_system(cache: Path) -> None:
    library = compiled_backend(cache, "aarch64", "3.12")
    assert library.name == LIBRARY
    words = library.read_text().splitlines()
    assert words[:3] == ["cc", "-target", "aarch64-linux-gnu.2.31"]
    assert '-DPYTHON_LIBRARY="libpython3.12.so.1.0"' in words
    assert {"-shared", "-fPIC", "-Werror"} <= set(words)


def test_the_compiler_is_the_locked_one_for_this_machine_whatever_the_library_is_for(
    wheels: list[Wheels], source: Path, cache: Path
) -> None:
    compiled_backend(cache, "aarch64", "3.12")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert wheels == [Wheels(source / "requirements.txt", platform.machine(), version)]


@pytest.mark.usefixtures("wheels")
def test_neither_the_compiler_nor_what_it_keeps_stays(source: Path, cache: Path) -> None:
    library = compiled_backend(cache, "x86_64", "3.11")
    assert [path for path in cache.rglob("*") if path.is_file()] == [library]
    for folder in (source / "folders").read_text().splitlines():
        assert Path(folder).is_relative_to(cache)
        assert not Path(folder).exists()


@pytest.mark.usefixtures("wheels")
def test_it_is_compiled_once(source: Path, cache: Path) -> None:
    first = compiled_backend(cache, "x86_64", "3.11")
    assert compiled_backend(cache, "x86_64", "3.11") == first
    assert (source / "runs").read_text() == "run\n"


@pytest.mark.usefixtures("wheels")
def test_another_machine_or_python_has_a_library_of_its_own(cache: Path) -> None:
    kinds = (("x86_64", "3.11"), ("x86_64", "3.12"), ("aarch64", "3.11"))
    assert len({compiled_backend(cache, *kind) for kind in kinds}) == 3


@pytest.mark.usefixtures("wheels")
@pytest.mark.parametrize("name", ["in_process.c", "triton.h", "requirements.txt"])
def test_another_source_or_compiler_makes_another_library(
    name: str, source: Path, cache: Path
) -> None:
    before = compiled_backend(cache, "x86_64", "3.11")
    with (source / name).open("a") as file:
        file.write("\n")
    assert compiled_backend(cache, "x86_64", "3.11") != before


@pytest.mark.usefixtures("wheels")
def test_a_file_that_is_not_compiled_makes_no_other_library(source: Path, cache: Path) -> None:
    before = compiled_backend(cache, "x86_64", "3.11")
    (source / "in_process.py").write_text("")
    assert compiled_backend(cache, "x86_64", "3.11") == before


def test_a_source_that_does_not_compile_is_one_line_and_leaves_nothing(
    source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_compiler(monkeypatch, BROKEN)
    with pytest.raises(UserError) as caught:
        compiled_backend(cache, "x86_64", "3.11")
    assert str(caught.value) == (
        f"{source}/in_process.c: does not compile:"
        " in_process.c:7:1: error: unknown type name nonsense ^"
    )
    assert [path for path in cache.rglob("*") if path.is_file()] == []


@pytest.fixture(scope="module")
def own_machine() -> Path:
    """The library for this machine, as the tests of the server have it too."""
    return compiled_backend(ROOT / ".cache", platform.machine(), "3.11")


@pytest.mark.server
def test_the_same_sources_are_the_same_bytes_wherever_they_are_compiled(
    own_machine: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module, "download_wheels", lambda wheels, _: download_wheels(wheels, ROOT / ".cache")
    )
    again = compiled_backend(cache, platform.machine(), "3.11")
    assert again.read_bytes() == own_machine.read_bytes()


@pytest.mark.server
@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("aarch64", 183)])
def test_a_library_is_for_the_machine_that_was_named(machine: str, number: int) -> None:
    header = compiled_backend(ROOT / ".cache", machine, "3.11").read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    assert int.from_bytes(header[18:20], "little") == number


@pytest.mark.server
def test_the_library_has_what_triton_calls_and_what_its_own_python_does(own_machine: Path) -> None:
    done = subprocess.run(
        ["nm", "--dynamic", "--defined-only", "--format=posix", own_machine],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {line.split()[0] for line in done.stdout.splitlines()} == {
        *("TRITONBACKEND_Initialize", "TRITONBACKEND_GetBackendAttribute"),
        *("TRITONBACKEND_ModelInstanceInitialize", "TRITONBACKEND_ModelInstanceFinalize"),
        "TRITONBACKEND_ModelInstanceExecute",
        *("register_host", "respond", "report_run", "is_cancelled", "log_message"),
    }
