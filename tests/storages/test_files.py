"""Buckets, against moto's S3 server."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.storages.bucket_server import Bucket
from tests.storages.contract import CONTENT, MODEL_FILES, StorageContract, secrets
from tests.storages.packing import zipped
from tests.storages.s3_server import bucket, s3_server
from utils.errors import UserError
from utils.free_ports import free_ports
from utils.storages import files
from utils.storages.cache import Cache
from utils.storages.contract import RemoteFile

__all__ = ["bucket", "s3_server", "secrets"]

MODEL = "model.safetensors"


class TestS3(StorageContract):
    """The contract, kept by a bucket."""

    scheme = "s3"

    @pytest.fixture
    def name(self, bucket: Any) -> str:
        return f"{bucket.name}/bert"

    @pytest.fixture
    def absent_name(self, bucket: Any) -> str:
        return f"{bucket.name}/nothing"

    @pytest.fixture
    def changed(self, bucket: Any) -> AbstractContextManager[None]:
        @contextlib.contextmanager
        def context() -> Iterator[None]:
            bucket.put_object(Key=f"bert/{MODEL}", Body=CONTENT[MODEL][::-1])
            yield

        return context()

    @pytest.fixture
    def unreachable(self, monkeypatch: pytest.MonkeyPatch) -> AbstractContextManager[None]:
        @contextlib.contextmanager
        def context() -> Iterator[None]:
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
            yield

        return context()

    @pytest.mark.usefixtures("bucket")
    def test_a_bucket_that_is_not_there_is_nothing_of_that_name(self) -> None:
        assert "there is nothing of that name" in self.refusal("no-such-bucket/bert")

    def test_a_folder_whose_name_only_begins_alike_is_not_part_of_it(
        self, name: str, bucket: Any
    ) -> None:
        before = self.storage(name).resolve()
        bucket.put_object(Key="bert-large/config.json", Body=b"{}")
        assert self.storage(name).resolve() == before

    def test_a_slash_at_the_end_of_a_folder_means_nothing(self, name: str) -> None:
        assert self.storage(f"{name}/").resolve() == self.storage(name).resolve()

    def test_objects_that_stand_for_folders_are_no_files(self, name: str, bucket: Any) -> None:
        bucket.put_object(Key="bert/onnx/", Body=b"")
        storage = self.storage(name)
        assert {file.name for file in storage.files(storage.resolve())} == set(CONTENT)

    def test_an_archive_in_a_bucket_is_unpacked(self, bucket: Any, cache: Cache) -> None:
        bucket.put_object(Key="bert.zip", Body=zipped(CONTENT))
        expected = {file: CONTENT[file] for file in MODEL_FILES}
        assert self.obtained(f"{bucket.name}/bert.zip", cache) == expected

    def test_only_what_is_missing_of_a_file_is_fetched(self, name: str, tmp_path: Path) -> None:
        target = tmp_path / MODEL
        # Not the real first bytes: they stay if nobody fetches them again.
        target.write_bytes(b"?" * 100)
        storage = self.storage(name)
        storage.download(storage.resolve(), RemoteFile(MODEL, len(CONTENT[MODEL])), target)
        assert target.read_bytes() == b"?" * 100 + CONTENT[MODEL][100:]

    def test_a_file_that_changed_since_it_was_listed_is_not_taken(
        self, name: str, tmp_path: Path, changed: AbstractContextManager[None]
    ) -> None:
        storage = self.storage(name)
        revision = storage.resolve()
        with changed, pytest.raises(UserError, match="changed while it was fetched"):
            storage.download(revision, RemoteFile(MODEL, None), tmp_path / MODEL)

    def test_a_file_that_changes_between_two_blocks_is_not_mixed(
        self,
        name: str,
        tmp_path: Path,
        changed: AbstractContextManager[None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(files, "BLOCK", 100_000)
        read = files.FileSystemStorage._read
        target = tmp_path / MODEL
        with contextlib.ExitStack() as stack:

            def change_after_first(storage: Any, source: Any, size: int | None) -> bytes:
                if source.tell() == 100_000:
                    stack.enter_context(changed)
                return read(storage, source, size)

            monkeypatch.setattr(files.FileSystemStorage, "_read", change_after_first)
            storage = self.storage(name)
            with pytest.raises(UserError, match="changed while it was fetched"):
                storage.download(storage.resolve(), RemoteFile(MODEL, None), target)
        assert target.read_bytes() == CONTENT[MODEL][:100_000]

    def test_another_process_takes_no_other_revision_than_asked_for(
        self, name: str, changed: AbstractContextManager[None]
    ) -> None:
        revision = self.storage(name).resolve()
        with changed, pytest.raises(UserError, match="changed while it was fetched"):
            self.storage(name).files(revision)

    def test_no_credentials_are_told_with_the_command_that_gives_some(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        assert "aws configure" in self.refusal(name)

    def test_no_access_is_told_with_the_command_that_gives_it(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed = Bucket({}, denies=403)
        with closed.running():
            monkeypatch.setenv("AWS_ENDPOINT_URL", closed.address)
            line = self.refusal(name)
        assert "no access" in line
        assert "aws configure" in line
