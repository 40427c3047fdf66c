"""As much of Google's and of Azure's buckets as their clients ask for to read one.

The answers are made after the services' documentation, not after real servers.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.storages.in_thread import serving

GOOGLE = "/storage/v1/b/models/o"
GOOGLE_MEDIA = f"/download{GOOGLE}"
AZURE = "/account/models"
TIME = {"Last-Modified": "Fri, 01 Mar 2024 10:00:00 GMT"}


@dataclass
class Bucket:
    """A bucket called models.

    Attributes:
        files: content by key.
        address: where it is served.
        ranges: the ranges that were asked for.
        denies: the status of every answer, if there is one.
    """

    files: dict[str, bytes]
    address: str = ""
    ranges: list[str] = field(default_factory=list)
    denies: int | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Serve on a free port."""

        class Handler(_Handler):
            bucket = self

        with serving(Handler) as port:
            self.address = f"http://127.0.0.1:{port}"
            yield

    def tag(self, key: str) -> str:
        """Changes with a file's content."""
        return hashlib.sha256(self.files[key]).hexdigest()[:16]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        path, query = unquote(address.path), parse_qs(address.query)
        prefix = query.get("prefix", [""])[0]
        found = [key for key in sorted(self.bucket.files) if key.startswith(prefix)]
        if self.bucket.denies:
            self.answer(self.bucket.denies, b"", {})
        elif path == GOOGLE:
            items = [self.google(key) for key in found]
            self.answer(200, json.dumps({"kind": "storage#objects", "items": items}).encode(), {})
        elif path == AZURE:
            self.answer(200, self.azure(found), {"Content-Type": "application/xml"})
        else:
            start = next(it for it in (GOOGLE_MEDIA, GOOGLE, AZURE) if path.startswith(it))
            self.one(path.removeprefix(f"{start}/"), about=start == GOOGLE)

    def one(self, key: str, about: bool) -> None:
        """A file, a part of it, or what is known of it."""
        content = self.bucket.files.get(key)
        asked = self.headers["x-ms-range"] or self.headers["Range"]
        if content is None:
            self.answer(404, b"", {"x-ms-error-code": "BlobNotFound"})
        elif about:
            self.answer(200, json.dumps(self.google(key)).encode(), {})
        else:
            headers = {"ETag": f'"{self.bucket.tag(key)}"', "x-ms-blob-type": "BlockBlob", **TIME}
            if not asked:
                self.answer(200, content, headers)
                return
            self.bucket.ranges.append(asked)
            first, _, last = asked.removeprefix("bytes=").partition("-")
            part = content[int(first) : int(last) + 1]
            if not part:
                self.answer(416, b"", {})
                return
            end = int(first) + len(part) - 1
            headers["Content-Range"] = f"bytes {first}-{end}/{len(content)}"
            self.answer(206, part, headers)

    def google(self, key: str) -> dict[str, str]:
        generation = str(int(self.bucket.tag(key), 16))
        size = str(len(self.bucket.files[key]))
        about = {"kind": "storage#object", "name": key, "bucket": "models", "size": size}
        return {**about, "generation": generation, "updated": "2024-03-01T10:00:00Z"}

    def azure(self, keys: list[str]) -> bytes:
        blobs = "".join(
            f"<Blob><Name>{key}</Name><Properties><Etag>{self.bucket.tag(key)}</Etag>"
            f"<Last-Modified>{TIME['Last-Modified']}</Last-Modified>"
            f"<Content-Length>{len(self.bucket.files[key])}</Content-Length>"
            "<BlobType>BlockBlob</BlobType></Properties></Blob>"
            for key in keys
        )
        listed = f'<EnumerationResults ContainerName="models"><Blobs>{blobs}</Blobs><NextMarker />'
        return f'<?xml version="1.0" encoding="utf-8"?>{listed}</EnumerationResults>'.encode()

    def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
