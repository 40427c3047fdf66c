"""What the tests of ClearML's storage share."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from clearml.storage.helper import _HttpDriver

from tests.storages.clearml_handlers import Api, Files
from tests.storages.clearml_server import ACCESS_KEY, Answers, Server
from tests.storages.contract import CONTENT, SECRET
from utils.errors import UserError
from utils.storages.clearml.storage import ClearMLStorage
from utils.storages.contract import RemoteFile

MODEL = "0f5f8c1f6ea54e3ea4a6b2c2c0a5d9c1"
PACKAGE = "/project/train.ab12/models/model_package.zip"


def package(content: Mapping[str, bytes]) -> bytes:
    """As OutputModel.update_weights_package packs a folder: not compressed, with its folders."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        folders = {f"{Path(name).parent}/": b"" for name in content if "/" in name}
        for name, data in {**folders, **content}.items():
            # A ZipInfo has no time in it: the same bytes every time.
            archive.writestr(zipfile.ZipInfo(name), data)
    return packed.getvalue()


class ClearMLTests:
    """Inherit it: a server with one model, CONTENT as a package, and us logged in."""

    @pytest.fixture
    def answers(self) -> Answers:
        """What the servers say."""
        return Answers(secret_key=SECRET, files={PACKAGE: package(CONTENT)})

    @pytest.fixture
    def api(self, answers: Answers) -> Iterator[Server]:
        """The API server."""
        with Server(Api, answers).running() as server:
            yield server

    @pytest.fixture
    def file_server(self, answers: Answers) -> Iterator[Server]:
        """The file server."""
        with Server(Files, answers).running() as server:
            yield server

    @pytest.fixture
    def uri(self, file_server: Server) -> str:
        """Where MODEL's weights are."""
        return f"{file_server.url}{PACKAGE}"

    @pytest.fixture(autouse=True)
    def configured(
        self,
        answers: Answers,
        api: Server,
        file_server: Server,
        uri: str,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        """Environment variables name the servers, and no clearml.conf of this machine is read."""
        for variable, value in {
            "CLEARML_API_HOST": api.url,
            "CLEARML_FILES_HOST": file_server.url,
            "CLEARML_WEB_HOST": api.url,
            "CLEARML_API_ACCESS_KEY": ACCESS_KEY,
            "CLEARML_API_SECRET_KEY": SECRET,
            "CLEARML_CACHE_DIR": str(tmp_path / "clearml"),
            "CLEARML_CONFIG_FILE": str(tmp_path / "clearml.conf"),
            "NO_PROXY": "127.0.0.1",
        }.items():
            monkeypatch.setenv(variable, value)
        # The SDK asks for it once in a process.
        monkeypatch.setattr(_HttpDriver, "_file_server_hosts", None)
        self.said = answers
        self.register(uri=uri, system_tags=["package"])

    @pytest.fixture
    def all_down(self, api: Server, file_server: Server) -> ExitStack:
        """Entered: both servers refuse connections."""

        class Down(ExitStack):
            def __enter__(self) -> "Down":
                self.enter_context(api.down())
                self.enter_context(file_server.down())
                return self

        return Down()

    def register(self, **fields: Any) -> None:
        """Give MODEL other fields."""
        self.said.models[MODEL] = {"last_update": "2026-01-01T00:00:00.000000+00:00", **fields}

    def fetch(self, target: Path, name: str = MODEL) -> bytes:
        """The one file of a model, downloaded to a path."""
        storage = ClearMLStorage(name)
        revision = storage.resolve()
        (file,) = storage.files(revision)
        storage.download(revision, file, target)
        return target.read_bytes()

    def listed(self, name: str = MODEL) -> list[RemoteFile]:
        """Files of a model."""
        storage = ClearMLStorage(name)
        return storage.files(storage.resolve())

    def refusal(self, name: str = MODEL) -> str:
        """The one line that resolving ends with."""
        with pytest.raises(UserError) as caught:
            ClearMLStorage(name).resolve()
        line = str(caught.value)
        assert line.startswith(f"clearml://{name}: ")
        assert "\n" not in line
        assert SECRET not in line
        return line
