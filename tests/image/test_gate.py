"""Nothing gets a tag before its answers matched, and nothing is left behind."""

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import checkpoints
from tests.containers import docker, running
from tests.image.conftest import Built, make_image
from tests.serving import ROOT, base_environment, server_processes
from utils.artifacts import Answer, Reference, write_reference
from utils.inference import Server

pytestmark = pytest.mark.image


def images() -> set[str]:
    return set(docker("images", "--all", "--format", "{{.Repository}}:{{.Tag}}").stdout.split())


def containers() -> set[str]:
    return set(docker("ps", "--all", "--format", "{{.Names}}").stdout.split())


def work_folders() -> set[str]:
    return {path.name for path in (ROOT / "build").glob("*")}


def start_build(checkpoint: Path, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [ROOT / "make_triton_image.sh", checkpoint / "model", checkpoint / "tokenizer",
         checkpoint / "id2label.json", name, "pytest"],
        cwd=checkpoint, env=base_environment(), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_for_candidate(process: subprocess.Popen[str]) -> None:
    """Wait until the build runs its container gate."""
    deadline = time.monotonic() + 120
    while not any(name.startswith("triton-gate-") for name in containers()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_container_gate_sees_a_changed_score_and_removes_its_container(
    built: Built, tmp_path: Path
) -> None:
    before = containers()
    with running(built.image) as container:
        prediction = container.http.classify("cls_model", ["ok"])[0]
    # As the reference of a model whose first score is another by a thousandth.
    answer = Answer(
        text="ok",
        text_pair=None,
        logits=prediction.logits,
        scores=[prediction.scores[0] - 0.001, *prediction.scores[1:]],
        truncated=False,
    )
    write_reference(
        tmp_path / "reference.json",
        Reference(
            labels=prediction.labels,
            thresholds=None,
            problem_type="single_label_classification",
            top_k=3,
            tolerance=1e-4,
            answers=[answer],
        ),
    )
    reference = tmp_path / "reference.json"
    done = subprocess.run(
        ["utils/gate.sh", "cls_model", reference, "image", "docker", built.image],
        cwd=ROOT, check=False, capture_output=True, text=True, env=base_environment(),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: text 'ok': ")
    assert containers() == before


def test_an_image_that_cannot_start_gets_no_tag(bert: Path, tmp_path: Path) -> None:
    # An image without a shell cannot start Triton; it stands for any base that is not fit.
    docker(
        "import", "--change", "ENV PATH=/usr/bin:/bin", *_empty_tar(tmp_path), "pytest_base:empty"
    )
    before = images(), containers(), work_folders()
    done = subprocess.run(
        [ROOT / "make_triton_image.sh", bert / "model", bert / "tokenizer",
         bert / "id2label.json", "no_tag", "pytest"],
        cwd=tmp_path, check=False, capture_output=True, text=True,
        env={**base_environment(), "BASE_IMAGE": "pytest_base:empty"},
    )  # fmt: skip
    after = images(), containers(), work_folders()
    docker("rmi", "pytest_base:empty")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert after == before


def _empty_tar(folder: Path) -> list[str]:
    tar = folder / "empty.tar"
    subprocess.run(["tar", "cf", tar, "--files-from", os.devnull], check=True)
    return [str(tar)]


def test_two_builds_at_once_both_come_out_right(tmp_path: Path) -> None:
    folders = {}
    for name, classes in (("first_of_two", 2), ("second_of_two", 5)):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        checkpoints.make_bert(folders[name], num_labels=classes)
    with ThreadPoolExecutor(2) as pool:
        runs = {name: pool.submit(make_image, folders[name], name, "pytest") for name in folders}
    try:
        for name, classes in (("first_of_two", 2), ("second_of_two", 5)):
            assert runs[name].result().stdout == f"triton_{name}:pytest\n", (
                runs[name].result().stderr
            )
            with running(f"triton_{name}:pytest") as container:
                assert len(container.http.classify(name, ["ok"])[0].labels) == classes
    finally:
        for name in folders:
            docker("rmi", "--force", f"triton_{name}:pytest", check=False)


@pytest.mark.parametrize(
    ("ending", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_build_ended_in_its_container_gate_leaves_nothing(
    built: Built, ending: signal.Signals, status: int
) -> None:
    before = images(), containers(), work_folders()
    process = start_build(built.checkpoint, "interrupted")
    wait_for_candidate(process)
    process.send_signal(ending)
    process.communicate(timeout=30)
    assert process.returncode == status
    deadline = time.monotonic() + 15
    while (images(), containers(), work_folders()) != before:
        assert time.monotonic() < deadline, (images(), containers(), work_folders(), before)
        time.sleep(0.2)


@pytest.mark.parametrize("engine", ["podman", "buildah"])
def test_the_other_engines_build_and_check_the_same_image(built: Built, engine: str) -> None:
    name, servers = f"by_{engine}", server_processes()
    done = make_image(built.checkpoint, name, "pytest", "--engine", engine)
    image = f"localhost/triton_{name}:pytest"
    inspected = subprocess.run(
        [engine, "inspect", "--type", "image", image], check=False, capture_output=True
    )
    subprocess.run([engine, "rmi", "--force", image], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"triton_{name}:pytest\n"
    assert server_processes() == servers
    assert inspected.returncode == 0


def test_the_readmes_way_by_hand_gives_an_image_that_answers(built: Built, tmp_path: Path) -> None:
    context = tmp_path / "context"
    steps = f"""
      set -e
      cd {built.checkpoint}
      $PYTHON {ROOT}/utils/convert_to_onnx.py -m model -t tokenizer -l id2label.json \\
        -s {tmp_path}/artifacts
      cd {ROOT}
      $PYTHON utils/template_variables.py -o {tmp_path}/variables.env {tmp_path}/artifacts by_hand 4
      ./process_template.sh --variables {tmp_path}/variables.env model_repository \\
        {context}/models/models
      utils/fill_repository.sh {tmp_path}/artifacts {context}/models/models
      $PYTHON utils/describe_api.py {context}/models/models
      $PYTHON utils/server_files.py {context}/server
      mkdir {context}/certificates
      $PYTHON utils/choose_target.py -o {tmp_path}/target.env
      docker build -t by_hand:pytest -f server/embedded/Dockerfile \\
        --build-arg BASE_IMAGE="$(utils/base_image.sh docker {tmp_path}/target.env)" {context}
    """
    done = subprocess.run(
        ["bash", "-c", steps], cwd=ROOT, check=False, capture_output=True, text=True,
        env=base_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    try:
        with running("by_hand:pytest") as container:
            server: Server = container.http
            assert server.classify("by_hand", ["помогите мне"])[0].predict
    finally:
        docker("rmi", "--force", "by_hand:pytest", check=False)
