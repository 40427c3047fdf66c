"""A server in a thread, and what ClearML's API server and file server share."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ACCESS_KEY = "access"


@dataclass
class Answers:
    """What the servers have, what they were asked, and how they misbehave.

    Attributes:
        secret_key: the one that is right.
        models: id to the fields of models.get_by_id's answer.
        files: path to content; below /public/ they are for all, others need the token.
        asked: method and path of every request, both servers', in order.
        sent: first byte and number of bytes of every answer of the file server.
        tokens: what came with requests for files.
        token: the only one that is right.
        expiring: how many tokens from now on are refused as soon as they are given.
        busy: whether the API is down for maintenance.
        drop_after: bytes of an answer after which a connection is cut; one for each request.
        ranges: whether the file server knows ranges.
        marks: whether it has ETags.
        head: whether it knows HEAD.
    """

    secret_key: str
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    sent: list[tuple[int, int]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    token: str = ""
    expiring: int = 0
    busy: bool = False
    drop_after: list[int] = field(default_factory=list)
    ranges: bool = True
    marks: bool = True
    head: bool = True


class Server:
    """One of the two, on a port that it keeps when it goes down and comes up again."""

    def __init__(self, kind: type["Handler"], answers: Answers) -> None:
        self._handler = type(kind.__name__, (kind,), {"answers": answers})
        self._port = 0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    @contextmanager
    def running(self) -> Iterator["Server"]:
        """Answer."""
        self._start()
        try:
            yield self
        finally:
            self._stop()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Within `running`: refuse connections."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def _start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Requests to one of the two."""

    protocol_version = "HTTP/1.1"
    answers: Answers

    def handle(self) -> None:
        """A client may hang up when it has seen enough."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def answer(self) -> None:
        """Answer one request."""
        raise NotImplementedError

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def reply(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        """Headers, and a body where the method has one."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
