"""Images of other profiles than the CPU's."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers import docker, labels, running
from tests.image.conftest import make_image
from tests.serving import run
from utils.targets.machine import missing, this_machine
from utils.targets.profiles import read_profile

pytestmark = pytest.mark.image


@pytest.fixture(scope="module")
def cuda(bert: Path) -> Iterator[str]:
    """An image of the embedded server for GPUs, built on a machine without any."""
    yield from built(bert, "--hardware", "cuda")


def built(checkpoint: Path, *options: str) -> Iterator[str]:
    """An image called after its hardware; removed at the end."""
    name = f"test_{options[1]}"
    done = make_image(checkpoint, name, "pytest", *options)
    assert done.returncode == 0, done.stderr
    yield f"triton_{name}:pytest"
    docker("rmi", "--force", f"triton_{name}:pytest", check=False)


def label(image: str, key: str) -> str:
    return labels(image)[f"triton-image.{key}"]


def test_an_openvino_image_answers_in_the_best_precision_of_the_machine(bert: Path) -> None:
    profile = read_profile("openvino")
    absent = missing(this_machine(), profile.needs("bf16", "embedded"))
    precision = "fp32" if absent else "bf16"
    for image in built(bert, "--hardware", "openvino", "--precision", precision):
        assert label(image, "precision") == precision
        assert label(image, "verified") == "on this hardware"
        with running(image) as container:
            assert f"threads, {precision.replace('fp', 'f')}" in container.log
            assert container.http.classify("test_openvino", ["ok"] * 4)


def test_a_gpu_image_says_in_one_line_what_its_machine_lacks(cuda: str) -> None:
    done = docker("run", "--rm", cuda, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: hardware: made for cuda, fp16, but no NVIDIA driver")


def test_a_gpu_image_answers_on_the_cpu_when_it_is_told_to(cuda: str) -> None:
    with running(cuda, "--env=ALLOW_FALLBACK=1") as container:
        assert container.http.classify("test_cuda", ["ok"])[0].predict
        assert "warning: hardware: " in container.log


def test_a_gpu_image_built_without_a_gpu_says_that_it_was_not_verified(cuda: str) -> None:
    assert label(cuda, "verified").startswith("not verified on target: no NVIDIA driver")


def test_the_libraries_of_the_cuda_provider_are_all_there_but_the_drivers(cuda: str) -> None:
    provider = (
        "/opt/tritonserver/python/lib/python3.11/site-packages/onnxruntime/capi/"
        "libonnxruntime_providers_cuda.so"
    )
    shown = docker(
        "run", "--rm", "--env=LD_LIBRARY_PATH=/opt/tritonserver/lib", "--entrypoint=ldd", cuda,
        provider,
    ).stdout  # fmt: skip
    absent = [line.split()[0] for line in shown.splitlines() if "not found" in line]
    assert "libcublasLt.so.13" in shown
    assert absent == ["libcuda.so.1"]


def test_an_image_carries_texts_of_ours_to_be_checked_with_and_none_of_the_users(
    bert: Path, tmp_path: Path
) -> None:
    samples = tmp_path / "samples.txt"
    samples.write_text("the quick secret fox\nok\n", encoding="utf-8")
    for image in built(bert, "--hardware", "cpu", "--samples", str(samples)):
        shown = docker("run", "--rm", "--entrypoint=cat", image, "/models/selftest.json").stdout
        texts = [answer["text"] for answer in json.loads(shown)["answers"]]
        assert len(texts) == 26
        assert "the quick secret fox" not in texts


def test_a_proxy_with_a_password_leaves_no_trace_in_an_image(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://user:canary-password@127.0.0.1:9")
    for image in built(bert, "--hardware", "cpu"):
        history = docker("history", "--no-trunc", image).stdout
        assert "canary-password" not in history + docker("inspect", image).stdout


def test_verify_only_checks_an_image_again_and_says_so_in_its_label(bert: Path) -> None:
    for image in built(bert, "--hardware", "cpu"):
        before = docker("inspect", "--format", "{{.Id}}", image).stdout
        assert run("./make_triton_image.sh", "--verify-only", image) == f"{image}\n"
        assert docker("inspect", "--format", "{{.Id}}", image).stdout != before
        assert label(image, "verified") == "on this hardware"
        with running(image) as container:
            assert container.http.classify("test_cpu", ["ok"])
