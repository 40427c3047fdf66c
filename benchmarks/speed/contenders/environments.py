"""A virtual environment for each contender, made when it is first asked for.

Contenders need versions of the same packages that exclude each other, and none of them may meet the
product's own.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from utils.errors import UserError

MARKER = "complete"

READ_VERSIONS = (
    "import importlib.metadata, json, sys;"
    "print(json.dumps({name: importlib.metadata.version(name) for name in sys.argv[1:]}))"
)


def environment(folder: Path, cache: Path) -> Path:
    """The python of a contender's virtual environment under `cache`/environments.

    Args:
        folder: of the contender; what its requirements.txt names is installed.
        cache: where environments are kept.

    Raises:
        UserError: a package cannot be installed.
    """
    requirements = folder / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    home = cache.absolute() / "environments" / f"{folder.name}-{digest}"
    # Scripts name the folder that they were installed to, so it cannot be renamed into place; a
    # marker, written last, tells a whole one.
    if not (home / MARKER).exists():
        shutil.rmtree(home, ignore_errors=True)
        _fill(home, requirements)
        (home / MARKER).touch()
    return _python(home)


def versions(python: Path, packages: Iterable[str]) -> dict[str, str]:
    """The versions of packages in the environment of `python`, by name.

    Raises:
        UserError: one is not installed.
    """
    names = list(packages)
    # Without -P a folder named like a package, in the working directory, would be asked first.
    command = [str(python), "-P", "-c", READ_VERSIONS, *names]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise UserError(", ".join(names), "not all installed", result.stderr.strip()[-300:])
    found: dict[str, str] = json.loads(result.stdout)
    return found


def size_mb(python: Path, unserved: Collection[str]) -> float:
    """Disk space of the packages in the environment of `python`, in MB (10^6 bytes).

    Args:
        python: of the environment.
        unserved: patterns of packages that do not count.
    """
    (packages,) = python.parents[1].glob("lib/python3*/site-packages")
    left_out = {path for pattern in unserved for path in packages.glob(pattern)}
    blocks = 0
    for folder, folders, files in os.walk(packages):
        folders[:] = [name for name in folders if Path(folder, name) not in left_out]
        blocks += sum(os.lstat(Path(folder, name)).st_blocks for name in files)
    # stat(2): of 512 bytes.
    return blocks * 512 / 1e6


def _fill(home: Path, requirements: Path) -> None:
    base = getattr(sys, "_base_executable", sys.executable)
    subprocess.run([base, "-m", "venv", str(home)], check=True, stdout=sys.stderr)
    command = [str(_python(home)), "-m", "pip", "install", "--quiet"]
    options = ["--disable-pip-version-check", "--requirement", str(requirements)]
    result = subprocess.run([*command, *options], stdout=sys.stderr, check=False)
    if result.returncode != 0:
        raise UserError(requirements, "cannot be installed", "see above")


def _python(home: Path) -> Path:
    return home / "bin" / "python"
