"""A web server in a thread, with what real ones have and do: ranges, tags, and bad days."""

import contextlib
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.storages.in_thread import serving


@dataclass
class Site:
    """What a server serves and how.

    Attributes:
        files: content by path.
        marks: headers that tell contents apart; "tag" for an ETag made of the content.
        ranges: whether it honours Range.
        drop_after: bytes of an answer after which it hangs up, once.
        user: what Authorization must be.
        port: where it listens.
        certificate: with its key; None: without TLS.
        asked: method, path and Range header of every request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=lambda: {"ETag": "tag"})
    ranges: bool = True
    drop_after: int | None = None
    user: str | None = None
    port: int = 0
    certificate: Path | None = None
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Serve on `port`, or on a free one that becomes it."""

        class Handler(_Handler):
            site = self

        with serving(Handler, self.port, self.certificate) as self.port:
            yield


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        site, asked = self.site, self.headers["Range"]
        path = self.path.partition("?")[0]
        site.asked.append((self.command, self.path, asked))
        content = site.files.get(path)
        if site.user and self.headers["Authorization"] != site.user:
            self.send_error(401)
            return
        if content is None:
            self.send_error(404)
            return
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        if self.headers["If-Match"] not in (None, tag):
            self.send_error(412)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and site.ranges else 0
        self.send_response(206 if start else 200)
        for name, value in site.marks.items():
            self.send_header(name, tag if value == "tag" else value)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.command == "GET":
            self.write(content[start:])

    def write(self, content: bytes) -> None:
        drop, self.site.drop_after = self.site.drop_after, None
        self.wfile.write(content if drop is None else content[:drop])
        if drop is not None:
            # What comes together with the end of a connection is lost on aiohttp.
            time.sleep(0.5)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
