"""Weights & Biases: the real SDK against a server that answers what it asks."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.storages.contract import CONTENT, MODEL_FILES, SECRET, StorageContract, secrets
from tests.storages.wandb_server import Wandb
from utils.errors import UserError
from utils.free_ports import free_ports
from utils.storages.cache import Cache
from utils.storages.contract import RemoteFile

__all__ = ["secrets"]

# Of the length that wandb's SDK expects of a key.
KEY = f"{SECRET}{'0' * 40}"


class TestWandb(StorageContract):
    """The contract, kept by an artifact's newest version."""

    scheme = "wandb"

    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
        """No files of whoever runs the tests, and nothing left of an earlier server."""
        import wandb

        for variable in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "NETRC"):
            monkeypatch.setenv(variable, str(tmp_path / variable))
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        wandb.teardown()
        yield
        wandb.teardown()

    @pytest.fixture
    def server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wandb]:
        server = Wandb(KEY, [CONTENT])
        with server.running():
            monkeypatch.setenv("WANDB_BASE_URL", server.address)
            yield server

    @pytest.fixture
    def name(self, server: Wandb) -> str:
        return f"{server.project}/bert:latest"

    @pytest.fixture
    def absent_name(self, server: Wandb) -> str:
        return f"{server.project}/bert:v7"

    @pytest.fixture
    def changed(self, server: Wandb) -> AbstractContextManager[None]:
        @contextlib.contextmanager
        def context() -> Iterator[None]:
            server.versions.append({**CONTENT, "config.json": b"{}"})
            yield

        return context()

    @pytest.fixture
    def unreachable(self, monkeypatch: pytest.MonkeyPatch) -> AbstractContextManager[None]:
        @contextlib.contextmanager
        def context() -> Iterator[None]:
            import wandb

            monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
            wandb.teardown()
            yield

        return context()

    def test_a_version_stays_what_it_is_while_others_are_added(
        self, server: Wandb, changed: AbstractContextManager[None], cache: Cache
    ) -> None:
        with changed:
            obtained = self.obtained(f"{server.project}/bert:v0", cache)
        assert obtained["config.json"] == CONTENT["config.json"]

    def test_without_an_alias_the_latest_is_meant(self, server: Wandb) -> None:
        latest = self.storage(f"{server.project}/bert:latest").resolve()
        assert self.storage(f"{server.project}/bert").resolve() == latest

    def test_another_process_takes_no_other_revision_than_asked_for(
        self, name: str, changed: AbstractContextManager[None]
    ) -> None:
        revision = self.storage(name).resolve()
        with changed, pytest.raises(UserError, match="changed while it was fetched"):
            self.storage(name).files(revision)

    def test_a_file_that_lies_elsewhere_is_not_followed(
        self, name: str, server: Wandb, tmp_path: Path
    ) -> None:
        (tmp_path / "private").write_text("private")
        server.references["config2.json"] = f"file://{tmp_path}/private"
        storage = self.storage(name)
        with pytest.raises(UserError, match="elsewhere"):
            storage.download(
                storage.resolve(), RemoteFile("config2.json", 7), tmp_path / "config2.json"
            )

    def test_nothing_is_written_to_the_working_folder(
        self, name: str, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "work").mkdir()
        monkeypatch.chdir(tmp_path / "work")
        assert set(self.obtained(name, cache)) == MODEL_FILES
        assert not list((tmp_path / "work").iterdir())

    def test_without_a_key_the_command_that_stores_one_is_told(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("WANDB_API_KEY")
        assert "wandb login" in self.refusal(name)

    def test_a_key_that_the_server_does_not_know_is_told(self, name: str, server: Wandb) -> None:
        server.key = "another"
        assert "no access" in self.refusal(name)

    def test_a_key_that_can_be_none_is_told_without_showing_it(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WANDB_API_KEY", f"{SECRET}!")
        assert "wandb login" in self.refusal(name)

    @pytest.mark.parametrize("name", ["bert", "project/bert:v0", "a/b/c:d:e", "a/b/c/d"])
    def test_a_name_of_another_form_is_refused_with_the_form(self, name: str) -> None:
        assert "wandb://entity/project/name:alias" in self.refusal(name)
