#!/usr/bin/env python3
"""Lay out the embedded Triton server in a folder, as it lies under /opt/tritonserver in images.

Wheels come from the package index with the hashes of requirements-server.txt and are unpacked
here, so that an image build needs neither network nor pip. Prints the folder.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.errors import UserError, run_command
from utils.folders import cached_folder
from utils.snapshot import file_digest

ROOT = Path(__file__).resolve().parents[1]
LOCK_FILE = ROOT / "requirements-server.txt"
OWN_FILES = ("server", "backends")

# NumPy 1.26 has wheels for these, and Triton's Python backend has stubs.
PYTHON_VERSIONS = ("3.11", "3.12")

# Newest glibc first; pip takes a wheel when one of these names matches.
PLATFORMS = ("manylinux_2_35", "manylinux_2_28", "manylinux_2_17", "manylinux2014")

# The Python in Debian 12, the base of the image.
IMAGE_PYTHON_VERSION = "3.11"
IMAGE_PYTHON = Path("/usr/bin/python3.11")

# Test suites and command line tools, of no use to a server.
SUPERFLUOUS = (
    "numpy/**/tests",
    "numpy/f2py",
    "onnxruntime/tools",
    "onnxruntime/quantization",
    "onnxruntime/transformers",
    "bin",
)


def lay_out(target: Path, wheels: Path, python_version: str, python: Path) -> None:
    """Fill an empty folder with bin/, lib/, backends/ and python/ (a virtual environment).

    Args:
        target: the folder to fill.
        wheels: folder of the wheels of requirements-server.txt.
        python_version: "3.11" or "3.12"; decides the backend's stub.
        python: the interpreter of that version where the server will run.
    """
    site_packages = target / "python" / "lib" / f"python{python_version}" / "site-packages"
    _pip(
        "install",
        "--quiet",
        "--no-index",
        f"--find-links={wheels}",
        "--no-compile",
        f"--target={site_packages}",
        *_selection(python_version),
    )
    for pattern in SUPERFLUOUS:
        for path in site_packages.glob(pattern):
            shutil.rmtree(path)

    # The stub becomes this environment by finding its python3 first on PATH.
    (target / "python" / "bin").mkdir()
    (target / "python" / "bin" / "python3").symlink_to(python)
    (target / "python" / "pyvenv.cfg").write_text(
        f"home = {python.parent}\ninclude-system-site-packages = false\n"
    )

    triton = site_packages / "pytriton" / "tritonserver"
    stub = triton / "python_backend_stubs" / python_version / "triton_python_backend_stub"
    (target / "bin").mkdir()
    shutil.move(triton / "bin" / "tritonserver", target / "bin" / "tritonserver")
    shutil.move(site_packages / "nvidia_pytriton.libs", target / "lib")
    shutil.move(triton / "backends", target / "backends")
    shutil.move(stub, target / "backends" / "python" / stub.name)
    shutil.rmtree(site_packages / "pytriton")
    # For the stub of Python 3.13, which is not used.
    for path in (target / "lib").glob("libpython3*"):
        path.unlink()

    for own, place in (("server/bin", "bin"), ("backends", "backends")):
        shutil.copytree(
            ROOT / own,
            target / place,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    shutil.copy(ROOT / "server" / "sitecustomize.py", site_packages)
    for path in (target / "bin").iterdir():
        path.chmod(0o755)
    (target / "backends" / "python" / stub.name).chmod(0o755)


def server_for_image(cache: Path) -> Path:
    """The tree to copy into an image whose base has Debian's python3.11 and libpython3.11."""
    return _cached_tree(cache, IMAGE_PYTHON_VERSION, IMAGE_PYTHON, None)


def server_for_host(cache: Path) -> Path:
    """The tree that runs right here, on this interpreter's version of Python.

    Raises:
        UserError: no wheels for this version of Python, or it came without a shared library.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version not in PYTHON_VERSIONS:
        raise UserError(
            "embedded server",
            f"runs on Python {' and '.join(PYTHON_VERSIONS)}, this is {version}",
            "make setup PYTHON=python3.11",
        )
    # A virtual environment's own python3 would lead the stub to that environment's packages.
    base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    return _cached_tree(cache, version, base, _libpython(version))


def _cached_tree(cache: Path, version: str, python: Path, libpython: Path | None) -> Path:
    own = [path for name in OWN_FILES for path in sorted((ROOT / name).rglob("*"))]
    files = [LOCK_FILE, Path(__file__), *(p for p in own if p.is_file() and p.suffix != ".pyc")]
    digests = [f"{path.relative_to(ROOT)} {file_digest(path)}" for path in files]
    key = _digest([*digests, version, str(python), str(libpython)])

    def fill(target: Path) -> None:
        wheels = cached_folder(
            cache / "wheels",
            _digest([file_digest(LOCK_FILE), version]),
            lambda folder: _pip("download", "--quiet", f"--dest={folder}", *_selection(version)),
        )
        lay_out(target, wheels, version, python)
        if libpython:
            (target / "lib" / libpython.name).symlink_to(libpython)

    return cached_folder(cache / "server", key, fill)


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _selection(python_version: str) -> list[str]:
    return [
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={python_version}",
        *(
            f"--platform={platform}_{sysconfig.get_platform().rpartition('-')[2]}"
            for platform in PLATFORMS
        ),
        f"--requirement={LOCK_FILE}",
    ]


def _pip(*arguments: str) -> None:
    """Run pip; its own words go into the error.

    Raises:
        UserError: pip failed; the last line that it wrote is in the message.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        last = (errors or done.stderr.splitlines() or ["no reason given"])[-1]
        raise UserError("pip", last.removeprefix("ERROR: "), "is the package index in reach?")


def _libpython(version: str) -> Path:
    name = f"libpython{version}.so.1.0"
    for folder in (sysconfig.get_config_var("LIBDIR"), "/usr/lib/x86_64-linux-gnu", "/usr/lib64"):
        if folder and (Path(folder) / name).is_file():
            return Path(folder) / name
    raise UserError("embedded server", f"{name} not found", f"apt-get install libpython{version}")


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def main() -> None:
    """Lay out the tree unless it is there already, and print where it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--for", dest="place", choices=("host", "image"), default="host")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache", help="default: .cache")
    parser.add_argument("--copy-to", type=Path, help="copy the tree to this new folder")
    arguments = parser.parse_args()
    make = server_for_host if arguments.place == "host" else server_for_image
    tree = make(arguments.cache.absolute())
    if arguments.copy_to:
        # Links where the file system can: the tree is large and nobody writes to it.
        shutil.copytree(tree, arguments.copy_to, symlinks=True, copy_function=_link_or_copy)
    print(arguments.copy_to or tree)


if __name__ == "__main__":
    run_command(main)
