"""One checkpoint through every storage: the same repository, and where it came from."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints import Checkpoint, make_distilbert
from tests.in_process import call
from tests.serving import render_artifacts, run
from tests.storages.clearml_server import Answers
from tests.storages.clearml_tests import MODEL, PACKAGE, ClearMLTests, package
from tests.storages.contract import SECRET, secrets
from tests.storages.hub_state import Hub
from tests.storages.hub_tests import NAME, HubTests
from tests.storages.mlflow_server import client, server
from tests.storages.packing import tar_gz
from tests.storages.test_files import bucket, s3_server
from tests.storages.web_server import Site
from utils import convert_to_onnx

__all__ = ["bucket", "client", "s3_server", "secrets", "server"]

STORAGES = ("folder", "archive", "hf", "clearml", "s3", "mlflow", "http")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return make_distilbert(tmp_path_factory.mktemp("checkpoint"))


def contents(checkpoint: Checkpoint) -> dict[str, bytes]:
    """Model, tokenizer and labels in one folder, beside what training leaves."""
    files = [*checkpoint.model.iterdir(), *checkpoint.tokenizer.iterdir(), checkpoint.labels]
    return {path.name: path.read_bytes() for path in files} | {"optimizer.pt": b"o" * 1000}


class TestAllStorages(HubTests, ClearMLTests):
    """Each storage's real client against its server, as the main command starts it."""

    @pytest.fixture
    def references(
        self,
        checkpoint: Checkpoint,
        hub: Hub,
        answers: Answers,
        bucket: Any,
        client: Any,
        tmp_path: Path,
    ) -> dict[str, str]:
        """Storage to reference."""
        files = contents(checkpoint)
        folder = tmp_path / "folder"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
            bucket.put_object(Key=f"classifier/{name}", Body=data)
        (tmp_path / "archive.tar.gz").write_bytes(tar_gz(files))
        hub.repositories[NAME].commit(files)
        answers.files[PACKAGE] = package(files)
        logged = client.create_run("0").info.run_id
        client.log_artifacts(logged, str(folder), "model")
        return {
            "folder": str(folder),
            "archive": str(tmp_path / "archive.tar.gz"),
            "hf": f"hf://{NAME}",
            "clearml": f"clearml://{MODEL}",
            "s3": f"s3://{bucket.name}/classifier",
            "mlflow": f"mlflow://runs:/{logged}/model",
        }

    def test_the_rendered_repositories_differ_in_nothing_but_provenance(
        self, references: dict[str, str], checkpoint: Checkpoint, tmp_path: Path
    ) -> None:
        site = Site({"/classifier.tar.gz": tar_gz(contents(checkpoint))})
        found: dict[str, dict[str, bytes]] = {}
        provenance: dict[str, Any] = {}
        with site.running():
            everywhere = {**references, "http": f"http://127.0.0.1:{site.port}/classifier.tar.gz"}
            assert set(everywhere) == set(STORAGES)
            for storage, reference in everywhere.items():
                files = _rendered(reference, tmp_path / f"by_{storage}")
                report = json.loads(files.pop("report.json"))
                provenance[storage] = report.pop("sources"), report.pop("revisions")
                found[storage] = files | {"report": json.dumps(report).encode()}
        for storage, files in found.items():
            assert files == found["folder"], storage
        for storage, (sources, revisions) in provenance.items():
            assert sources["model"] == everywhere[storage]
            assert bool(revisions) == (storage != "folder")
        told = json.dumps(provenance)
        assert SECRET not in told


def _rendered(reference: str, folder: Path) -> dict[str, bytes]:
    """Files of the repository that a reference leads to, by name."""
    folder.mkdir()
    sources, artifacts = folder / "sources.json", folder / "artifacts"
    run(
        *(sys.executable, "utils/fetch.py", "--model", reference, "--labels", reference),
        *("--cache", folder / "cache", "--output", sources),
        # The conversion of the one before has told this process to ask no hub.
        HF_HUB_OFFLINE="0",
    )
    call(convert_to_onnx.main, "--sources", sources, "--save-dir", artifacts)
    repository = render_artifacts(artifacts, folder, 4).repository
    return {
        str(path.relative_to(repository)): path.read_bytes()
        for path in sorted(repository.rglob("*"))
        if path.is_file()
    }
