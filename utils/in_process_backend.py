"""The Python backend of the embedded server, compiled.

By a compiler out of a hash-locked wheel: the same one on every machine, for whatever machine the
image is for, and so the same bytes.
"""

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from utils.errors import UserError
from utils.folders import cached_folder, short_key
from utils.snapshot import file_digest
from utils.wheels import Wheels, download_wheels, unpack_program

SOURCE = Path(__file__).resolve().parents[1] / "backends" / "python"
LIBRARY = "libtriton_python.so"

# Of the oldest system that Triton 24.10's own files run on.
GLIBC = "2.31"

OPTIONS = (
    *("-std=c11", "-O2", "-s", "-shared", "-fPIC", "-fvisibility=hidden"),
    *("-Wall", "-Wextra", "-Werror"),
    # Triton's functions are the server's.
    "-Wl,-z,undefs",
)


def compiled_backend(cache: Path, machine: str, python_version: str) -> Path:
    """libtriton_python.so for a machine (as `uname -m` names it) and a version of Python.

    Raises:
        UserError: the compiler cannot be downloaded, or fails.
    """
    sources = sorted(SOURCE.glob("*.[ch]"))
    lock_file = SOURCE / "requirements.txt"
    digests = [file_digest(path) for path in (Path(__file__), lock_file, *sources)]
    key = short_key(*digests, machine, python_version)

    def fill(target: Path) -> None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        wheels = Wheels(lock_file, platform.machine(), version)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            compiler = Path(scratch, "compiler")
            unpack_program(wheels, download_wheels(wheels, cache), compiler)
            zig = compiler / "ziglang" / "zig"
            zig.chmod(0o755)
            _compile(zig, machine, python_version, target / LIBRARY)

    return cached_folder(cache / "backends", key, fill) / LIBRARY


def _compile(zig: Path, machine: str, python_version: str, target: Path) -> None:
    caches = {f"ZIG_{kind}_CACHE_DIR": str(zig.parent / "cache") for kind in ("GLOBAL", "LOCAL")}
    command: list[str | Path] = [
        *(zig, "cc", "-target", f"{machine}-linux-gnu.{GLIBC}", *OPTIONS),
        f'-DPYTHON_LIBRARY="libpython{python_version}.so.1.0"',
        *("-o", target, "in_process.c"),
    ]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=SOURCE,
        env={**os.environ, **caches},
    )
    if done.returncode:
        raise UserError(SOURCE / "in_process.c", f"does not compile: {done.stderr.strip()}")
