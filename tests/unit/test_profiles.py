"""Hardware profiles are data that the Dockerfile repeats for builds by hand."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def assigned(file: str, name: str) -> str:
    """The value of NAME=value, quoted or not, in a profile or an ARG line."""
    found = re.search(rf"^(?:ARG )?{name}=(.+)$", (ROOT / file).read_text("utf-8"), re.MULTILINE)
    assert found, f"{file} does not set {name}"
    return found[1].strip('"')


def test_the_dockerfile_defaults_to_the_base_image_of_the_cpu_profile() -> None:
    assert assigned("Dockerfile", "BASE_IMAGE") == assigned("hardware/cpu.env", "BASE_IMAGE")


def test_the_dockerfile_installs_the_packages_that_a_bootstrapped_base_has() -> None:
    assert assigned("Dockerfile", "BASE_PACKAGES") == assigned("hardware/cpu.env", "BASE_PACKAGES")
