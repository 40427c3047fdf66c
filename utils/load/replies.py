"""The replies of HTTP/1.1 servers, as far as a load generator has to understand them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole reply.

    Attributes:
        status: of HTTP.
        body: without the marks of chunks.
        closes: whether the server closes the connection behind it.
    """

    status: int
    body: bytes
    closes: bool


def read_reply(received: bytes | bytearray) -> Reply | None:
    """The reply that `received` holds; None while a part of it is missing.

    Raises:
        ValueError: this is no reply, or one without a length.
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end]).lower()
    status = int(head[9:12])
    closes = b"\r\nconnection: close" in head
    place = head.find(b"\r\ncontent-length:")
    if place >= 0:
        line_end = head.find(b"\r\n", place + 2)
        length = int(head[place + 17 : line_end if line_end >= 0 else None])
        body_end = end + 4 + length
        if len(received) < body_end:
            return None
        return Reply(status, bytes(received[end + 4 : body_end]), closes)
    if b"\r\ntransfer-encoding: chunked" in head:
        body = _chunks(bytes(received), end + 4)
        return None if body is None else Reply(status, body, closes)
    if status == 204:
        return Reply(status, b"", closes)
    raise ValueError("a reply without a length")


def _chunks(received: bytes, place: int) -> bytes | None:
    """The joined chunks from `place` on; None while the last is missing."""
    parts: list[bytes] = []
    while (line_end := received.find(b"\r\n", place)) >= 0:
        size = int(received[place:line_end].split(b";")[0], 16)
        start, place = line_end + 2, line_end + 4 + size
        if size == 0:
            # Behind the last chunk there may be trailers; an empty line ends them.
            return b"".join(parts) if received.find(b"\r\n\r\n", line_end) >= 0 else None
        if len(received) < place:
            return None
        parts.append(received[start : start + size])
    return None
