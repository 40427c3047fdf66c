"""Files of whatever fsspec knows."""

import errno
import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar

import fsspec

from utils.errors import first_line
from utils.storages.contract import RemoteFile
from utils.storages.refusals import http_status
from utils.storages.refusing import Refusing

# One request for each: large enough for a wide line, small enough to lose.
BLOCK = 16 * 2**20

# What a file system tells about a file.
Details = Mapping[str, Any]


class FileSystemStorage(Refusing):
    """A folder, or one file, of a file system that can list.

    Attributes:
        scheme: of references, and fsspec's name of the file system.
        login: what to do without credentials.
        options: of the file system.
        mark: key of the detail that changes with a file's content.
    """

    options: ClassVar[Mapping[str, Any]] = {}
    mark: ClassVar[str]

    def __init__(self, name: str) -> None:
        """See `Storage`."""
        super().__init__(name)
        self._listed: dict[str, Details] = {}
        with self.refusals():
            # Neither an earlier object nor an earlier listing: both would hide changes.
            self.system = fsspec.filesystem(
                self.scheme, skip_instance_cache=True, use_listings_cache=False, **self.options
            )

    def resolve(self) -> str:
        """A digest of the names, the sizes and the marks of all files."""
        with self.refusals():
            self._listed = self.listing()
        if not self._listed:
            raise self.absent()
        return self._revision()

    def files(self, revision: str) -> list[RemoteFile]:
        """See `Storage`."""
        return [RemoteFile(name, self._size(name)) for name in sorted(self._at(revision))]

    def download(self, revision: str, file: RemoteFile, target: Path) -> None:
        """Go on behind what `target` holds, with as many requests as there are blocks."""
        details = self._at(revision)[file.name]
        with target.open("ab") as written:
            with self.refusals():
                source = self.opened(details, written.tell())
            with source:
                written.truncate(source.tell())
                while chunk := self._read(source, details["size"]):
                    written.write(chunk)
        self._check_unchanged(details, target)

    def opened(self, details: Details, start: int) -> Any:
        """A file at a position, at its beginning where its server cannot do that."""
        path = details["name"]
        source = self.system.open(path, "rb", block_size=BLOCK, cache_type="none")
        # From here on s3fs and gcsfs ask for this very version.
        if self.marked(source.details) != self.marked(details):
            raise self.changed()
        source.seek(start)
        return source

    def listing(self) -> dict[str, Details]:
        """Details of all files by their names inside the model; empty if there are none."""
        root = self.system._strip_protocol(f"{self.scheme}://{self._name}").rstrip("/")
        found = self.system.find(root, detail=True)
        return {
            path[len(root) + 1 :] or Path(path).name: details
            for path, details in found.items()
            # A key that ends with a slash is how consoles make a folder.
            if details["type"] == "file" and not path.endswith("/")
        }

    def marked(self, details: Details) -> str:
        """What changes with a file's content."""
        return str(details[self.mark])

    def _check_unchanged(self, details: Details, target: Path) -> None:
        with self.refusals():
            now = self.system.info(details["name"])
        if (self.marked(now), now["size"]) != (self.marked(details), details["size"]):
            # What came may be of both.
            target.unlink()
            raise self.changed()

    def _at(self, revision: str) -> dict[str, Details]:
        if not self._listed:
            with self.refusals():
                self._listed = self.listing()
        if self._revision() != revision:
            raise self.changed()
        return self._listed

    def _revision(self) -> str:
        digest = hashlib.sha256()
        for name, details in sorted(self._listed.items()):
            digest.update(f"{name}\0{details['size']}\0{self.marked(details)}\n".encode())
        return digest.hexdigest()

    def _size(self, name: str) -> int | None:
        size = self._listed[name]["size"]
        return None if size is None else int(size)

    def _read(self, source: Any, size: int | None) -> bytes:
        # Not beyond the end: gcsfs makes requests of parts, some of which would have nothing.
        left = BLOCK if size is None else size - source.tell()
        try:
            return bytes(source.read(min(BLOCK, left))) if left > 0 else b""
        except Exception as error:
            # For s3fs a version that is no more is "busy", for gcsfs it is not found.
            number = getattr(error, "errno", None)
            gone = number == errno.EBUSY or isinstance(error, FileNotFoundError)
            if gone or http_status(error) == HTTPStatus.PRECONDITION_FAILED:
                raise self.changed() from error
            raise self.refused(
                f"the transfer broke: {first_line(error)}", "another run goes on from there"
            ) from error
