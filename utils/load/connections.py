"""Connections of a load generator: raw sockets, one epoll, no thread."""

import select
import socket
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from utils.load.replies import read_reply

FAILED = 0

RECEIVED_AT_ONCE = 1 << 16

# Of so many in a row none is answered any more.
MOST_FAILURES = 1000


@dataclass
class Log:
    """What became of requests, in the order of their answers.

    Attributes:
        requests: number of the request.
        latencies: seconds from when it was to be sent to its last byte.
        ended: when that was, on the clock of time.perf_counter.
        statuses: of HTTP, FAILED where the connection broke.
        bodies: of the replies.
    """

    requests: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def add(self, request: int, since: float, status: int, body: bytes) -> None:
        """One more, answered now."""
        now = perf_counter()
        self.requests.append(request)
        self.latencies.append(now - since)
        self.ended.append(now)
        self.statuses.append(status)
        self.bodies.append(body)


class Connection:
    """A socket and the request that is under way on it, -1 for none."""

    __slots__ = ("fd", "received", "request", "reused", "since", "socket", "unsent")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(address)
        self.fd = self.socket.fileno()
        self.request = -1
        self.since = 0.0
        self.received = b""
        self.unsent = b""
        self.reused = False


class Connections:
    """Sends requests to one server and logs their answers.

    Args:
        address: host and port.
        messages: whole requests; request n sends messages[n % len(messages)].
    """

    def __init__(self, address: tuple[str, int], messages: Sequence[bytes]) -> None:
        self.log = Log()
        self.opened = 0
        self.idle: deque[Connection] = deque()
        self.under_way = 0
        self.epoll = select.epoll()
        self._address = address
        self._messages = messages
        self._all: dict[int, Connection] = {}
        self._failures = 0

    def send(self, request: int, since: float) -> None:
        """Send a request that is to be counted from `since`, on an idle connection or a new one."""
        self._send_on(self.idle.pop() if self.idle else self._open(), request, since)

    def _send_on(self, connection: Connection, request: int, since: float) -> None:
        connection.request = request
        connection.since = since
        self.under_way += 1
        message = self._messages[request % len(self._messages)]
        try:
            sent = connection.socket.send(message)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._broken(connection)
            return
        if sent < len(message):
            connection.unsent = message[sent:]
            self.epoll.modify(connection.fd, select.EPOLLIN | select.EPOLLOUT)

    def wait(self, seconds: float) -> int:
        """Wait for replies, at most so long, and log them; how many there were."""
        before = len(self.log.requests)
        for fd, event in self.epoll.poll(seconds):
            connection = self._all.get(fd)
            if connection is None:
                continue
            if event & select.EPOLLOUT and not event & select.EPOLLERR:
                self._send_rest(connection)
            if event & ~select.EPOLLOUT:
                self._receive(connection)
        return len(self.log.requests) - before

    def close(self) -> None:
        """Close all; what is under way has failed."""
        for connection in list(self._all.values()):
            if connection.request >= 0:
                self.log.add(connection.request, connection.since, FAILED, b"")
            self._drop(connection)
        self.epoll.close()

    def _open(self) -> Connection:
        connection = Connection(self._address)
        self._all[connection.fd] = connection
        self.epoll.register(connection.fd, select.EPOLLIN)
        self.opened += 1
        return connection

    def _drop(self, connection: Connection) -> None:
        del self._all[connection.fd]
        connection.socket.close()

    def _send_rest(self, connection: Connection) -> None:
        try:
            sent = connection.socket.send(connection.unsent)
        except BlockingIOError:
            return
        except OSError:
            self._broken(connection)
            return
        connection.unsent = connection.unsent[sent:]
        if not connection.unsent:
            self.epoll.modify(connection.fd, select.EPOLLIN)

    def _receive(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(RECEIVED_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._broken(connection)
            return
        connection.received = connection.received + data if connection.received else data
        try:
            reply = read_reply(connection.received)
        except ValueError:
            self._broken(connection)
            return
        if reply is None:
            return
        self.log.add(connection.request, connection.since, reply.status, reply.body)
        self.under_way -= 1
        self._failures = 0
        connection.request, connection.received, connection.reused = -1, b"", True
        if reply.closes:
            self._drop(connection)
        else:
            self.idle.append(connection)

    def _broken(self, connection: Connection) -> None:
        """A connection is gone: an idle one for good, a request under way has failed.

        Servers close connections that were idle for long, maybe while a request is on its way:
        every client asks again then.
        """
        self._drop(connection)
        if connection.request < 0:
            self.idle.remove(connection)
            return
        self.under_way -= 1
        if connection.reused and not connection.received:
            self._send_on(self._open(), connection.request, connection.since)
            return
        self.log.add(connection.request, connection.since, FAILED, b"")
        self._failures += 1
        if self._failures > MOST_FAILURES:
            raise ConnectionError(f"{self._failures} requests in a row failed")
