"""An image for arm64, built on another processor: what is in it, and what is said of it."""

import json
from pathlib import Path

import pytest

from tests import checkpoints
from tests.containers import docker
from tests.image.conftest import make_image

pytestmark = pytest.mark.arm64

AARCH64 = 183  # e_machine of the ELF header (elf.h)


def test_an_image_for_arm64_has_its_programs_and_is_not_called_verified(tmp_path: Path) -> None:
    checkpoints.make_bert(tmp_path)
    done = make_image(tmp_path, "for_arm64", "pytest", "--platform", "linux/arm64")
    assert done.returncode == 0, done.stderr
    image = "triton_for_arm64:pytest"
    container = docker("create", image).stdout.strip()
    try:
        shown = docker("inspect", "--format", "{{.Os}}/{{.Architecture}}", image).stdout
        assert shown == "linux/arm64\n"
        labels = docker("inspect", "--format", "{{json .Config.Labels}}", image).stdout
        verified = json.loads(labels)["triton-image.verified"]
        assert verified.startswith("not verified on target: this machine is linux/")
        for path in (
            "bin/tritonserver",
            "backends/python/libtriton_python.so",
            "python/lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.31.1",
        ):
            file = tmp_path / Path(path).name
            docker("cp", f"{container}:/opt/tritonserver/{path}", str(file))
            assert int.from_bytes(file.read_bytes()[18:20], "little") == AARCH64, path
    finally:
        docker("rm", container)
        docker("rmi", "--force", image, check=False)
    assert "not verified on target" in done.stderr
