"""Many clients, too many, slow ones, and long texts (L1 to L7)."""

import json
import select
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.reliability.figures import LONG, record
from tests.reliability.service import Model, Service, predictions, steady
from tests.reliability.wire import assert_refused, connect, message, receive
from utils.load.connections import Log
from utils.load.figures import quantile
from utils.load.generator import Closed, Plan, run_load

pytestmark = pytest.mark.reliability

ROUND_SECONDS = 5.0


def load(server: Service, clients: int, seconds: float) -> Log:
    """All questions in turn, one text a request."""
    messages = [server.model.infer([text]) for text in server.model.questions]
    return run_load(Plan(server.address, messages, Closed(clients), seconds)).log


def assert_all_right(server: Service, log: Log) -> None:
    """Every request was answered, and each with its own text's answer."""
    count = len(server.model.questions)
    assert Counter(log.statuses).keys() == {200}
    for request, body in zip(log.requests, log.bodies, strict=True):
        server.model.assert_right([request % count], body)


# In the long form, ten minutes.
@pytest.mark.row("L1")
def test_64_clients_get_right_answers_only(server: Service) -> None:
    latencies: list[float] = []
    for _ in range(120 if LONG else 1):
        log = load(server, 64, ROUND_SECONDS)
        assert_all_right(server, log)
        latencies += log.latencies
    half, most = quantile(latencies, 0.5), quantile(latencies, 0.99)
    record("L1: 64 clients: requests", len(latencies), "")
    record("L1: 64 clients: p50", half * 1000, "ms")
    record("L1: 64 clients: p99", most * 1000, "ms", 5 * half * 1000)
    assert most <= 5 * half


@pytest.mark.row("L2")
def test_memory_files_and_threads_stay_where_they_are(server: Service) -> None:
    warm, wanted = (2_000, 100_000) if LONG else (500, 4_000)
    batches = [server.model.questions[start : start + 1 + start % 4] for start in range(36)]
    plan = Plan(server.address, [server.model.infer(batch) for batch in batches], Closed(20), 1.0)

    def ask(count: int) -> None:
        while count > 0:
            log = run_load(plan).log
            assert Counter(log.statuses).keys() == {200}
            count -= len(log.statuses)

    ask(warm)
    before = server.usage()
    ask(wanted)
    after = server.usage()
    grown = after.resident_mb - before.resident_mb
    limit = max(0.05 * before.resident_mb, 50)
    record("L2: requests", wanted, "")
    record("L2: memory before", before.resident_mb, "MB")
    record("L2: memory grown", grown, "MB", limit)
    record("L2: open files more", after.files - before.files, "", 5)
    record("L2: threads more", after.threads - before.threads, "", 0)
    assert grown <= limit
    assert after.files - before.files <= 5
    assert after.threads <= before.threads


@pytest.mark.row("L4")
def test_what_is_too_much_is_refused_at_once_and_leaves_nothing(model: Model) -> None:
    with steady(model, "--env=MAX_IN_FLIGHT=16") as server:
        base = quantile(load(server, 1, 1.0).latencies, 0.5)
        before = server.usage()
        log = load(server, 64, 60.0 if LONG else 3.0)
        assert Counter(log.statuses).keys() == {200, 429}
        refused = [
            (latency, body)
            for latency, status, body in zip(log.latencies, log.statuses, log.bodies, strict=True)
            if status == 429
        ]
        assert all(json.loads(body)["error"] for _, body in refused[:100])
        slow = quantile([latency for latency, _ in refused], 0.5)
        record("L4: 64 clients where 16 may come: answered", len(log.statuses) - len(refused), "")
        record("L4: 64 clients where 16 may come: refused", len(refused), "")
        record("L4: p50 of a refusal", slow * 1000, "ms", 100)
        assert slow < 0.1
        started = time.monotonic()
        while (again := quantile(load(server, 1, 0.5).latencies, 0.5)) > 2 * base:
            assert time.monotonic() - started < 5, (base, again)
        record("L4: one client's p50 before", base * 1000, "ms")
        record("L4: one client's p50 after", again * 1000, "ms", 2 * base * 1000)
        assert server.usage().resident_mb - before.resident_mb < 100


@pytest.mark.row("L4", "L5")
def test_no_more_than_256_are_under_way(server: Service) -> None:
    sent = server.model.infer(server.model.questions[:1])
    server.signal("tritonserver", "STOP")
    with ExitStack() as stack:
        try:
            clients = [stack.enter_context(connect(server.address, 10)) for _ in range(300)]
            for client in clients:
                client.sendall(sent)
            time.sleep(1)
            answered, _, _ = select.select(clients, [], [], 0)
            refusals = [receive(client) for client in answered]
        finally:
            server.signal("tritonserver", "CONT")
        assert len(refusals) == 44
        for refusal in refusals:
            assert refusal is not None and refusal.status == 429
            assert "Retry-After: 1" in refusal.head and refusal.json["error"]
        for client in set(clients) - set(answered):
            answer = receive(client)
            assert answer is not None and answer.status == 200
            server.model.assert_right([0], answer.body)


@pytest.mark.row("L6")
def test_a_text_of_a_megabyte_is_refused_and_one_of_the_limit_answered_in_a_second(
    server: Service,
) -> None:
    before = server.usage()
    assert_refused(server.infer(["x " * 500_000]), [400])
    texts = {"words": "the lazy dog " * 10_000, "one word": "ж" * 65_000, "signs": ". " * 65_000}
    for name, text in texts.items():
        answer = server.infer([text[:131_072]])
        record(f"L6: a text of 130 KB: {name}", answer.seconds, "s", 1)
        assert answer.status == 200
        assert answer.seconds < 1
    grown = server.usage().resident_mb - before.resident_mb
    record("L6: memory after long texts", grown, "MB", 100)
    assert grown < 100


@pytest.mark.row("L6")
def test_long_texts_have_the_answers_of_their_beginnings(server: Service) -> None:
    built, questions = server.model.built, server.model.questions
    count = 200 if LONG else 20
    texts = [" ".join([questions[n % 40], *questions] * 3) for n in range(count)]
    expected = built.variant.answers(built.inputs, texts, None)
    for text, ranked in zip(texts, expected, strict=True):
        (got,) = predictions(server.infer([text]).body)
        assert got.labels == ranked.labels
        assert got.scores == pytest.approx(ranked.scores, abs=1e-4)


@pytest.mark.row("L7")
def test_slow_clients_slow_down_nobody_and_are_cut_off(server: Service) -> None:
    patient = 60.0 if LONG else 11.0
    baseline = quantile(load(server, 16, 2.0).latencies, 0.99)
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        slow = [stack.enter_context(connect(server.address)) for _ in range(1000)]
        began = time.monotonic()
        for client in slow[:500]:
            client.sendall(b"POST /classify HTTP/1.1\r\nHost: a\r\nX-Half:")
        busy = pool.submit(load, server, 16, patient)
        closed_after = when_closed(slow, began, 15)
        log = busy.result()
    assert_all_right(server, log)
    most = quantile(log.latencies, 0.99)
    record("L7: p99 of 16 clients", baseline * 1000, "ms")
    record("L7: p99 of 16 clients beside 1,000 slow ones", most * 1000, "ms", 2 * baseline * 1000)
    record("L7: the last slow one is cut off after", closed_after, "s", 12)
    assert most <= 2 * max(baseline, 0.01)
    # 10 s, and what it takes to see it beside a generator of load.
    assert closed_after <= 12


def when_closed(clients: list[socket.socket], began: float, seconds: float) -> float:
    """After how long the last one was closed by the server."""
    poll = select.poll()
    waiting = {client.fileno() for client in clients}
    for number in waiting:
        poll.register(number, select.POLLIN)
    while waiting:
        assert time.monotonic() - began < seconds, f"{len(waiting)} are still open"
        for number, _ in poll.poll(500):
            poll.unregister(number)
            waiting.discard(number)
    return time.monotonic() - began


@pytest.mark.row("L7")
def test_a_body_that_does_not_come_is_not_waited_for(server: Service) -> None:
    head = message("POST", f"{server.model.path}/infer", b"", {"Content-Length": "1000"})
    with connect(server.address, 15) as connection:
        connection.sendall(head + b'{"inputs"')
        began = time.monotonic()
        answer = receive(connection)
        took = time.monotonic() - began
    assert took <= 11
    assert answer is None or answer.status == 408
