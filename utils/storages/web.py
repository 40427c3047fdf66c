"""Single files and archives at an address."""

import uuid
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from aiohttp import ClientTimeout

from utils.storages.contract import StorageError
from utils.storages.files import Details, FileSystemStorage

# What a server may say about content, the most exact first.
MARKS = ("ETag", "Content-MD5", "Digest", "Last-Modified")

# Of aiohttp: without these it gives up after five minutes of a transfer that goes well.
SILENCE = ClientTimeout(total=None, sock_connect=30, sock_read=60)


class WebStorage(FileSystemStorage):
    """One file at an address; nothing there can be listed."""

    # Proxies are named in the environment, passwords in ~/.netrc.
    options: ClassVar[Mapping[str, Any]] = {
        "client_kwargs": {"trust_env": True, "timeout": SILENCE},
    }
    login = "a user and a password for this host in ~/.netrc"

    def __init__(self, name: str) -> None:
        """See `Storage`."""
        self._address = f"{self.scheme}://{name}"
        super().__init__(name)
        self._file = unquote(PurePosixPath(urlsplit(self._address).path).name)
        if not self._file:
            raise self.refused("names no file", f"{self.scheme}://host/model.tar.gz")
        # A server that says nothing about content has other content each time it is asked.
        self._unmarked = uuid.uuid4().hex

    def listing(self) -> dict[str, Details]:
        """The one file."""
        return {self._file: self.system.info(self._address)}

    def marked(self, details: Details) -> str:
        """See MARKS."""
        return next((details[mark] for mark in _first_mark(details)), self._unmarked)

    def opened(self, details: Details, start: int) -> Any:
        """One request for the rest of the file."""
        # Positions are of the file, not of what a server makes of it on the way.
        headers = {"Accept-Encoding": "identity"}
        tag = details.get("ETag", "")
        # A weak tag never matches.
        if tag.startswith('"'):
            headers["If-Match"] = tag
        size = details["size"]
        if _first_mark(details) and 0 < start < (size or 0):
            headers["Range"] = f"bytes={start}-"
        source = self.system.open(self._address, "rb", block_size=0, size=size, headers=headers)
        answer = source.r
        if any(details[mark] != answer.headers.get(mark) for mark in _first_mark(details)):
            raise self.changed()
        # A stream counts from zero; a server without ranges does begin there.
        source.loc = start if answer.status == HTTPStatus.PARTIAL_CONTENT else 0
        return source

    def refusal(self, error: BaseException) -> StorageError:
        """What fsspec calls a file that is not found may be anything."""
        wraps = isinstance(error, FileNotFoundError) and error.__cause__
        return super().refusal(wraps or error)


def _first_mark(details: Details) -> list[str]:
    return [mark for mark in MARKS if details.get(mark)][:1]


class HttpStorage(WebStorage):
    """A file at an http:// address."""

    scheme = "http"


class HttpsStorage(WebStorage):
    """A file at an https:// address."""

    scheme = "https"
