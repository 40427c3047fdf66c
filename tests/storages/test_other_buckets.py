"""Google's and Azure's buckets: their real clients against a server that answers what they ask."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.storages.bucket_server import Bucket
from tests.storages.contract import CONTENT, SECRET, StorageContract, secrets
from utils.errors import UserError
from utils.free_ports import free_ports
from utils.storages.contract import RemoteFile

__all__ = ["secrets"]

MODEL = "model.safetensors"


class BucketContract(StorageContract):
    """The contract, kept by a bucket; and what else buckets have in common."""

    def lead_to(self, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make the environment lead to a server."""
        raise NotImplementedError

    @pytest.fixture
    def bucket(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
        bucket = Bucket({f"bert/{name}": data for name, data in CONTENT.items()})
        with bucket.running():
            self.lead_to(bucket.address, monkeypatch)
            yield bucket

    @pytest.fixture
    def name(self, bucket: Bucket) -> str:
        assert bucket.files
        return "models/bert"

    @pytest.fixture
    def absent_name(self, bucket: Bucket) -> str:
        assert "nothing" not in bucket.files
        return "models/nothing"

    @pytest.fixture
    def changed(self, bucket: Bucket) -> AbstractContextManager[None]:
        @contextlib.contextmanager
        def context() -> Iterator[None]:
            bucket.files[f"bert/{MODEL}"] = CONTENT[MODEL][::-1]
            yield

        return context()

    @pytest.fixture
    def unreachable(self, monkeypatch: pytest.MonkeyPatch) -> AbstractContextManager[None]:
        wait = asyncio.sleep

        # The clients try again for minutes.
        def hurry(*_: Any) -> Coroutine[Any, Any, None]:
            return wait(0)

        @contextlib.contextmanager
        def context() -> Iterator[None]:
            monkeypatch.setattr(asyncio, "sleep", hurry)
            self.lead_to(f"http://127.0.0.1:{free_ports(1)[0]}", monkeypatch)
            yield

        return context()

    def test_only_what_is_missing_of_a_file_is_fetched(
        self, name: str, bucket: Bucket, tmp_path: Path
    ) -> None:
        target = tmp_path / MODEL
        target.write_bytes(CONTENT[MODEL][:1000])
        storage = self.storage(name)
        storage.download(storage.resolve(), RemoteFile(MODEL, len(CONTENT[MODEL])), target)
        assert target.read_bytes() == CONTENT[MODEL]
        # Clients may ask for several parts at once.
        starts = [int(asked.removeprefix("bytes=").partition("-")[0]) for asked in bucket.ranges]
        assert min(starts) == 1000

    def test_a_file_that_changed_since_it_was_listed_is_not_taken(
        self, name: str, tmp_path: Path, changed: AbstractContextManager[None]
    ) -> None:
        storage = self.storage(name)
        revision = storage.resolve()
        with changed, pytest.raises(UserError, match="changed while it was fetched"):
            storage.download(revision, RemoteFile(MODEL, None), tmp_path / MODEL)

    def test_a_folder_whose_name_only_begins_alike_is_not_part_of_it(
        self, name: str, bucket: Bucket
    ) -> None:
        before = self.storage(name).resolve()
        bucket.files["bert-large/config.json"] = b"{}"
        assert self.storage(name).resolve() == before

    def test_no_access_is_told(self, name: str, bucket: Bucket) -> None:
        bucket.denies = 403
        assert "no access" in self.refusal(name)


class TestGoogle(BucketContract):
    """With gcsfs."""

    scheme = "gs"

    def lead_to(self, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)


class TestAzure(BucketContract):
    """With adlfs."""

    scheme = "az"

    def lead_to(self, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        account = f"AccountName=account;AccountKey={SECRET.replace('-', '+')}ab="
        told = f"DefaultEndpointsProtocol=http;{account};BlobEndpoint={address}/account;"
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", told)
