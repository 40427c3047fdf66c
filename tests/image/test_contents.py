"""What is in an image, what it says of that, and what must not be in it."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.containers import docker, in_image, labels
from tests.image.conftest import Built, make_image
from tests.serving import ROOT, base_environment

pytestmark = pytest.mark.image

# What a server has no use for, and an intruder has.
TOOLS = (
    *("apt", "apt-get", "curl", "wget", "nc", "ncat", "ssh", "git", "gdb", "strace", "pip", "pip3"),
    *("gcc", "cc", "g++", "c++", "clang", "tcc", "zig", "make", "as", "ld", "go", "rustc", "node"),
)


@pytest.fixture(scope="module")
def bill(built: Built) -> dict[str, Any]:
    """The bill of materials that the image carries."""
    text = in_image(built.image, "cat", labels(built.image)["triton-image.sbom"])
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    return dict(json.loads(text))


def references(bill: dict[str, Any], start: str) -> set[str]:
    names = (part["bom-ref"] for part in bill["components"])
    return {name.removeprefix(start) for name in names if name.startswith(start)}


def test_every_package_of_the_image_is_in_its_bill_and_no_other(
    built: Built, bill: dict[str, Any]
) -> None:
    shown = in_image(
        built.image,
        "dpkg-query",
        "-W",
        "-f",
        "${db:Status-Status} ${binary:Package} ${Architecture}\n",
    )
    rows = [line.split() for line in shown.splitlines()]
    installed = {
        f"{name.partition(':')[0]}:{machine}"
        for state, name, machine in rows
        if state == "installed"
    }
    assert len(installed) > 50
    assert references(bill, "deb/") == installed


def test_every_python_package_of_the_image_is_in_its_bill_and_no_other(
    built: Built, bill: dict[str, Any]
) -> None:
    found = in_image(built.image, "find", "/", "-xdev", "-name", "*.dist-info").split()
    packages = {Path(path).name.partition("-")[0] for path in found}
    assert {name.replace("-", "_") for name in references(bill, "pypi/")} == packages


def test_the_digests_of_the_bill_are_those_of_the_images_files(
    built: Built, bill: dict[str, Any]
) -> None:
    model = next(part for part in bill["components"] if part["bom-ref"] == "model")
    stated = {
        f"/models/{part['name']}": part["hashes"][0]["content"] for part in model["components"]
    }
    shown = in_image(built.image, "find", "/models", "-type", "f", "-exec", "sha256sum", "{}", "+")
    found = {
        path: digest for digest, path in (line.split(maxsplit=1) for line in shown.splitlines())
    }
    assert stated == found


def test_the_image_carries_a_note_of_what_is_known_against_its_server(built: Built) -> None:
    shown = in_image(built.image, "cat", "/opt/tritonserver/vulnerabilities.md")
    assert shown == (ROOT / "docs" / "vulnerabilities.md").read_text(encoding="utf-8")
    assert "52 CVEs since Triton 24.10" in labels(built.image)["triton-image.vulnerabilities"]


def test_no_program_of_the_image_has_more_rights_than_who_runs_it(built: Built) -> None:
    assert in_image(built.image, "find", "/", "-xdev", "-type", "f", "-perm", "/6000") == ""


def test_nothing_in_the_image_but_folders_for_temporary_files_can_be_written_by_all(
    built: Built,
) -> None:
    shown = in_image(built.image, "find", "/", "-xdev", "-not", "-type", "l", "-perm", "-2")
    assert set(shown.split()) <= {"/tmp", "/var/tmp", "/run/lock", "/var/lock"}


def test_the_image_has_no_compiler_no_installer_and_nothing_that_talks_to_a_network(
    built: Built,
) -> None:
    shown = in_image(
        built.image, "bash", "-c", f"for name in {' '.join(TOOLS)}; do command -v $name; done; true"
    )
    assert shown == ""


def test_what_lies_around_a_build_does_not_get_into_the_image(built: Built) -> None:
    planted = ("id_rsa", ".env", ".git/config", ".netrc")
    made = []
    try:
        # Where it is started, and beside what it is made of.
        for folder in (
            built.checkpoint,
            built.checkpoint / "model",
            built.checkpoint / "tokenizer",
        ):
            for name in planted:
                path = folder / name
                path.parent.mkdir(exist_ok=True)
                path.write_text("canary-71ab2e\n")
                made.append(path)
        done = make_image(built.checkpoint, "surrounded", "pytest")
        assert done.returncode == 0, done.stderr
        found = docker(
            *("run", "--rm", "--user=0", "--entrypoint=grep", "triton_surrounded:pytest"),
            *("-r", "-l", "-s", "canary-71ab2e", "/etc", "/home", "/models", "/opt", "/root"),
            check=False,
        )
        assert (found.returncode, found.stdout) == (1, "")
    finally:
        for path in made:
            path.unlink()
        docker("rmi", "--force", "triton_surrounded:pytest", check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository in another folder, with nothing that was made before but wheels."""
    folder = tmp_path / "copy"
    files = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(files, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.split("\0")[:-1]:
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / ".cache" / "wheels", folder / ".cache" / "wheels", copy_function=os.link)
    return folder


@pytest.fixture
def twice(built: Built, copy: Path, tmp_path: Path) -> Iterator[list[str]]:
    """Images of one checkpoint: made here, and in the copy by somebody with another umask."""
    # Whatever the engine remembers of a build is not used for another one.
    engine = tmp_path / "bin" / "docker"
    engine.parent.mkdir()
    real = shutil.which("docker")
    engine.write_text(
        '#!/bin/sh\n[ "$1" != build ] || { shift; set -- build --no-cache "$@"; }\n'
        f'exec {real} "$@"\n'
    )
    engine.chmod(0o755)
    images = []
    try:
        for number, (root, umask) in enumerate(((ROOT, 0o022), (copy, 0o077))):
            images.append(f"triton_twice:{number}")
            done = subprocess.run(
                [
                    root / "make_triton_image.sh", "--image", images[-1],
                    *(built.checkpoint / name for name in ("model", "tokenizer", "id2label.json")),
                    "twice",
                ],
                cwd=tmp_path, check=False, capture_output=True, text=True, umask=umask,
                env={**base_environment(), "PATH": f"{engine.parent}:{os.environ['PATH']}"},
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        yield images
    finally:
        for image in images:
            docker("rmi", "--force", image, check=False)


def test_a_build_anew_from_another_folder_has_the_same_layers_byte_by_byte(
    twice: list[str],
) -> None:
    layers = [
        docker("inspect", "--format", "{{json .RootFS.Layers}}", image).stdout for image in twice
    ]
    files = [
        in_image(image, "find", "/opt", "/models", "-printf", "%p %m %s %T@ %l\n")
        for image in twice
    ]
    assert sorted(files[0].splitlines()) == sorted(files[1].splitlines())
    assert layers[0] == layers[1]
