"""MLflow's own server, and what is in it."""

import contextlib
import itertools
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.storages.contract import CONTENT
from tests.storages.packing import PACKED, tar_gz
from utils.free_ports import free_ports

TRACKING = "MLFLOW_TRACKING_URI"
STARTS_WITHIN = 120

_names = (f"bert{number}" for number in itertools.count())


def answers(address: str) -> bool:
    """Whether a server says that it is well."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health") as answer:
        return bool(answer.status == 200)
    return False


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server with its database and its artifacts in a folder."""
    folder = tmp_path_factory.mktemp("mlflow")
    port = str(free_ports(1)[0])
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    # The server has children that end with it when it is asked to.
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + STARTS_WITHIN
        while not answers(address):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def client(server: str, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A client, and the environment that leads to the server."""
    monkeypatch.setenv(TRACKING, server)
    return MlflowClient()


@pytest.fixture
def run(client: MlflowClient, tmp_path: Path) -> str:
    """Id of a run that logged CONTENT as "model", and an archive of it."""
    folder = tmp_path / "logged"
    for name, data in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (tmp_path / PACKED).write_bytes(tar_gz(CONTENT))
    run: str = client.create_run("0").info.run_id
    client.log_artifacts(run, str(folder), "model")
    client.log_artifact(run, str(tmp_path / PACKED))
    return run


@pytest.fixture
def model(client: MlflowClient, run: str) -> str:
    """A registered model whose first version is the run's, and whose "best" is that version."""
    name = next(_names)
    client.create_registered_model(name)
    client.create_model_version(name, f"runs:/{run}/model", run)
    client.set_registered_model_alias(name, "best", "1")
    return name
