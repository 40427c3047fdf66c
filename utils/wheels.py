"""Hash-locked wheels, downloaded once and unpacked without an installation."""

import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from utils.errors import UserError
from utils.folders import cached_folder, short_key
from utils.snapshot import file_digest

# Newest glibc first; pip takes a wheel when one of these names matches.
GLIBC_TAGS = (
    "manylinux_2_35",
    "manylinux_2_28",
    "manylinux_2_27",
    "manylinux_2_17",
    "manylinux2014",
    "manylinux_2_12",
)


@dataclass(frozen=True)
class Wheels:
    """Packages for one kind of machine.

    Attributes:
        lock_file: requirements with hashes; dependencies are not looked for.
        machine: as `uname -m` names it.
        python_version: such as 3.11.
    """

    lock_file: Path
    machine: str
    python_version: str


def download_wheels(wheels: Wheels, cache: Path) -> Path:
    """The folder of the wheels, filled from the package index if it is not there yet.

    Raises:
        UserError: pip failed; the last line that it wrote is in the message.
    """
    parts = [file_digest(wheels.lock_file), wheels.machine, wheels.python_version]
    return cached_folder(
        cache / "wheels",
        short_key(*parts),
        lambda folder: _pip("download", "--quiet", f"--dest={folder}", *_selection(wheels)),
    )


def unpack_wheels(wheels: Wheels, folder: Path, target: Path) -> None:
    """Unpack the wheels of `folder` to `target`, a site-packages folder.

    Raises:
        UserError: pip failed; the last line that it wrote is in the message.
    """
    _pip(
        "install",
        "--quiet",
        "--no-index",
        f"--find-links={folder}",
        "--no-compile",
        f"--target={target}",
        *_selection(wheels),
    )


def unpack_program(wheels: Wheels, folder: Path, target: Path) -> None:
    """Unpack the wheels of `folder` as they are, which is enough for what is no Python package.

    pip takes five times as long for the 20,000 files of a compiler.

    Raises:
        UserError: one of them is not locked.
    """
    locked = wheels.lock_file.read_text(encoding="utf-8")
    for wheel in folder.glob("*.whl"):
        if f"--hash=sha256:{file_digest(wheel)}" not in locked:
            raise UserError(
                wheel, f"is not the one of {wheels.lock_file.name}", "remove its folder"
            )
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)


def _selection(wheels: Wheels) -> list[str]:
    return [
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={wheels.python_version}",
        *(f"--platform={glibc}_{wheels.machine}" for glibc in GLIBC_TAGS),
        f"--requirement={wheels.lock_file}",
    ]


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        last = (errors or done.stderr.splitlines() or ["no reason given"])[-1]
        raise UserError("pip", last.removeprefix("ERROR: "), "is the package index in reach?")
