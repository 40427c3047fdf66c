"""Archives of the content that storages are tested with, and the contract for one archive."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.storages.contract import CONTENT, StorageContract
from utils.storages.contract import RemoteFile

PACKED = "bert.tar.gz"


def tar_gz(content: Mapping[str, bytes]) -> bytes:
    """A .tar.gz of files."""
    archived = io.BytesIO()
    with tarfile.open(fileobj=archived, mode="w") as archive:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    # Without the time: the same bytes every time, and many enough to break off among.
    return gzip.compress(archived.getvalue(), 0, mtime=0)


def zipped(content: Mapping[str, bytes]) -> bytes:
    """A .zip of files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return packed.getvalue()


class ArchiveContract(StorageContract):
    """The contract for what has no listing: `name` is an archive of CONTENT called PACKED."""

    # One file instead of those of CONTENT.
    def test_all_files_are_listed_with_their_sizes_if_the_storage_knows_them(
        self, name: str
    ) -> None:
        storage = self.storage(name)
        expected = RemoteFile(PACKED, len(tar_gz(CONTENT)))
        assert storage.files(storage.resolve()) == [expected]

    # The same with the archive.
    @pytest.mark.parametrize("arrived", [0, 1, 100_000])
    def test_a_file_comes_whole_whatever_an_interrupted_transfer_left(
        self, arrived: int, name: str, tmp_path: Path
    ) -> None:
        storage, content = self.storage(name), tar_gz(CONTENT)
        target = tmp_path / "arrived.tar.gz"
        if arrived:
            target.write_bytes(content[:arrived])
        storage.download(storage.resolve(), RemoteFile(PACKED, len(content)), target)
        assert target.read_bytes() == content
