"""The image as an image: what is in it, how it runs, how it stops."""

import json
import re
import signal
import subprocess
import time

import pytest

from tests.containers import docker, in_image, labels, running
from tests.image.conftest import Built, make_image
from tests.serving import ROOT, base_environment
from utils.free_ports import free_ports
from utils.inference import Server

pytestmark = pytest.mark.image

LARGEST_IMAGE_WITHOUT_MODEL = 400_000_000


def test_the_image_without_its_model_is_at_most_400_megabytes(built: Built) -> None:
    size = int(docker("inspect", "--format", "{{.Size}}", built.image).stdout)
    models = sum(
        int(line.split()[0]) for line in in_image(built.image, "du", "-sb", "/models").splitlines()
    )
    assert size - models <= LARGEST_IMAGE_WITHOUT_MODEL


def test_the_image_has_no_torch_no_transformers_and_no_pip(built: Built) -> None:
    files = in_image(built.image, "find", "/", "-xdev", "-type", "d")
    folders = {line.rsplit("/", 1)[-1] for line in files.splitlines()}
    assert folders.isdisjoint({"torch", "transformers", "pip", "setuptools"})


def test_it_runs_as_a_user_that_owns_nothing(built: Built) -> None:
    assert docker("inspect", "--format", "{{.Config.User}}", built.image).stdout == "65532:65532\n"
    assert in_image(built.image, "find", "/", "-xdev", "-user", "65532") == ""


def test_labels_say_what_is_inside_and_where_it_came_from(built: Built) -> None:
    found = labels(built.image)
    digests = json.loads(found["triton-image.digests"])
    assert found["org.opencontainers.image.title"] == "cls_model"
    assert found["triton-image.model.source"] == str(built.checkpoint / "model")
    assert found["triton-image.model.type"] == "bert"
    assert found["triton-image.precision"] == "fp32"
    assert found["triton-image.server"] == "embedded"
    assert found["triton-image.triton.release"] == "24.10"
    assert found["triton-image.verified"] == "on this hardware"
    assert found["triton-image.parity.texts"] == "200"
    assert found["triton-image.parity.tolerance"] == "0.0001"
    assert float(found["triton-image.parity.largest-difference"]) <= 1e-4
    assert found["triton-image.function"] == "softmax"
    assert {"labels", "model/config.json", "model/model.safetensors"} <= digests.keys()
    assert "onnxruntime" in json.loads(found["triton-image.versions.server"])


def test_the_accuracy_on_labelled_texts_is_shown_and_labelled_and_reported(built: Built) -> None:
    found = labels(built.image)
    report = json.loads(in_image(built.image, "cat", "/models/report.json"))
    accuracy = report["accuracy"]["after"]["accuracy"]
    assert found["triton-image.accuracy.examples"] == "3"
    assert accuracy == pytest.approx(1 / 3)
    assert json.loads(found["triton-image.accuracy.after"]) == {"accuracy": accuracy}
    assert report["parity"]["texts"] == 200
    assert re.search(rf"│ accuracy +│ {accuracy:.4f} │ {accuracy:.4f} │", built.stderr)


def test_docker_finds_it_healthy(built: Built) -> None:
    with running(built.image, "--health-interval=1s") as container:
        deadline = time.monotonic() + 20
        while container.inspect("{{.State.Health.Status}}") != "healthy":
            assert time.monotonic() < deadline, container.inspect("{{json .State.Health}}")
            time.sleep(0.2)


def test_it_needs_no_shared_memory(built: Built) -> None:
    with running(built.image, "--shm-size=4k") as container:
        for _ in range(50):
            assert len(container.http.classify("cls_model", ["длинный текст " * 500] * 4)) == 4


def test_it_runs_read_only_without_capabilities_network_and_as_any_user(built: Built) -> None:
    hardened = (
        *("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
        *("--network=none", "--user=12345:12345"),
    )
    with running(built.image, *hardened) as container:
        check = ("/opt/tritonserver/python/bin/python3", "/opt/tritonserver/bin/healthcheck")
        deadline = time.monotonic() + 10
        while docker("exec", container.name, *check, check=False).returncode:
            assert time.monotonic() < deadline, container.log


@pytest.mark.parametrize(
    ("limit", "callers"), [("--cpus=1", 1), ("--cpuset-cpus=0", 1), ("--cpus=2", 2)]
)
def test_threads_follow_the_containers_cpu_limit(built: Built, limit: str, callers: int) -> None:
    with running(built.image, limit) as container:
        assert f"{callers} caller threads x 1 intra-op threads" in container.log


def test_docker_stop_ends_it_cleanly(built: Built) -> None:
    with running(built.image) as container:
        docker("stop", "--time=10", container.name)
        assert container.inspect("{{.State.ExitCode}}") == "0"


def test_an_unchanged_rebuild_gives_the_same_image(built: Built) -> None:
    before = docker("inspect", "--format", "{{.Id}}", built.image).stdout
    done = make_image(built.checkpoint, "cls_model", "pytest", *built.options)
    assert done.returncode == 0, done.stderr
    assert docker("inspect", "--format", "{{.Id}}", built.image).stdout == before


def test_run_triton_serves_the_image(built: Built) -> None:
    ports = [str(port) for port in free_ports(3)]
    process = subprocess.Popen(
        ["./run_triton.sh", "--address", "127.0.0.1", "--http-port", ports[0], "--grpc-port",
         ports[1], "--metrics-port", ports[2], built.image],
        cwd=ROOT, env=base_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    server = Server("http", f"127.0.0.1:{ports[0]}")
    deadline = time.monotonic() + 60
    while not server.ready("cls_model"):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    server.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=15) == 0
