"""Bytes to a server and its reply: what no client library would send."""

import json
import re
import socket
import ssl
import struct
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from utils.load.replies import read_reply

Address = tuple[str, int]

REFUSAL_SECONDS = 1.0

# What is nobody's business: where things lie, what they are written in.
INSIDES = re.compile(r"/opt/|(?<!/v2)/models|/tmp|/dev/|/usr/|shm|Traceback|\.lua|\.py\b|nginx")


@dataclass(frozen=True)
class Answer:
    """A reply, and how long it took."""

    status: int
    head: str
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        """The body, which has to be JSON."""
        return json.loads(self.body)


def message(
    method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """A whole request; `headers` replace those of the same names."""
    fields = {"Host": "127.0.0.1"}
    if body is not None:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields |= headers or {}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + (body or b"")


def chunked(method: str, path: str, chunks: list[bytes]) -> bytes:
    """A whole request whose body comes in these chunks."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head.encode() + body + b"0\r\n\r\n"


def connect(
    address: Address, seconds: float = 5.0, tls: ssl.SSLContext | None = None
) -> socket.socket:
    """A connection whose every step may take so long."""
    connection = socket.create_connection(address, timeout=seconds)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is None:
        return connection
    return tls.wrap_socket(connection, server_hostname="localhost")


def drop(connection: socket.socket) -> None:
    """Close with a reset, as a client does that has died."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def receive(connection: socket.socket, *, bodiless: bool = False) -> Answer | None:
    """The next reply; None when the connection ends without one."""
    started, received = time.monotonic(), b""
    while True:
        try:
            data = connection.recv(1 << 16)
        except (ConnectionError, ssl.SSLError):
            data = b""
        received += data
        head, found, rest = received.partition(b"\r\n\r\n")
        if found:
            body: bytes | None = None
            with suppress(ValueError):
                reply = read_reply(received)
                body = reply.body if reply else None
            if bodiless or not data:
                body = rest if body is None else body
            if body is not None:
                text, seconds = head.decode("latin-1"), time.monotonic() - started
                return Answer(int(text.split()[1]), text, body, seconds)
        if not data:
            return None


def ask(
    address: Address, sent: bytes, seconds: float = 5.0, tls: ssl.SSLContext | None = None
) -> Answer | None:
    """What a server replies to bytes on a connection of their own; None if it just closes it.

    Raises:
        TimeoutError: it does neither for so long.
    """
    started = time.monotonic()
    with connect(address, seconds, tls) as connection:
        # It may refuse, and stop reading, before all is sent.
        with suppress(ConnectionError):
            connection.sendall(sent)
        answer = receive(connection, bodiless=sent.startswith(b"HEAD "))
    return answer and replace(answer, seconds=time.monotonic() - started)


def assert_refused(answer: Answer | None, statuses: Collection[int] = range(400, 500)) -> None:
    """A refusal is quick, has JSON with `error`, and says nothing of the insides."""
    assert answer is not None, "closed without a reply"
    assert answer.status in statuses, answer
    assert "application/json" in answer.head, answer
    error = answer.json["error"]
    assert isinstance(error, str) and error
    assert not INSIDES.search(error), error
    assert len(answer.body) < 1000, answer
    assert answer.seconds < REFUSAL_SECONDS, answer.seconds
