"""utils/wheels.py, with wheels that are made here instead of a package index."""

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from utils import wheels as module
from utils.errors import UserError
from utils.wheels import Wheels, download_wheels, unpack_program, unpack_wheels

Offline = Callable[[str], Path]


def write_wheel(folder: Path, name: str, tag: str) -> str:
    """A wheel with one module; returns its hash."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-{tag}.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "VALUE = 1\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip looks into."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("PIP_CONFIG_FILE", raising=False)
    return folder


def locked(tmp_path: Path, digest: str, name: str = "tiny") -> Wheels:
    """That wheel by its hash, for another machine than this one."""
    lock_file = tmp_path / "requirements.txt"
    lock_file.write_text(f"{name}==1.0 \\\n    --hash=sha256:{digest}\n")
    return Wheels(lock_file, "aarch64", "3.12")


def test_wheels_are_downloaded_for_the_machine_and_python_that_were_asked_for(
    index: Path, tmp_path: Path
) -> None:
    wheels = locked(tmp_path, write_wheel(index, "tiny", "cp312-cp312-manylinux_2_28_aarch64"))
    folder = download_wheels(wheels, tmp_path / "cache")
    assert folder.parent == tmp_path / "cache" / "wheels"
    assert [path.name for path in folder.iterdir()] == [
        "tiny-1.0-cp312-cp312-manylinux_2_28_aarch64.whl"
    ]
    unpack_wheels(wheels, folder, tmp_path / "packages")
    assert (tmp_path / "packages" / "tiny.py").read_text() == "VALUE = 1\n"
    assert not list((tmp_path / "packages").rglob("*.pyc"))


def test_a_wheel_for_another_machine_is_refused_in_one_line(index: Path, tmp_path: Path) -> None:
    wheels = locked(tmp_path, write_wheel(index, "tiny", "cp312-cp312-manylinux_2_28_x86_64"))
    with pytest.raises(UserError, match=r"^pip: No matching distribution found for tiny==1\.0"):
        download_wheels(wheels, tmp_path / "cache")
    assert list((tmp_path / "cache" / "wheels").iterdir()) == []


def test_a_wheel_with_another_hash_is_refused(index: Path, tmp_path: Path) -> None:
    write_wheel(index, "tiny", "py3-none-any")
    with pytest.raises(UserError, match=r"^pip: .* \(is the package index in reach\?\)$"):
        download_wheels(locked(tmp_path, "0" * 64), tmp_path / "cache")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What pip is asked, instead of asking it."""
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(module, "_pip", lambda *words: calls.append(words))
    return calls


def test_wheels_are_downloaded_once(tmp_path: Path, calls: list[tuple[str, ...]]) -> None:
    wheels = locked(tmp_path, "0" * 64)
    first = download_wheels(wheels, tmp_path / "cache")
    assert download_wheels(wheels, tmp_path / "cache") == first
    assert len(calls) == 1


def test_another_lock_file_machine_or_python_has_a_folder_of_its_own(
    tmp_path: Path, calls: list[tuple[str, ...]]
) -> None:
    wheels = locked(tmp_path, "0" * 64)
    (tmp_path / "other.txt").write_text("other==1.0 --hash=sha256:00\n")
    others = [
        replace(wheels, machine="x86_64"),
        replace(wheels, python_version="3.11"),
        replace(wheels, lock_file=tmp_path / "other.txt"),
    ]
    folders = {download_wheels(item, tmp_path / "cache") for item in [wheels, *others]}
    assert len(folders) == len(calls) == 4


def test_pip_takes_nothing_but_locked_wheels_that_an_old_system_can_run(
    tmp_path: Path, calls: list[tuple[str, ...]]
) -> None:
    wheels = locked(tmp_path, "0" * 64)
    unpack_wheels(wheels, download_wheels(wheels, tmp_path / "cache"), tmp_path / "packages")
    for words in calls:
        assert {"--no-deps", "--require-hashes", "--only-binary=:all:"} <= set(words)
        assert "--python-version=3.12" in words
        assert "--platform=manylinux_2_28_aarch64" in words
        assert "--platform=manylinux2014_aarch64" in words
        assert f"--requirement={wheels.lock_file}" in words
    assert "--no-index" in calls[1]


def test_a_program_is_unpacked_as_it_is(index: Path, tmp_path: Path) -> None:
    wheels = locked(tmp_path, write_wheel(index, "tiny", "py3-none-any"))
    unpack_program(wheels, index, tmp_path / "program")
    assert (tmp_path / "program" / "tiny.py").read_text() == "VALUE = 1\n"


def test_a_program_that_is_not_the_locked_one_is_not_unpacked(index: Path, tmp_path: Path) -> None:
    wheels = locked(tmp_path, write_wheel(index, "tiny", "py3-none-any"))
    with (index / "tiny-1.0-py3-none-any.whl").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(UserError, match=r"tiny-1\.0-py3-none-any\.whl: is not the one of"):
        unpack_program(wheels, index, tmp_path / "program")
    assert not (tmp_path / "program").exists()
