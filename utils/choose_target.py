#!/usr/bin/env python3
"""Settle what an image is made for, and print it as shell assignments.

utils/choose_target.py --hardware cuda --precision fp16 -o target.env

Profiles are the folders under hardware/, servers those under server/. What does not go together
ends with 2 and says what does.
"""

import argparse
import shlex
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.errors import run_command
from utils.output import write_result
from utils.targets.choice import Target, Wish, choose
from utils.targets.machine import this_machine


def assignments(target: Target) -> dict[str, str]:
    """What the steps of a build need to know, by name."""
    return {
        "HARDWARE": target.profile.name,
        "EMBEDDED": target.embedded,
        "PLAIN": str(int(target.plain)),
        "PRECISIONS": " ".join(target.precisions),
        "GPU": str(int(target.profile.gpu)),
        "FOREIGN": str(int(target.foreign)),
        "LACKS": target.lacks,
        "PLATFORM": target.platform,
        "SERVER": target.server.name,
        "SERVER_RELEASE": target.release,
        "DOCKERFILE": str(target.server.dockerfile),
        "BASE_IMAGE": target.base_image,
        "SLIM_BASE": target.slim_base,
        "PROVIDERS": " ".join(target.profile.providers),
        "BASE_SUITE": target.suite,
        "BASE_PACKAGES": " ".join(target.server.packages),
    }


def main() -> None:
    """Print or write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--hardware", default="cpu", help="profile, or auto: what this machine has (cpu)")
    add("--precision", default="", help="of the profile's, or auto: the fastest that will do")
    add("--server", default="", metavar="NAME[:RELEASE]", help="what the image is built on")
    add("--platform", default="", help="linux/amd64 or linux/arm64 (this machine's)")
    add("--registry", default="", metavar="PREFIX", help="take base images from there")
    add("-o", "--output", type=Path, help="write here instead of stdout")
    arguments = parser.parse_args()
    target = choose(
        Wish(
            hardware=arguments.hardware,
            precision=arguments.precision,
            server=arguments.server,
            platform=arguments.platform,
            registry=arguments.registry,
        ),
        this_machine(),
    )
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in assignments(target).items())
    write_result(text, arguments.output)


if __name__ == "__main__":
    run_command(main)
