"""Models of a ClearML server, through the real SDK: the contract, and the kinds of models."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.storages.clearml_server import Answers, Server
from tests.storages.clearml_tests import MODEL, PACKAGE, ClearMLTests, package
from tests.storages.contract import CONTENT, MODEL_FILES, StorageContract
from tests.storages.contract import secrets as secrets
from tests.storages.packing import tar_gz
from utils.errors import UserError
from utils.storages.cache import Cache
from utils.storages.clearml.storage import ClearMLStorage
from utils.storages.contract import RemoteFile, StorageError
from utils.storages.obtain import obtain
from utils.storages.reference import Reference
from utils.storages.wanted import WANTED

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class TestContract(ClearMLTests, StorageContract):
    scheme = "clearml"

    @pytest.fixture
    def name(self) -> str:
        return MODEL

    @pytest.fixture
    def absent_name(self) -> str:
        return "f" * 32

    @pytest.fixture
    def changed(self, answers: Answers) -> AbstractContextManager[None]:
        @contextmanager
        def replaced() -> Iterator[None]:
            answers.files[PACKAGE] = package({**CONTENT, "config.json": b'{"model_type": "bart"}'})
            yield

        return replaced()

    @pytest.fixture
    def unreachable(self, all_down: ExitStack) -> AbstractContextManager[None]:
        @contextmanager
        def down() -> Iterator[None]:
            with all_down:
                yield

        return down()

    # A package is one file to ClearML, which has no list of what is in it.
    def test_all_files_are_listed_with_their_sizes_if_the_storage_knows_them(
        self, name: str
    ) -> None:
        assert self.listed(name) == [RemoteFile("model_package.zip", len(package(CONTENT)))]

    # For the same reason it is the package that comes, and not a file out of it.
    @pytest.mark.parametrize("arrived", [0, 1, 100_000])
    def test_a_file_comes_whole_whatever_an_interrupted_transfer_left(
        self, arrived: int, name: str, tmp_path: Path
    ) -> None:
        target = tmp_path / "model_package.zip"
        if arrived:
            target.write_bytes(package(CONTENT)[:arrived])
        assert self.fetch(target, name) == package(CONTENT)


class TestKinds(ClearMLTests):
    def obtained(self, tmp_path: Path, name: str = MODEL) -> set[str]:
        """Names of the files of the model that comes of a name."""
        reference = Reference("clearml", name)
        folder = obtain(reference, WANTED["model"], Cache(tmp_path / "cache"), False).folder
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    def test_a_tar_gz_is_unpacked(
        self, answers: Answers, file_server: Server, tmp_path: Path
    ) -> None:
        answers.files["/p/models/bert.tar.gz"] = tar_gz(CONTENT)
        self.register(uri=f"{file_server.url}/p/models/bert.tar.gz")
        assert self.obtained(tmp_path) == MODEL_FILES

    def test_a_package_with_the_ending_of_a_framework_is_a_zip_all_the_same(
        self, answers: Answers, file_server: Server, tmp_path: Path
    ) -> None:
        answers.files["/p/models/model_package.zip.pt"] = package(CONTENT)
        self.register(
            uri=f"{file_server.url}/p/models/model_package.zip.pt", system_tags=["package"]
        )
        assert self.obtained(tmp_path) == MODEL_FILES

    def test_a_file_of_weights_has_its_name_without_the_quoting_of_urls(
        self, answers: Answers, file_server: Server
    ) -> None:
        answers.files["/p/my%20model.safetensors"] = b"weights"
        self.register(uri=f"{file_server.url}/p/my%20model.safetensors")
        assert self.listed() == [RemoteFile("my model.safetensors", 7)]

    def test_weights_alone_are_no_model(
        self, answers: Answers, file_server: Server, tmp_path: Path
    ) -> None:
        answers.files["/p/model.safetensors"] = CONTENT["model.safetensors"]
        self.register(uri=f"{file_server.url}/p/model.safetensors")
        with pytest.raises(UserError, match="has no model"):
            self.obtained(tmp_path)

    def test_a_model_without_weights_says_so(self) -> None:
        self.register(uri="")
        assert "has no weights" in self.refusal()

    def test_a_folder_of_the_file_server_says_that_it_cannot_be_listed(
        self, file_server: Server
    ) -> None:
        self.register(uri=f"{file_server.url}/p/models/")
        assert "is a folder, which HTTP cannot list" in self.refusal()

    def test_no_path_leads_into_an_archive(self) -> None:
        assert "is one archive" in self.refusal(f"{MODEL}/best")

    @pytest.mark.parametrize("name", ["", "my model", "../0f5f", "/best"])
    def test_what_cannot_be_an_id_is_refused_before_anyone_is_asked(
        self, name: str, answers: Answers
    ) -> None:
        with pytest.raises(StorageError, match="is no model id"):
            ClearMLStorage(name)
        assert answers.asked == []

    def test_the_same_content_at_another_address_is_another_revision(
        self, answers: Answers, file_server: Server
    ) -> None:
        before = ClearMLStorage(MODEL).resolve()
        answers.files["/p/moved.zip"] = answers.files[PACKAGE]
        self.register(uri=f"{file_server.url}/p/moved.zip")
        assert ClearMLStorage(MODEL).resolve() != before

    def test_without_an_etag_a_change_of_the_model_is_taken_for_one_of_its_content(
        self, answers: Answers, file_server: Server
    ) -> None:
        answers.marks = False
        before = ClearMLStorage(MODEL).resolve()
        self.register(uri=f"{file_server.url}{PACKAGE}", last_update="2026-02-02T00:00:00")
        assert ClearMLStorage(MODEL).resolve() != before

    def test_with_an_etag_a_change_of_a_comment_is_none_of_the_content(
        self, file_server: Server
    ) -> None:
        before = ClearMLStorage(MODEL).resolve()
        self.register(uri=f"{file_server.url}{PACKAGE}", last_update="2026-02-02T00:00:00")
        assert ClearMLStorage(MODEL).resolve() == before
