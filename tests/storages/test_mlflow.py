"""MLflow, against its own server."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
from mlflow import MlflowClient

from tests.storages.contract import CONTENT, MODEL_FILES, SECRET, StorageContract, secrets
from tests.storages.mlflow_server import TRACKING, client, model, run, server
from tests.storages.packing import PACKED
from tests.storages.web_server import Site
from utils.errors import UserError
from utils.free_ports import free_ports
from utils.storages.cache import Cache

__all__ = ["client", "model", "run", "secrets", "server"]


class TestMLflow(StorageContract):
    """The contract, kept by an alias, which is what can stand for other content."""

    scheme = "mlflow"

    @pytest.fixture
    def name(self, model: str) -> str:
        return f"models:/{model}@best"

    @pytest.fixture
    def absent_name(self, model: str) -> str:
        return f"models:/{model}/7"

    @pytest.fixture
    def changed(self, client: MlflowClient, model: str, run: str) -> AbstractContextManager[None]:
        @contextlib.contextmanager
        def context() -> Iterator[None]:
            client.create_model_version(model, f"runs:/{run}/model", run)
            client.set_registered_model_alias(model, "best", "2")
            yield

        return context()

    @pytest.fixture
    def unreachable(self, monkeypatch: pytest.MonkeyPatch) -> AbstractContextManager[None]:
        @contextlib.contextmanager
        def context() -> Iterator[None]:
            port = free_ports(1)[0]
            monkeypatch.setenv(TRACKING, f"http://user:{SECRET}@127.0.0.1:{port}")
            yield

        return context()

    def test_a_version_is_fetched(self, model: str, cache: Cache) -> None:
        assert set(self.obtained(f"models:/{model}/1", cache)) == MODEL_FILES

    def test_an_alias_that_moves_away_does_not_take_a_fetch_along(
        self, name: str, changed: AbstractContextManager[None]
    ) -> None:
        storage = self.storage(name)
        revision = storage.resolve()
        with changed:
            assert {file.name for file in storage.files(revision)} == set(CONTENT)
            with pytest.raises(UserError, match="changed while it was fetched"):
                self.storage(name).files(revision)

    def test_what_a_run_logged_is_fetched_without_being_registered(
        self, run: str, cache: Cache
    ) -> None:
        assert set(self.obtained(f"runs:/{run}/model", cache)) == MODEL_FILES

    def test_a_file_that_a_run_adds_is_another_revision(
        self, run: str, client: MlflowClient
    ) -> None:
        before = self.storage(f"runs:/{run}/model").resolve()
        client.log_text(run, "more", "model/more.txt")
        assert self.storage(f"runs:/{run}/model").resolve() != before

    @pytest.mark.parametrize(
        "root", ["models:/{model}/1", "models:/{model}@best", "runs:/{run}/model"]
    )
    def test_a_path_leads_to_a_folder_inside(self, root: str, model: str, run: str) -> None:
        storage = self.storage(f"{root.format(model=model, run=run)}/runs")
        assert [file.name for file in storage.files(storage.resolve())] == ["events.out"]

    def test_a_path_leads_to_an_archive_that_is_unpacked(self, run: str, cache: Cache) -> None:
        assert set(self.obtained(f"runs:/{run}/{PACKED}", cache)) == MODEL_FILES

    def test_a_path_of_nothing_is_told(self, model: str) -> None:
        assert "nothing of that name" in self.refusal(f"models:/{model}/1/nothing")

    @pytest.mark.parametrize("name", ["bert/1", "models:/bert", "models:/bert/latest", "runs:/"])
    def test_a_name_of_another_form_is_refused_with_the_forms(self, name: str) -> None:
        assert "models:/name@alias" in self.refusal(name)

    def test_without_a_server_in_the_environment_none_is_made_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(TRACKING, raising=False)
        assert f"export {TRACKING}" in self.refusal("models:/bert/1")

    def test_no_access_is_told_with_the_variables_to_set(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)
        site = Site(user="someone else")
        with site.running():
            monkeypatch.setenv(TRACKING, f"http://127.0.0.1:{site.port}")
            line = self.refusal("models:/bert/1")
        assert "no access" in line
        assert "MLFLOW_TRACKING_TOKEN" in line
