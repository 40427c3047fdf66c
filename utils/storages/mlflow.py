"""Models of an MLflow registry, and artifacts of MLflow runs."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from utils.errors import first_line
from utils.storages.contract import RemoteFile, StorageError
from utils.storages.refusals import is_unreachable, server_of
from utils.storages.refusing import Refusing

# Read when mlflow is imported or used. Left alone it waits minutes for a server that is not there,
# reports its use to its makers, and draws a bar for every file.
for _variable, _value in {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}.items():
    os.environ.setdefault(_variable, _value)

import mlflow.artifacts
from mlflow import MlflowClient

TRACKING = "MLFLOW_TRACKING_URI"

NAME = re.compile(
    r"models:/(?P<model>[^/@]+)(/(?P<version>\d+)|@(?P<alias>[^/]+))(/(?P<inside>.+))?"
    r"|runs:/(?P<run>[^/]+)(/(?P<path>.+))?"
)
DENIED = ("401", "403")
LOGIN = "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"


class MLflowStorage(Refusing):
    """A version of a registered model, or what a run logged; a path leads into either."""

    scheme = "mlflow"
    login = LOGIN

    def __init__(self, name: str) -> None:
        """See `Storage`."""
        super().__init__(name)
        found = NAME.fullmatch(name.rstrip("/"))
        if found is None:
            forms = "mlflow://models:/name/1, models:/name@alias or runs:/id/path"
            raise self.refused("is no name of MLflow", forms)
        # Without it mlflow would make a database in the working folder and look in there.
        if not os.environ.get(TRACKING):
            raise self.refused("no server is named", f"export {TRACKING}=https://host")
        self._parts = found.groupdict()
        self._inside = (self._parts["inside"] or self._parts["path"] or "").strip("/")
        # What a revision's files are for MLflow: name inside the model to artifact.
        self._revision = ""
        self._artifacts: dict[str, Any] = {}

    def resolve(self) -> str:
        """A digest of the version or run, when it was made, and its files' names and sizes."""
        with self.refusals():
            about = self._pin()
            self._artifacts = {self._name_of(found.path): found for found in self._walk()}
        if not self._artifacts:
            raise self.absent()
        digest = hashlib.sha256(about.encode())
        for name, artifact in sorted(self._artifacts.items()):
            digest.update(f"\0{name}\0{artifact.file_size}".encode())
        self._revision = digest.hexdigest()
        return self._revision

    def files(self, revision: str) -> list[RemoteFile]:
        """See `Storage`."""
        artifacts = self._of(revision)
        return [RemoteFile(name, artifacts[name].file_size) for name in sorted(artifacts)]

    def download(self, revision: str, file: RemoteFile, target: Path) -> None:
        """Fetch all of a file again: MLflow's client knows no ranges."""
        path = self._of(revision)[file.name].path
        with tempfile.TemporaryDirectory(prefix=".mlflow-", dir=target.parent) as draft:
            with self.refusals():
                came = mlflow.artifacts.download_artifacts(**self._at(path), dst_path=draft)
            Path(came).replace(target)

    def _of(self, revision: str) -> dict[str, Any]:
        if (self._revision or self.resolve()) != revision:
            raise self.changed()
        return self._artifacts

    def _pin(self) -> str:
        """Put a version in the place of an alias; what is known of it or of a run, for a digest."""
        client, model = MlflowClient(), self._parts["model"]
        if model is None:
            run = client.get_run(self._parts["run"])
            return f"{run.info.run_id} {run.info.start_time} {run.info.artifact_uri}"
        if self._parts["alias"]:
            version = client.get_model_version_by_alias(model, self._parts["alias"])
        else:
            version = client.get_model_version(model, self._parts["version"])
        self._parts["version"] = version.version
        # A number is given again after the last version is deleted: hence the time.
        return f"{model} {version.version} {version.creation_timestamp} {version.source}"

    def _at(self, path: str) -> dict[str, str]:
        """How mlflow.artifacts wants to be told of a path."""
        if self._parts["run"]:
            return {"run_id": self._parts["run"], "artifact_path": path}
        root = f"models:/{self._parts['model']}/{self._parts['version']}"
        return {"artifact_uri": f"{root}/{path}".rstrip("/")}

    def _walk(self) -> Iterator[Any]:
        """All files at or below the path inside."""
        folders = [self._inside]
        if self._inside:
            above = str(PurePosixPath(self._inside).parent).strip(".")
            beside = mlflow.artifacts.list_artifacts(**self._at(above))
            yield from (it for it in beside if it.path == self._inside and not it.is_dir)
        while folders:
            for found in mlflow.artifacts.list_artifacts(**self._at(folders.pop())):
                if found.is_dir:
                    folders.append(found.path)
                else:
                    yield found

    def _name_of(self, path: str) -> str:
        return path.removeprefix(self._inside).strip("/") or PurePosixPath(path).name

    def refusal(self, error: BaseException) -> StorageError:
        """See `Refusing`."""
        said, server = first_line(error), server_of(os.environ[TRACKING])
        if is_unreachable(error):
            return self.refused(f"{server} cannot be reached", f"is {TRACKING} right?")
        code = getattr(error, "error_code", "")
        status = re.search(r"error code (\d{3})", said)
        if code in ("UNAUTHENTICATED", "PERMISSION_DENIED") or (status and status[1] in DENIED):
            return self.refused(f"no access to {server}: {said}", LOGIN)
        return self.refused(f"{server} answered: {said}")
