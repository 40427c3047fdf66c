"""Weights on ClearML's file server, when the network is not what it should be."""

from pathlib import Path

import pytest

from tests.storages.clearml_server import Answers, Server
from tests.storages.clearml_tests import MODEL, PACKAGE, ClearMLTests, package
from tests.storages.contract import CONTENT, SECRET
from utils.storages.clearml.storage import ClearMLStorage
from utils.storages.contract import RemoteFile, StorageError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WHOLE = package(CONTENT)
SIZE = len(WHOLE)


class TestTransfers(ClearMLTests):
    def test_a_dropped_connection_is_gone_on_with_where_it_broke(
        self, answers: Answers, tmp_path: Path
    ) -> None:
        answers.drop_after = [70_001, 200_002]
        assert self.fetch(tmp_path / "model.zip") == WHOLE
        assert answers.sent == [(0, 70_001), (70_001, 200_002), (270_003, SIZE - 270_003)]

    def test_a_server_without_ranges_is_asked_for_all_of_it_again(
        self, answers: Answers, tmp_path: Path
    ) -> None:
        answers.ranges, answers.drop_after = False, [70_001]
        assert self.fetch(tmp_path / "model.zip") == WHOLE
        assert answers.sent == [(0, 70_001), (0, SIZE)]

    def test_a_transfer_that_breaks_too_often_leaves_what_came_for_the_next(
        self, answers: Answers, tmp_path: Path
    ) -> None:
        answers.drop_after = [10_000] * 5
        with pytest.raises(StorageError, match="broke off"):
            self.fetch(tmp_path / "model.zip")
        assert self.fetch(tmp_path / "model.zip") == WHOLE
        assert sum(size for _, size in answers.sent) == SIZE

    def test_what_is_there_already_is_not_fetched(self, answers: Answers, tmp_path: Path) -> None:
        (tmp_path / "model.zip").write_bytes(WHOLE)
        self.fetch(tmp_path / "model.zip")
        assert answers.sent == []

    def test_more_than_there_is_is_no_beginning_of_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "model.zip").write_bytes(WHOLE + b"more")
        assert self.fetch(tmp_path / "model.zip") == WHOLE

    def test_weights_that_are_replaced_meanwhile_are_not_mixed(
        self, answers: Answers, tmp_path: Path
    ) -> None:
        storage = ClearMLStorage(MODEL)
        revision = storage.resolve()
        target = tmp_path / "model.zip"
        target.write_bytes(WHOLE[:1000])
        answers.files[PACKAGE] = WHOLE[:-1] + b"?"
        with pytest.raises(StorageError, match="was replaced while it was fetched"):
            storage.download(revision, RemoteFile("model_package.zip", SIZE), target)
        assert target.read_bytes() == WHOLE[:1000]

    def test_files_of_a_revision_that_is_no_more_are_refused(self, answers: Answers) -> None:
        revision = ClearMLStorage(MODEL).resolve()
        answers.files[PACKAGE] = package({"config.json": b"{}"})
        with pytest.raises(StorageError, match=f"by now, not {revision}"):
            ClearMLStorage(MODEL).files(revision)

    def test_a_server_without_head_is_asked_with_get(
        self, answers: Answers, tmp_path: Path
    ) -> None:
        answers.head = False
        assert self.fetch(tmp_path / "model.zip") == WHOLE

    def test_the_file_server_can_be_the_one_that_is_down(self, file_server: Server) -> None:
        with file_server.down():
            line = self.refusal()
        assert "the file server 127.0.0.1" in line
        assert "reach" in line

    def test_weights_that_were_deleted_are_said_to_be_so(self, answers: Answers) -> None:
        answers.files.clear()
        assert "answered 404" in self.refusal()

    def test_a_signed_address_is_not_repeated(self, file_server: Server) -> None:
        self.register(uri=f"{file_server.url}{PACKAGE}?signature={SECRET}")
        with file_server.down():
            assert "cannot be reached" in self.refusal()
