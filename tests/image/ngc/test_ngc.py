"""Images on NVIDIA's, as far as an image with its layout can tell."""

import json
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.containers import copy_out, docker, labels, running
from tests.image.ngc.conftest import Bases, paths
from tests.serving import serve
from tests.texts import texts
from utils.client import classify_all

pytestmark = pytest.mark.image

HARDENED = (
    *("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
    "--user=12345:12345",
)

BANNER = "== NVIDIA's notices =="


@pytest.fixture(params=["ngc", "slim"])
def image(request: pytest.FixtureRequest) -> str:
    """The image of each server in turn."""
    return str(request.getfixturevalue(request.param))


def environment(image: str) -> dict[str, str]:
    lines = json.loads(docker("inspect", "--format", "{{json .Config.Env}}", image).stdout)
    return dict(line.split("=", 1) for line in lines)


def refusal(image: str, *options: str) -> list[str]:
    """The error lines of an image that must not start."""
    name = f"pytest-{uuid.uuid4().hex[:12]}"
    docker("run", "--detach", "--name", name, *options, image)
    try:
        # One that starts would run for ever.
        waited = subprocess.run(
            ["timeout", "60", "docker", "wait", name], check=False, capture_output=True, text=True
        )
        log = docker("logs", name)
    finally:
        docker("rm", "--force", name)
    assert waited.stdout == "1\n", log.stdout + log.stderr
    return [line for line in log.stderr.splitlines() if line.startswith("error: ")]


# P7. The stand-in has the official Python backend, which runs each step in a process of its own.
def test_the_same_repository_has_the_same_answers_on_the_embedded_server(
    image: str, tmp_path: Path
) -> None:
    questions = texts(500)
    copy_out(image, "/models", tmp_path)
    with running(image) as container:
        theirs = classify_all(container.http, "cls_model", questions, None)
    with serve(tmp_path / "models", tmp_path / "log") as served:
        ours = classify_all(served.http, "cls_model", questions, None)
    assert [answer.predict for answer in ours] == [answer.predict for answer in theirs]
    for one, other in zip(ours, theirs, strict=True):
        scores = dict(zip(other.labels, other.scores, strict=True))
        assert [scores[label] for label in one.labels] == pytest.approx(one.scores, abs=1e-5)


def test_it_answers_read_only_as_any_user(image: str) -> None:
    with running(image, *HARDENED) as container:
        assert len(container.http.classify("cls_model", ["ok", "помогите мне"])) == 2
        assert len(container.grpc.classify("cls_model", ["ok", "помогите мне"])) == 2
        check = ("python3", "/opt/tritonserver/bin/healthcheck")
        assert docker("exec", container.name, *check, check=False).returncode == 0
        assert container.inspect("{{.Config.User}}") == "12345:12345"


def test_it_runs_as_a_user_that_owns_nothing_and_may_write_engines(image: str) -> None:
    assert docker("inspect", "--format", "{{.Config.User}}", image).stdout == "65532:65532\n"
    find = ("--user=0", "--entrypoint=find", image, "/", "-xdev", "-user", "65532")
    assert docker("run", "--rm", *find).stdout == ""
    stat = "mkdir /engines/x && stat --format=%a /engines"
    assert docker("run", "--rm", "--entrypoint=sh", image, "-c", stat).stdout == "1777\n"


def test_vertex_ais_variable_changes_nothing(image: str) -> None:
    with running(image, "--env=AIP_MODE=PREDICTION", "--env=AIP_HTTP_PORT=8080") as container:
        assert "cls_model" in container.log
        assert "Vertex AI" not in container.log
        assert len(container.http.classify("cls_model", ["ok"])) == 1


def test_docker_stop_ends_it_cleanly(image: str) -> None:
    with running(image) as container:
        docker("stop", "--time=10", container.name)
        assert container.inspect("{{.State.ExitCode}}") == "0"


def test_labels_say_what_it_is_for_and_made_of(bases: Bases, image: str) -> None:
    found = labels(image)
    assert found["triton-image.server"] == ("ngc-slim" if image.endswith(":slim") else "ngc")
    assert found["triton-image.triton.release"] == "26.08"
    assert found["triton-image.hardware"] == "cpu"
    assert found["triton-image.verified"] == "on this hardware"
    assert found["org.opencontainers.image.base.name"] == bases.nvidia


def test_no_gpu_is_shown_to_an_image_for_cpus(image: str) -> None:
    found = environment(image)
    assert found["NVIDIA_VISIBLE_DEVICES"] == "void"
    # The container toolkit takes both for "all GPUs, and a driver for that version".
    assert "CUDA_VERSION" not in found or found["NVIDIA_REQUIRE_CUDA"]


def test_an_image_for_cpus_refuses_a_gpu(image: str, tmp_path: Path) -> None:
    (tmp_path / "device").touch()
    gpu = f"--volume={tmp_path / 'device'}:/dev/nvidiactl"
    lines = refusal(image, gpu)
    assert len(lines) == 1
    assert lines[0].startswith("error: hardware: made for cpu, fp32, but this container was given")
    with running(image, gpu, command=("--allow-fallback",)) as container:
        assert len(container.http.classify("cls_model", ["ok"])) == 1


def test_nvidias_start_runs_and_its_licences_stay(bases: Bases, ngc: str) -> None:
    with running(ngc) as container:
        assert BANNER in container.log
    assert paths(bases.nvidia) <= paths(ngc)


def test_a_base_whose_stub_is_roots_alone_is_refused(bases: Bases) -> None:
    stub = "/opt/tritonserver/backends/python/triton_python_backend_stub"
    done = bases.build("ngc", bases.changed("owner", f"chmod 700 {stub}"))
    assert done.returncode != 0
    assert "\nerror: base image: only root can run its Python backend\n" in done.stdout


@pytest.mark.parametrize(("server", "hardware"), [("ngc", "tensorrt"), ("ngc-slim", "cuda")])
def test_an_image_for_gpus_is_built_and_checked_on_the_cpu(
    bases: Bases, server: str, hardware: str
) -> None:
    options = ("--server", server, "--hardware", hardware, "--precision", "fp32")
    image = bases.made(hardware, *options)
    assert labels(image)["triton-image.verified"] == (
        "not verified on target: no NVIDIA driver is visible"
        " (docker run --gpus all, on a machine with a GPU)"
    )
    assert environment(image)["NVIDIA_VISIBLE_DEVICES"] == "all"
    lines = refusal(image)
    assert len(lines) == 1
    assert lines[0].startswith(f"error: hardware: made for {hardware}, fp32, but no NVIDIA driver")
    with running(image, command=("--allow-fallback",)) as container:
        assert len(container.http.classify("cls_model", ["ok"])) == 1
