"""What every storage must do: one suite, inherited by the tests of each."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from utils.errors import UserError
from utils.storages.cache import Cache
from utils.storages.contract import RemoteFile, Storage
from utils.storages.obtain import obtain
from utils.storages.reference import Reference
from utils.storages.table import storage_class
from utils.storages.wanted import WANTED

# A model's folder as training leaves it: half of it is of no use here.
CONTENT: dict[str, bytes] = {
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": bytes(range(256)) * 2000,
    "tokenizer.json": b'{"version": "1.0"}',
    "tokenizer_config.json": b"{}",
    "optimizer.pt": b"o" * 5000,
    "training_args.bin": b"t" * 500,
    "runs/events.out": b"e" * 500,
}
MODEL_FILES = {"config.json", "model.safetensors"}

# Set in the environment of every test; no error may repeat it.
SECRET = "canary-7f3a9c"  # noqa: S105


class StorageContract:
    """Inherit it, set `scheme`, and give the fixtures below."""

    scheme: str

    @pytest.fixture
    def name(self) -> str:
        """The name of something that holds CONTENT."""
        raise NotImplementedError

    @pytest.fixture
    def absent_name(self) -> str:
        """A name of the right form that nothing has."""
        raise NotImplementedError

    @pytest.fixture
    def changed(self, name: str) -> AbstractContextManager[None]:
        """A context in which `name` stands for other content than before."""
        raise NotImplementedError

    @pytest.fixture
    def unreachable(self) -> AbstractContextManager[None]:
        """A context in which the storage's server does not answer."""
        raise NotImplementedError

    def storage(self, name: str) -> Storage:
        """A storage of the scheme."""
        return storage_class(self.scheme)(name)

    @pytest.fixture
    def cache(self, tmp_path: Path) -> Cache:
        """An empty cache."""
        return Cache(tmp_path / "cache")

    def obtained(self, name: str, cache: Cache, offline: bool = False) -> dict[str, bytes]:
        """Files of the model that a name leads to."""
        folder = obtain(Reference(self.scheme, name), WANTED["model"], cache, offline).folder
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    def test_a_name_resolves_to_the_same_revision_as_long_as_nothing_changes(
        self, name: str
    ) -> None:
        assert self.storage(name).resolve() == self.storage(name).resolve() != ""

    def test_other_content_is_another_revision(
        self, name: str, changed: AbstractContextManager[None]
    ) -> None:
        before = self.storage(name).resolve()
        with changed:
            assert self.storage(name).resolve() != before

    def test_all_files_are_listed_with_their_sizes_if_the_storage_knows_them(
        self, name: str
    ) -> None:
        storage = self.storage(name)
        files = {file.name: file.size for file in storage.files(storage.resolve())}
        assert set(files) == set(CONTENT)
        assert all(size in (None, len(CONTENT[file])) for file, size in files.items())

    @pytest.mark.parametrize("arrived", [0, 1, 100_000])
    def test_a_file_comes_whole_whatever_an_interrupted_transfer_left(
        self, arrived: int, name: str, tmp_path: Path
    ) -> None:
        storage = self.storage(name)
        content = CONTENT["model.safetensors"]
        target = tmp_path / "model.safetensors"
        if arrived:
            target.write_bytes(content[:arrived])
        file = RemoteFile("model.safetensors", len(content))
        storage.download(storage.resolve(), file, target)
        assert target.read_bytes() == content

    def test_only_wanted_files_are_obtained(self, name: str, cache: Cache) -> None:
        assert self.obtained(name, cache) == {file: CONTENT[file] for file in MODEL_FILES}

    def test_what_was_obtained_is_there_offline(
        self, name: str, cache: Cache, unreachable: AbstractContextManager[None]
    ) -> None:
        online = self.obtained(name, cache)
        with unreachable:
            assert self.obtained(name, cache, offline=True) == online

    def test_offline_without_having_it_says_so(self, name: str, cache: Cache) -> None:
        with pytest.raises(UserError, match="is not in the cache"):
            self.obtained(name, cache, offline=True)

    def test_a_name_of_nothing_is_one_line_that_names_it(self, absent_name: str) -> None:
        line = self.refusal(absent_name)
        assert line.startswith(f"{self.scheme}://{absent_name}: ")

    def test_a_server_that_does_not_answer_is_one_line_that_says_so(
        self, name: str, unreachable: AbstractContextManager[None]
    ) -> None:
        with unreachable:
            line = self.refusal(name)
        assert line.startswith(f"{self.scheme}://{name}: ")
        assert "reach" in line

    def refusal(self, name: str) -> str:
        """The one line that a name ends with."""
        with pytest.raises(UserError) as caught:
            self.storage(name).resolve()
        line = str(caught.value)
        assert "\n" not in line
        assert SECRET not in line
        return line


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Canaries in the environment variables that clients read credentials from."""
    names = "HF_TOKEN WANDB_API_KEY AWS_SECRET_ACCESS_KEY CLEARML_API_SECRET_KEY"
    for variable in names.split():
        if variable not in os.environ:
            monkeypatch.setenv(variable, SECRET)
    yield
