#!/usr/bin/env python3
"""Lay out the embedded Triton server in a folder, as it lies under /opt/tritonserver in images.

Wheels come from the package index with the hashes of the hardware profile's requirements.txt and
are unpacked here, so that an image build needs neither network nor pip. Prints the folder of the
server that runs on this machine; utils/server_files.py copies the one for an image.
"""

import argparse
import platform
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.errors import UsageError, UserError, run_command
from utils.folders import cached_folder, short_key
from utils.in_process_backend import compiled_backend
from utils.snapshot import file_digest
from utils.targets.profiles import Profile, profile_names, read_profile
from utils.targets.servers import read_server
from utils.vulnerabilities import note
from utils.wheels import Wheels, download_wheels, unpack_wheels

ROOT = Path(__file__).resolve().parents[1]
OWN_FILES = (
    *("server/bin", "server/front", "server/embedded", "backends"),
    *("utils/in_process_backend.py", "utils/vulnerabilities.py"),
)

# NumPy 1.26 has wheels for these.
PYTHON_VERSIONS = ("3.11", "3.12")

# The Python in Debian 12, the base of the image.
IMAGE_PYTHON_VERSION = "3.11"
IMAGE_PYTHON = Path("/usr/bin/python3.11")

# Test suites and command line tools, of no use to a server; profiles have more of their own.
SUPERFLUOUS = ("numpy/**/tests", "numpy/f2py", "bin")


@dataclass(frozen=True)
class Variant:
    """One layout of the server.

    Attributes:
        profile: the hardware; decides the packages.
        machine: as `uname -m` names it.
        python_version: "3.11" or "3.12".
        python: the interpreter of that version where the server will run.
        libpython: its shared library, unless the system finds it there.
    """

    profile: Profile
    machine: str
    python_version: str
    python: Path
    libpython: Path | None

    @property
    def wheels(self) -> Wheels:
        """The packages in it."""
        return Wheels(self.profile.lock_file, self.machine, self.python_version)

    @property
    def key(self) -> list[str]:
        """What decides the layout, but for files."""
        return [self.machine, self.python_version, str(self.python), str(self.libpython)]


def lay_out(target: Path, wheels: Path, backend: Path, variant: Variant) -> None:
    """Fill an empty folder with bin/, lib/, backends/ and python/ (a virtual environment).

    Args:
        target: the folder to fill.
        wheels: folder of the wheels of the profile.
        backend: the compiled Python backend.
        variant: which layout.
    """
    python_version, python = variant.python_version, variant.python
    site_packages = target / "python" / "lib" / f"python{python_version}" / "site-packages"
    unpack_wheels(variant.wheels, wheels, site_packages)
    (target / "lib").mkdir()
    for pattern in variant.profile.libraries:
        for path in sorted(site_packages.glob(pattern)):
            shutil.move(path, target / "lib" / path.name)
    remove_superfluous(site_packages, variant.profile)

    # The server's Python becomes this environment by finding its python3 first on PATH.
    (target / "python" / "bin").mkdir()
    (target / "python" / "bin" / "python3").symlink_to(python)
    (target / "python" / "pyvenv.cfg").write_text(
        f"home = {python.parent}\ninclude-system-site-packages = false\n"
    )

    (target / "bin").mkdir()
    tritonserver = site_packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"
    shutil.move(tritonserver, target / "bin" / "tritonserver")
    for path in (site_packages / "nvidia_pytriton.libs").iterdir():
        shutil.move(path, target / "lib" / path.name)
    (site_packages / "nvidia_pytriton.libs").rmdir()
    shutil.rmtree(site_packages / "pytriton")
    # For a stub that is not used.
    for path in (target / "lib").glob("libpython3*"):
        path.unlink()

    copy_folder(ROOT / "server" / "bin", target / "bin")
    # The template is for the document that every repository has of its own.
    copy_folder(ROOT / "server" / "front", target / "front", "openapi.json")
    for name in ("python", "classifier", *variant.profile.backends):
        # A backend's folder is all that Triton shows to its Python.
        for part in ("shared", name):
            copy_folder(ROOT / "backends" / part, target / "backends" / name, "*.[ch]", "*.txt")
    shutil.copy(backend, target / "backends" / "python")
    for path in (target / "bin").iterdir():
        path.chmod(0o755)
    (target / "vulnerabilities.md").write_text(note(read_server("embedded")), encoding="utf-8")


def remove_superfluous(site_packages: Path, profile: Profile) -> None:
    """Delete what no server needs; a pattern that finds nothing is out of date.

    Raises:
        UserError: names such a pattern.
    """
    needed = {path for pattern in profile.needed for path in site_packages.glob(pattern)}
    for pattern in (*SUPERFLUOUS, *profile.superfluous):
        found = set(site_packages.glob(pattern))
        if not found:
            raise UserError(profile.lock_file, f"no package has {pattern}", "profile.toml names it")
        for path in found - needed:
            # Another pattern may have taken the folder around it.
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.exists() or path.is_symlink():
                path.unlink()


def copy_folder(source: Path, target: Path, *but: str) -> None:
    """Add our own files to a folder of the tree, but for those of some patterns."""
    shutil.copytree(
        source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", *but)
    )


def server_for_image(cache: Path, profile: Profile, machine: str) -> Path:
    """The tree to copy into an image whose base has Debian's python3.11 and libpython3.11.

    Args:
        cache: of trees.
        profile: the hardware.
        machine: of the image, as `uname -m` names it.

    Raises:
        UsageError: the profile has no embedded server.
    """
    return _cached_tree(
        cache, Variant(profile, machine, IMAGE_PYTHON_VERSION, IMAGE_PYTHON, libpython=None)
    )


def server_for_host(cache: Path, profile: Profile) -> Path:
    """The tree that runs right here, on this interpreter's version of Python.

    Raises:
        UsageError: the profile has no embedded server.
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
    return _cached_tree(
        cache, Variant(profile, platform.machine(), version, base, _libpython(version))
    )


def _cached_tree(cache: Path, variant: Variant) -> Path:
    lock_file = variant.profile.lock_file
    if not lock_file.is_file():
        raise UsageError(
            f"--hardware {variant.profile.name}",
            "has no embedded server",
            "NVIDIA's images have what it needs: --server ngc",
        )
    own = [path for name in OWN_FILES for path in [ROOT / name, *sorted((ROOT / name).rglob("*"))]]
    files = [lock_file, Path(__file__), *(p for p in own if p.is_file() and p.suffix != ".pyc")]
    digests = [f"{path.relative_to(ROOT)} {file_digest(path)}" for path in files]

    def fill(target: Path) -> None:
        wheels = download_wheels(variant.wheels, cache)
        backend = compiled_backend(cache, variant.machine, variant.python_version)
        lay_out(target, wheels, backend, variant)
        if variant.libpython:
            (target / "lib" / variant.libpython.name).symlink_to(variant.libpython)

    return cached_folder(cache / "server", short_key(*digests, *variant.key), fill)


def _libpython(version: str) -> Path:
    name = f"libpython{version}.so.1.0"
    for folder in (sysconfig.get_config_var("LIBDIR"), "/usr/lib/x86_64-linux-gnu", "/usr/lib64"):
        if folder and (Path(folder) / name).is_file():
            return Path(folder) / name
    raise UserError("embedded server", f"{name} not found", f"apt-get install libpython{version}")


def main() -> None:
    """Lay out the tree for this machine unless it is there already, and print where it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hardware", choices=profile_names(), default="cpu")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache", help="default: .cache")
    arguments = parser.parse_args()
    print(server_for_host(arguments.cache.absolute(), read_profile(arguments.hardware)))


if __name__ == "__main__":
    run_command(main)
