#!/usr/bin/env python3
"""Put what an image needs under /opt/tritonserver into a new folder, at that path.

The embedded server whole; to NVIDIA's images only what they lack: the packages of the Python
steps, and how to start and ask a server.
"""

import argparse
import os
import platform
import shutil
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.embedded_server import ROOT, server_for_image
from utils.errors import UsageError, run_command
from utils.targets.choice import PLATFORMS
from utils.targets.profiles import profile_names, read_profile
from utils.targets.servers import SERVERS, read_server, server_names
from utils.wheels import Wheels, download_wheels, unpack_wheels

# Of the folder, as of the image.
HOME = Path("opt", "tritonserver")

# Where the Dockerfiles of NVIDIA's images tell Python to look.
PACKAGES = "packages"


def copy_tree(tree: Path, target: Path) -> None:
    """Copy a folder that nobody writes to: by links where the file system can."""
    shutil.copytree(tree, target, symlinks=True, copy_function=_link_or_copy)


def write_additions(lock_file: Path, machine: str, cache: Path, target: Path) -> None:
    """What one of NVIDIA's images lacks.

    Args:
        lock_file: packages; they have to fit any Python 3.
        machine: of the image, as `uname -m` names it.
        cache: of wheels.
        target: new folder.
    """
    wheels, home = Wheels(lock_file, machine, "3.12"), target / HOME
    unpack_wheels(wheels, download_wheels(wheels, cache), home / PACKAGES)
    shutil.rmtree(home / PACKAGES / "bin", ignore_errors=True)
    # They have no front, nor what starts it.
    left_out = shutil.ignore_patterns("__pycache__", "supervise.py")
    shutil.copytree(SERVERS / "bin", home / "bin", ignore=left_out)
    for path in (home / "bin").iterdir():
        path.chmod(0o755)
    # Whatever the umask was: the image's user owns none of them.
    for path in [target, *target.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    # What the Dockerfile runs, if anything.
    for script in lock_file.parent.glob("*.sh"):
        shutil.copy(script, target)


def _machine(platform_name: str) -> str:
    names = {name: machine for machine, name in PLATFORMS.items()}
    if platform_name and platform_name not in names:
        raise UsageError(f"--platform {platform_name}", f"is none of {', '.join(names)}")
    return names[platform_name] if platform_name else platform.machine()


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def main() -> None:
    """Fill the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help="new folder")
    parser.add_argument("--server", choices=server_names(), default="embedded")
    parser.add_argument("--hardware", choices=profile_names(), default="cpu")
    parser.add_argument("--platform", default="", help="of the image (this machine's)")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache", help="default: .cache")
    arguments = parser.parse_args()
    cache, machine = arguments.cache.absolute(), _machine(arguments.platform)
    server = read_server(arguments.server)
    if server.lock_file.is_file():
        write_additions(server.lock_file, machine, cache, arguments.target)
    else:
        copy_tree(
            server_for_image(cache, read_profile(arguments.hardware), machine),
            arguments.target / HOME,
        )


if __name__ == "__main__":
    run_command(main)
