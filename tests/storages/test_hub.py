"""Names, revisions and paths on the Hugging Face Hub."""

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.storages.contract import CONTENT, StorageContract
from tests.storages.contract import secrets as secrets
from tests.storages.hub_state import Hub, Repository
from tests.storages.hub_tests import NAME, WEIGHTS, HubTests
from utils.errors import UserError
from utils.storages.cache import Cache
from utils.storages.contract import RemoteFile
from utils.storages.hub.storage import HubStorage


class TestHub(HubTests, StorageContract):
    scheme = "hf"

    @pytest.fixture
    def name(self, hub: Hub) -> str:  # noqa: ARG002
        return NAME

    @pytest.fixture
    def absent_name(self, hub: Hub) -> str:  # noqa: ARG002
        return "someone/absent"

    @pytest.fixture
    def changed(self, repository: Repository) -> AbstractContextManager[None]:
        @contextmanager
        def change() -> Iterator[None]:
            before = repository.refs["main"]
            repository.commit({**CONTENT, "config.json": b"{}"})
            yield
            repository.refs["main"] = before

        return change()

    @pytest.fixture
    def unreachable(self, monkeypatch: pytest.MonkeyPatch) -> AbstractContextManager[None]:
        @contextmanager
        def nobody_there() -> Iterator[None]:
            with socket.socket() as unheard, monkeypatch.context() as patch:
                unheard.bind(("127.0.0.1", 0))
                patch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unheard.getsockname()[1]}")
                yield

        return nobody_there()


class TestRevisions(HubTests):
    @pytest.mark.parametrize("ref", ["main", "v1.0", "refs/pr/3"])
    def test_a_branch_a_tag_and_a_pull_request_resolve_to_their_commit(
        self, ref: str, repository: Repository
    ) -> None:
        commit = repository.commit({"config.json": ref.encode()}, ref)
        assert HubStorage(f"{NAME}@{ref}").resolve() == commit

    def test_a_commit_stays_what_it_is_when_its_branch_moves(self, repository: Repository) -> None:
        commit = repository.refs["main"]
        repository.commit({"config.json": b"{}"})
        storage = HubStorage(f"{NAME}@{commit}")
        assert storage.resolve() == commit
        assert {file.name for file in storage.files(commit)} == set(CONTENT)

    def test_files_are_those_of_the_commit_even_if_the_branch_has_moved_since(
        self, repository: Repository, tmp_path: Path
    ) -> None:
        storage = HubStorage(NAME)
        commit = storage.resolve()
        repository.commit({"config.json": b"new"})
        storage.download(commit, RemoteFile("config.json", 22), tmp_path / "config.json")
        assert (tmp_path / "config.json").read_bytes() == CONTENT["config.json"]

    def test_a_revision_that_does_not_exist_is_named(self, hub: Hub) -> None:
        assert hub.repositories
        with pytest.raises(UserError, match=r"^hf://someone/model@v9: .* no revision 'v9'"):
            HubStorage(f"{NAME}@v9").resolve()


class TestPaths(HubTests):
    @pytest.fixture(autouse=True)
    def folders(self, repository: Repository) -> None:
        """Two models in one repository, on main and on the tag `old`."""
        files = {
            "config.json": b"top",
            "small/config.json": b"small",
            "small/deep/config.json": b"deep",
            "small/model.safetensors": b"weights",
            "smaller/config.json": b"smaller",
        }
        repository.commit(files, "old")
        repository.commit({**files, "small/config.json": b"new"})

    @pytest.mark.parametrize("path", ["/small", "@main/small", "@main/small/"])
    def test_a_folder_holds_only_its_own_files_named_from_it(self, path: str) -> None:
        storage = HubStorage(NAME + path)
        files = {file.name: file.size for file in storage.files(storage.resolve())}
        assert files == {"config.json": 3, "deep/config.json": 4, "model.safetensors": 7}

    @pytest.mark.parametrize(("revision", "content"), [("", b"new"), ("@old", b"small")])
    def test_a_file_of_a_folder_is_that_of_the_revision(
        self, revision: str, content: bytes, tmp_path: Path
    ) -> None:
        storage = HubStorage(f"{NAME}{revision}/small")
        file = RemoteFile("config.json", len(content))
        storage.download(storage.resolve(), file, tmp_path / "config.json")
        assert (tmp_path / "config.json").read_bytes() == content

    def test_a_file_can_be_named_itself(self, tmp_path: Path) -> None:
        storage = HubStorage(f"{NAME}@old/small/config.json")
        commit = storage.resolve()
        assert storage.files(commit) == [RemoteFile("config.json", 5)]
        storage.download(commit, RemoteFile("config.json", 5), tmp_path / "config.json")
        assert (tmp_path / "config.json").read_bytes() == b"small"

    def test_a_path_that_is_not_there_is_named(self) -> None:
        storage = HubStorage(f"{NAME}/smal")
        with pytest.raises(UserError, match="has no folder or file 'smal'"):
            storage.files(storage.resolve())

    def test_a_model_in_a_folder_is_obtained(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path / "cache")
        contract = StorageContract()
        contract.scheme = "hf"
        found = contract.obtained(f"{NAME}@old/small", cache)
        assert found == {
            "config.json": b"small",
            WEIGHTS: b"weights",
        }


@pytest.mark.parametrize(
    "name",
    ["model", "a/b@", "/a", "a b/c", "datasets/a/b", "a/b--c", "a/b.git", "a//b", "a/b/c//d"],
)
def test_what_can_be_no_model_is_refused_before_anything_is_asked(name: str) -> None:
    with pytest.raises(UserError, match="no model can have this name"):
        HubStorage(name)
