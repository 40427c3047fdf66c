"""Models of ClearML in folders that machines share."""

import os
from pathlib import Path

import pytest

from tests.storages.clearml_tests import MODEL, ClearMLTests
from tests.storages.contract import CONTENT, MODEL_FILES
from utils.storages.cache import Cache
from utils.storages.clearml.storage import ClearMLStorage
from utils.storages.contract import RemoteFile
from utils.storages.obtain import obtain
from utils.storages.reference import Reference
from utils.storages.wanted import WANTED

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class TestSharedFolder(ClearMLTests):
    @pytest.fixture
    def shared(self, tmp_path: Path) -> Path:
        """A folder with CONTENT in best/ and something beside it, which MODEL is."""
        folder = tmp_path / "shared"
        best = {f"best/{name}": data for name, data in CONTENT.items()}
        for name, data in {**best, "a.txt": b"a"}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return folder

    @pytest.fixture
    def uri(self, shared: Path) -> str:
        return shared.as_uri()

    def test_all_its_files_are_listed(self) -> None:
        expected = {RemoteFile(f"best/{name}", len(data)) for name, data in CONTENT.items()}
        assert set(self.listed()) == {*expected, RemoteFile("a.txt", 1)}

    def test_a_path_inside_is_a_model_of_its_own(self) -> None:
        expected = {RemoteFile(name, len(data)) for name, data in CONTENT.items()}
        assert set(self.listed(f"{MODEL}/best")) == expected

    def test_a_path_inside_may_be_a_file(self) -> None:
        assert self.listed(f"{MODEL}/best/config.json") == [
            RemoteFile("config.json", len(CONTENT["config.json"]))
        ]

    def test_a_path_to_nothing_says_so(self) -> None:
        assert "has nothing at bes" in self.refusal(f"{MODEL}/bes")

    def test_the_model_in_it_is_obtained(self, tmp_path: Path) -> None:
        reference = Reference("clearml", MODEL)
        folder = obtain(reference, WANTED["model"], Cache(tmp_path / "cache"), False).folder
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
            name: CONTENT[name] for name in MODEL_FILES
        }

    def test_a_file_replaced_by_one_of_the_same_size_and_time_is_another_revision(
        self, shared: Path
    ) -> None:
        path = shared / "best" / "config.json"
        os.utime(path, ns=(0, 1))
        before = ClearMLStorage(MODEL).resolve()
        path.write_bytes(path.read_bytes()[::-1])
        os.utime(path, ns=(0, 1))
        assert ClearMLStorage(MODEL).resolve() != before

    def test_a_folder_that_is_on_another_machine_is_said_to_be_so(self, tmp_path: Path) -> None:
        self.register(uri=(tmp_path / "elsewhere").as_uri())
        assert "is not on this machine" in self.refusal()

    def test_one_file_of_a_folder_has_its_own_name(self, shared: Path) -> None:
        self.register(uri=(shared / "a.txt").as_uri())
        assert self.listed() == [RemoteFile("a.txt", 1)]

    def test_one_file_of_a_folder_comes(self, shared: Path, tmp_path: Path) -> None:
        self.register(uri=(shared / "a.txt").as_uri())
        assert self.fetch(tmp_path / "a.txt") == b"a"
