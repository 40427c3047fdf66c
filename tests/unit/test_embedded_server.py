"""utils/embedded_server.py: where the parts of the server come to lie, with packages made here."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.commands import ROOT
from utils import embedded_server as module
from utils.embedded_server import Variant, copy_folder, lay_out
from utils.targets.profiles import Profile, read_profile
from utils.wheels import Wheels

PYTHON = Path("/usr/bin/python3.11")
SHARED = {
    "cpu_budget.py",
    "own_modules.py",
    "model_parameters.py",
    "served_graph.py",
    "tensor_checks.py",
}
UNPACKED = (
    "bin/f2py",
    "numpy/core/tests/test_core.py",
    "numpy/f2py/main.py",
    "numpy/core.py",
    "nvidia_pytriton.libs/libboost.so",
    "nvidia_pytriton.libs/libpython3.13.so.1.0",
    "pytriton/__init__.py",
    "pytriton/tritonserver/bin/tritonserver",
    "pytriton/tritonserver/backends/python/libtriton_python.so",
    "pytriton/tritonserver/backends/python/triton_python_backend_utils.py",
    "pytriton/tritonserver/python_backend_stubs/3.11/triton_python_backend_stub",
)


@pytest.fixture
def profile() -> Profile:
    """The CPU's, whose packages have nothing superfluous but NumPy's."""
    return replace(read_profile("cpu"), superfluous=(), libraries=())


@pytest.fixture
def tree(tmp_path: Path, profile: Profile, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server, laid out."""

    def unpack(_: Wheels, folder: Path, target: Path) -> None:
        assert folder == Path("/wheels")
        for name in UNPACKED:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text("official")

    monkeypatch.setattr(module, "unpack_wheels", unpack)
    compiled = tmp_path / "libtriton_python.so"
    compiled.write_text("compiled")
    folder = tmp_path / "tree"
    folder.mkdir()
    variant = Variant(profile, "x86_64", "3.11", PYTHON, None)
    lay_out(folder, Path("/wheels"), compiled, variant)
    return folder


def names(folder: Path) -> set[str]:
    """Of the files in a folder."""
    return {path.name for path in folder.iterdir()}


def test_the_python_backend_is_our_own_without_its_sources(tree: Path) -> None:
    folder = tree / "backends" / "python"
    assert names(folder) == SHARED | {
        "libtriton_python.so",
        "in_process.py",
        "triton_native.py",
        "triton_python_backend_utils.py",
    }
    assert (folder / "libtriton_python.so").read_text() == "compiled"
    own = ROOT / "backends" / "python" / "triton_python_backend_utils.py"
    assert (folder / own.name).read_bytes() == own.read_bytes()


def test_there_is_the_backend_of_joined_steps_and_those_of_the_profile(tree: Path) -> None:
    assert names(tree / "backends") == {"python", "classifier", "onnxruntime"}
    classifier = {"model.py", "grouping.py", "memory.py", "pipeline.py", "steps.py"}
    assert names(tree / "backends" / "classifier") == SHARED | classifier
    assert names(tree / "backends" / "onnxruntime") >= SHARED | {"model.py"}


def test_of_the_servers_package_only_the_server_and_its_libraries_stay(tree: Path) -> None:
    site_packages = tree / "python" / "lib" / "python3.11" / "site-packages"
    assert names(site_packages) == {"numpy"}
    assert names(tree / "lib") == {"libboost.so"}
    assert (tree / "bin" / "tritonserver").read_text() == "official"


def test_all_commands_can_be_run(tree: Path) -> None:
    assert {"tritonserver", "serve"} <= names(tree / "bin")
    assert all(os.access(path, os.X_OK) for path in (tree / "bin").iterdir())


def test_its_python_is_the_one_that_was_named(tree: Path) -> None:
    assert (tree / "python" / "bin" / "python3").readlink() == PYTHON
    assert "home = /usr/bin\n" in (tree / "python" / "pyvenv.cfg").read_text()


def test_a_folder_is_copied_without_bytecode_and_what_is_left_out(tmp_path: Path) -> None:
    for name in ("a.py", "a.c", "a.h", "a.txt", "__pycache__/a.pyc"):
        (tmp_path / "from" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "from" / name).touch()
    copy_folder(tmp_path / "from", tmp_path / "to", "*.[ch]")
    assert names(tmp_path / "to") == {"a.py", "a.txt"}


Tree = Callable[[], Path]


@pytest.fixture
def cached(tmp_path: Path, profile: Profile, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """The cached tree, with nothing in it, of a copy of what decides what it is."""
    lock_file = tmp_path / "requirements.txt"
    lock_file.write_text("nothing")
    (tmp_path / "utils").mkdir()
    (tmp_path / "backends" / "python").mkdir(parents=True)
    for name in ("utils/embedded_server.py", "utils/in_process_backend.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "backends" / "python" / "in_process.c").write_text("")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "utils" / "embedded_server.py"))
    monkeypatch.setattr(module, "download_wheels", lambda *_: Path("/wheels"))
    monkeypatch.setattr(module, "compiled_backend", lambda *_: Path("/library.so"))
    monkeypatch.setattr(module, "lay_out", lambda *_: None)
    monkeypatch.setattr(Profile, "lock_file", lock_file)
    return lambda: module.server_for_image(tmp_path / "cache", profile, "x86_64")


@pytest.mark.parametrize(
    "name",
    ["backends/python/in_process.c", "utils/embedded_server.py", "utils/in_process_backend.py"],
)
def test_a_change_of_what_the_server_is_made_with_makes_another_tree(
    name: str, cached: Tree, tmp_path: Path
) -> None:
    before = cached()
    assert cached() == before
    (tmp_path / name).write_text("changed")
    assert cached() != before
