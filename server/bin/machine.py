#!/usr/bin/env python3
"""What this machine has, and whether it is what a model repository was made for.

Usage: machine.py REPOSITORY [--allow-fallback]

Reads hardware.json of the repository, if there is one. Exits with 0 on a machine that has what the
repository needs, after printing the name of the configuration to serve, if it is another than the
first choice; with 1 and one error line on a machine that lacks it. Only the standard library: this
file is part of the images too.
"""

import ctypes
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FALLBACK = "fallback"

# What the NVIDIA container toolkit shows to a container that was given a GPU.
NVIDIA_DEVICE = Path("/dev/nvidiactl")

# Set in images of ours: on the host itself a GPU that a CPU model leaves alone is nothing unusual.
CONTAINER_VARIABLE = "MODEL_REPOSITORY_IMAGE"


@dataclass(frozen=True)
class Machine:
    """What hardware profiles ask for.

    Attributes:
        architecture: as `uname -m` names it.
        cpu_flags: of /proc/cpuinfo.
        gpus: number of NVIDIA GPUs that a process may use.
        cuda: newest version of CUDA that the driver serves, (major, minor); None without a driver.
        gpu_shown: whether a GPU was given to this container.
    """

    architecture: str
    cpu_flags: frozenset[str]
    gpus: int
    cuda: tuple[int, int] | None
    gpu_shown: bool


def this_machine() -> Machine:
    """Ask the kernel and, where there is one, NVIDIA's driver."""
    gpus, cuda = _nvidia()
    return Machine(platform.machine(), _cpu_flags(), gpus, cuda, NVIDIA_DEVICE.exists())


def missing(machine: Machine, needs: Mapping[str, Any]) -> str:
    """What a machine lacks of what is needed, in words; "" for nothing.

    Args:
        machine: the machine.
        needs: `gpu` (true or false), `cuda` ("13.0", the oldest that the driver may serve) and
            `cpu_flags` (one of them is enough); what is left out is not needed.
    """
    if needs.get("gpu"):
        if machine.cuda is None:
            return "no NVIDIA driver is visible (docker run --gpus all, on a machine with a GPU)"
        if not machine.gpus:
            return "the NVIDIA driver sees no GPU (docker run --gpus all)"
        oldest = tuple(int(part) for part in needs.get("cuda", "0.0").split("."))
        if machine.cuda < oldest:
            return (
                f"the NVIDIA driver serves CUDA {machine.cuda[0]}.{machine.cuda[1]},"
                f" {needs['cuda']} is needed (a newer driver)"
            )
    flags = needs.get("cpu_flags", [])
    if flags and machine.cpu_flags.isdisjoint(flags):
        return f"the CPU has none of {', '.join(flags)}"
    return ""


def configuration(
    hardware: Mapping[str, Any], machine: Machine, in_container: bool, allow_fallback: bool
) -> str:
    """The name of the configuration to serve; "" for the first choice.

    Args:
        hardware: what hardware.json says.
        machine: this one.
        in_container: whether it is a container of an image of ours.
        allow_fallback: whether the user takes less than the repository was made for.

    Raises:
        SystemExit: the machine is another than the repository was made for; with one error line.
    """
    name = f"{hardware['hardware']}, {hardware['precision']}"
    lacks = missing(machine, hardware["needs"])
    if lacks and not hardware["fallback"]:
        raise SystemExit(
            f"error: hardware: made for {name}, but {lacks};"
            " no other way to serve it was built in (build with --precision fp32)"
        )
    if lacks and not allow_fallback:
        raise SystemExit(
            f"error: hardware: made for {name}, but {lacks};"
            " --allow-fallback serves on the CPU instead"
        )
    unused = in_container and machine.gpu_shown and not hardware["needs"].get("gpu")
    if unused and not allow_fallback:
        raise SystemExit(
            f"error: hardware: made for {name}, but this container was given a GPU that it would"
            " not use (run it without --gpus, or build with --hardware cuda);"
            " --allow-fallback serves on the CPU"
        )
    return FALLBACK if lacks else ""


def _cpu_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    # x86 says flags, arm64 Features.
    found = [line for line in lines if line.startswith(("flags", "Features"))]
    return frozenset(found[0].partition(":")[2].split()) if found else frozenset()


def _nvidia() -> tuple[int, tuple[int, int] | None]:
    """Number of GPUs and version of CUDA, from the driver API (cuda.h)."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0, None
    version, count = ctypes.c_int(0), ctypes.c_int(0)
    try:
        driver.cuDriverGetVersion(ctypes.byref(version))
    except AttributeError:
        # Some other library of that name.
        return 0, None
    cuda = (version.value // 1000, version.value % 1000 // 10)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0, cuda
    return count.value, cuda


def main() -> None:
    """Check this machine against a repository."""
    repository = Path(sys.argv[1])
    try:
        hardware = json.loads((repository / "hardware.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        # A repository from elsewhere says nothing about machines.
        return
    except (OSError, ValueError) as error:
        raise SystemExit(
            f"error: {repository / 'hardware.json'}: cannot be read: {error}"
        ) from error
    try:
        name = configuration(
            hardware,
            this_machine(),
            os.environ.get(CONTAINER_VARIABLE) == "1",
            "--allow-fallback" in sys.argv[2:],
        )
    except (KeyError, TypeError) as error:
        raise SystemExit(
            f"error: {repository / 'hardware.json'}: of another form (render the repository again)"
        ) from error
    print(name)


if __name__ == "__main__":
    main()
