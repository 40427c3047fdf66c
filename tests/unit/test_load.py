"""benchmarks/speed/load.py, connections.py and replies.py, against a tiny server in threads."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO

import pytest

from utils.load.connections import FAILED, MOST_FAILURES
from utils.load.figures import quantile
from utils.load.generator import Closed, Open, Plan, Trace, generator, planned_times, run_load
from utils.load.replies import Reply, read_reply
from utils.load.requests import post

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
)
ERROR = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
CLOSING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

MESSAGES = [post("/", b"one"), post("/", b"two"), post("/", b"three")]

Answer = Callable[[int], bytes | None]


@dataclass
class TinyServer:
    """Counts what it is asked.

    Attributes:
        port: of 127.0.0.1.
        requests: bodies in the order of arrival.
        most: requests under way at once, at most.
        connections: that were accepted.
    """

    port: int
    requests: list[bytes] = field(default_factory=list)
    most: int = 0
    connections: int = 0
    under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, client: socket.socket, answer: Answer) -> None:
        """Answer on a connection until one of both ends it."""
        with client, client.makefile("rb") as stream, suppress(OSError):
            while body := read_body(stream):
                with self.lock:
                    number = len(self.requests)
                    self.requests.append(body)
                    self.under_way += 1
                    self.most = max(self.most, self.under_way)
                reply = answer(number)
                with self.lock:
                    self.under_way -= 1
                if reply is None:
                    return
                client.sendall(reply)


@contextmanager
def tiny_server(answer: Answer) -> Iterator[TinyServer]:
    """Answers request n, counted from 0, with the bytes of answer(n); None ends the connection."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    server = TinyServer(listener.getsockname()[1])

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server.connections += 1
                threading.Thread(target=server.serve, args=(client, answer), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def read_body(stream: BinaryIO) -> bytes:
    """The next request's body; b"" at the end."""
    length = 0
    while (line := stream.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return stream.read(length)


def after(seconds: float, reply: bytes = PLAIN) -> bytes:
    """The reply, so much later."""
    time.sleep(seconds)
    return reply


def load(server: TinyServer, arrivals: Closed | Open, seconds: float) -> Trace:
    """Run in this process."""
    return run_load(Plan(("127.0.0.1", server.port), MESSAGES, arrivals, seconds))


def test_a_closed_loop_has_no_more_requests_under_way_than_clients() -> None:
    with tiny_server(lambda _: after(0.01)) as server:
        trace = load(server, Closed(3), 0.3)
    assert server.most == 3
    assert trace.connections == server.connections == 3
    assert len(trace.log.requests) == len(server.requests) > 30


def test_messages_are_sent_in_turn_and_answers_belong_to_them() -> None:
    with tiny_server(lambda number: b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number) as (
        server
    ):
        trace = load(server, Closed(1), 0.05)
    assert server.requests[:4] == [b"one", b"two", b"three", b"one"]
    assert trace.log.bodies[:3] == [b"0", b"1", b"2"]
    assert trace.log.requests[:3] == [0, 1, 2]


def test_what_is_under_way_at_the_end_is_waited_for() -> None:
    with tiny_server(lambda _: after(0.3)) as server:
        trace = load(server, Closed(2), 0.1)
    assert trace.log.statuses == [200, 200]
    assert all(latency >= 0.3 for latency in trace.log.latencies)


def test_an_open_loop_sees_a_stall_that_the_closed_loop_hides() -> None:
    stalled = threading.Lock()

    def answer(number: int) -> bytes:
        # Whoever comes meanwhile waits too, as behind a server that stands still.
        with stalled:
            return after(0.5 if number == 100 else 0.0)

    with tiny_server(answer) as server:
        closed = load(server, Closed(1), 1.0)
    with tiny_server(answer) as server:
        opened = load(server, Open(200.0, even=True), 2.0)
    assert len(opened.log.requests) == 400
    # What was due in that half second, a quarter of all, waited: one by one less long.
    assert quantile(opened.log.latencies, 0.99) > 0.4
    assert quantile(opened.log.latencies, 0.9) > 0.2
    assert max(closed.log.latencies) > 0.4
    assert quantile(closed.log.latencies, 0.9) < 0.2


def test_a_full_open_loop_counts_from_the_planned_time() -> None:
    with tiny_server(lambda _: after(0.05)) as server:
        trace = load(server, Open(100.0, even=True, limit=1), 0.5)
    assert server.most == 1
    assert trace.connections == 1
    # The last of 50 is due after 0.49 s and answered after 50 times 0.05 s.
    assert trace.log.latencies[-1] > 1.9
    assert trace.lateness[-1] > 1.9


def test_an_open_loop_opens_connections_as_it_needs_them() -> None:
    with tiny_server(lambda _: after(0.1)) as server:
        trace = load(server, Open(100.0, even=True), 0.5)
    assert 8 <= trace.connections <= 25
    assert set(trace.log.statuses) == {200}


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_chunked_replies_and_those_with_a_length_are_read(pieces: int) -> None:
    for reply, body in ((PLAIN, b"ok"), (CHUNKED, b"abcde")):
        for end in range(0, len(reply), pieces):
            assert read_reply(reply[:end]) is None
        assert read_reply(reply) == Reply(200, body, False)


def test_chunked_replies_come_over_connections_that_stay() -> None:
    with tiny_server(lambda _: CHUNKED) as server:
        trace = load(server, Closed(1), 0.05)
    assert set(trace.log.bodies) == {b"abcde"}
    assert server.connections == 1


def test_a_reply_without_a_length_is_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        read_reply(b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n")


def test_an_error_of_the_server_is_no_success() -> None:
    with tiny_server(lambda number: ERROR if number % 2 else PLAIN) as server:
        trace = load(server, Closed(1), 0.05)
    assert trace.log.statuses[:4] == [200, 503, 200, 503]


def test_a_connection_that_breaks_while_it_answers_is_a_failure() -> None:
    with tiny_server(lambda number: None if number == 0 else PLAIN) as server:
        trace = load(server, Closed(1), 0.05)
    assert trace.log.statuses[:2] == [FAILED, 200]
    assert server.connections == 2


def test_a_connection_that_was_closed_between_requests_is_not() -> None:
    with tiny_server(lambda number: None if number == 3 else PLAIN) as server:
        trace = load(server, Closed(1), 0.05)
    assert set(trace.log.statuses) == {200}
    assert server.requests[3:5] == [b"one", b"one"]


def test_a_server_may_close_behind_each_reply() -> None:
    with tiny_server(lambda _: CLOSING) as server:
        trace = load(server, Closed(1), 0.05)
    assert set(trace.log.statuses) == {200}
    assert trace.connections == len(trace.log.requests)


def test_where_nobody_listens_the_run_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    trace = run_load(Plan(("127.0.0.1", port), MESSAGES, Closed(1), 30.0))
    assert set(trace.log.statuses) == {FAILED}
    assert len(trace.log.statuses) == MOST_FAILURES + 1


def test_a_large_request_is_sent_whole() -> None:
    body = b"x" * 20_000_000
    with tiny_server(lambda _: PLAIN) as server:
        address = ("127.0.0.1", server.port)
        trace = run_load(Plan(address, [post("/", body)], Closed(1), 0.01))
    assert set(trace.log.statuses) == {200}
    assert server.requests[0] == body


def test_the_generator_is_a_process_of_its_own_that_says_what_it_cost() -> None:
    with tiny_server(lambda _: PLAIN) as server, generator([0]) as run:
        plan = Plan(("127.0.0.1", server.port), MESSAGES, Closed(2), 0.2)
        first, second = run(plan).result(), run(plan).result()
    for trace in (first, second):
        assert set(trace.log.statuses) == {200}
        assert 0 < trace.cpu_seconds < 0.3


def test_even_arrivals_keep_the_rate() -> None:
    assert planned_times(Open(4.0, even=True), 1.0) == [0.0, 0.25, 0.5, 0.75]


def test_exponential_arrivals_keep_the_rate_on_average_and_repeat() -> None:
    times = planned_times(Open(100.0), 100.0)
    assert len(times) == pytest.approx(10_000, rel=0.05)
    assert times == sorted(planned_times(Open(100.0), 100.0))
    assert times != planned_times(Open(100.0, seed=1), 100.0)
