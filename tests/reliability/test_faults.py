"""Processes that die or stand still, and what a container does then (F1 to F11)."""

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.containers import Container, copy_out, docker
from tests.reliability.figures import LONG, record
from tests.reliability.service import END_SECONDS, Model, Service, serving, steady
from tests.reliability.test_load import assert_all_right, load
from tests.reliability.wire import ask, connect, drop, message, receive
from utils.load.connections import Log

pytestmark = pytest.mark.reliability

PYTHON = "/opt/tritonserver/python/bin/python3"


@contextmanager
def under_load(server: Service, clients: int, seconds: float) -> Iterator[Future[Log]]:
    """Clients that ask meanwhile; the block has what became of them, once they are through."""
    with ThreadPoolExecutor(1) as pool:
        log = pool.submit(load, server, clients, seconds)
        time.sleep(0.5)
        yield log
        log.result()


@pytest.mark.parametrize("name", ["tritonserver", "nginx"])
@pytest.mark.row("F1", "F4")
def test_a_process_that_is_killed_ends_the_container_which_docker_starts_again(
    model: Model, name: str
) -> None:
    with serving(model, "--restart=on-failure") as server:
        for number in range(1, 6 if LONG else 2):
            with under_load(server, 16, 3.0) as log:
                killed = time.monotonic()
                assert server.signal(name, "KILL")
                unready = server.wait_until_not_ready(3)
                restarts(server.container, number)
                server = server.again()
                server.wait_until_ready(END_SECONDS)
                back = time.monotonic() - killed
            server.assert_right()
            longest = max(log.result().latencies)
            record(f"F1: {name} killed: not ready after", unready, "s", 3)
            record(f"F1: {name} killed: answers again after", back, "s", END_SECONDS)
            record(f"F1: {name} killed: longest call", longest, "s", 5)
            assert longest <= 5
            # Waits longer from time to time, unless the container ran for 10 s.
            time.sleep(10 if LONG else 0)
        server.assert_steady()


def restarts(container: Container, number: int) -> None:
    """Wait until docker has started it so many times again."""
    deadline = time.monotonic() + END_SECONDS
    while container.inspect("{{.RestartCount}} {{.State.Running}}") != f"{number} true":
        assert time.monotonic() < deadline, container.log
        time.sleep(0.05)


# In the memory of this machine, which outlives a container.
@pytest.mark.row("F4", "L3")
def test_nothing_is_left_in_shared_memory_by_load_by_a_kill_or_by_an_end(model: Model) -> None:
    before = shared_memory()
    with serving(model, "--ipc=host") as server:
        assert_all_right(server, load(server, 16, 2.0))
        assert shared_memory() == before
        server.signal("tritonserver", "KILL")
        assert server.wait_for_end(END_SECONDS) == 1
        assert shared_memory() == before
        docker("start", server.container.name)
        server.again().wait_until_ready()
        docker("stop", "--time=10", server.container.name)
        assert shared_memory() == before


def shared_memory() -> dict[str, int]:
    """What lies in this machine's shared memory, by its size."""
    return {path.name: path.stat().st_size for path in Path("/dev/shm").iterdir()}


# Of processes that are smaller than the server: the kernel ends the largest of a container.
GROW = """
import os, time
for _ in range(40):
    if not os.fork():
        kept = b"x" * (30 << 20)
        time.sleep(20)
    time.sleep(0.02)
"""


@pytest.mark.row("F6")
def test_a_container_out_of_memory_ends_and_docker_starts_it_again(model: Model) -> None:
    with serving(model, "--restart=on-failure") as server:
        limit = f"{server.usage().resident_mb + 100:.0f}m"
        docker("update", f"--memory={limit}", f"--memory-swap={limit}", server.container.name)
        with under_load(server, 16, 3.0) as log:
            began = time.monotonic()
            docker("exec", server.container.name, PYTHON, "-c", GROW, check=False)
            restarts(server.container, 1)
            server = server.again()
            server.wait_until_ready(END_SECONDS)
            back = time.monotonic() - began
        longest = max(log.result().latencies)
        record("F6: out of memory: answers again after", back, "s", END_SECONDS)
        record("F6: out of memory: longest call", longest, "s", 5)
        assert "error: tritonserver: ended with -9" in server.container.log
        assert longest <= 5
        server.assert_steady()


@pytest.mark.parametrize("name", ["tritonserver", "nginx"])
@pytest.mark.row("F1", "F4")
def test_a_process_that_is_killed_is_named_and_the_status_is_an_errors(
    model: Model, name: str
) -> None:
    with serving(model) as server:
        began = time.monotonic()
        server.signal(name, "KILL")
        assert server.wait_for_end(END_SECONDS) == 1
        record(f"F1: {name} killed: container ended after", time.monotonic() - began, "s", 15)
        assert f"error: {name}: ended with -9" in server.container.log
        docker("start", server.container.name)
        server = server.again()
        server.wait_until_ready()
        server.assert_steady()


@pytest.mark.row("F1")
def test_a_worker_of_the_front_that_is_killed_is_replaced_and_its_requests_forgotten(
    server: Service,
) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server.address)) for _ in range(8)]
        server.signal("tritonserver", "STOP")
        try:
            for client in clients:
                client.sendall(server.model.infer(["ok"]))
            time.sleep(0.3)
            assert server.signal("nginx", "KILL", only='"nginx: worker"*') >= 1
            assert [receive(client) for client in clients] == [None] * 8
        finally:
            server.signal("tritonserver", "CONT")
    server.wait_until_ready(5)
    server.assert_right()


@pytest.mark.row("F2")
def test_a_pause_of_3_seconds_mixes_no_answers(server: Service) -> None:
    with under_load(server, 16, 5.0) as log:
        server.signal("tritonserver", "STOP")
        try:
            unready = server.wait_until_not_ready(3.5)
            time.sleep(max(0.0, 3 - unready))
        finally:
            server.signal("tritonserver", "CONT")
        back = server.wait_until_ready(5)
    record("F2: stopped: not ready after", unready, "s", 3)
    record("F2: continued: ready after", back, "s", 5)
    assert_all_right(server, log.result())
    assert max(log.result().latencies) >= 2.5
    assert_all_right(server, load(server, 16, 2.0))


@pytest.mark.parametrize("name", ["tritonserver", "nginx"])
@pytest.mark.row("F1", "F2")
def test_a_process_that_stands_still_ends_the_container(model: Model, name: str) -> None:
    with serving(model) as server:
        # The supervisor asks once a second, and waits for ever for what was never ready.
        time.sleep(1.5)
        began = time.monotonic()
        server.signal(name, "STOP")
        if name == "tritonserver":
            unready = server.wait_until_not_ready(3)
            record("F2: stopped for ever: not ready after", unready, "s", 3)
        assert server.wait_for_end(20) != 0
        took = time.monotonic() - began
        record(f"F2: {name} stopped for ever: container ended after", took, "s", END_SECONDS)
        assert took <= END_SECONDS
        docker("start", server.container.name)
        server = server.again()
        server.wait_until_ready()
        server.assert_steady()


@pytest.mark.row("F2")
def test_answers_that_come_too_late_are_refused_and_take_no_place_for_good(model: Model) -> None:
    with steady(model, "--env=TIMEOUT_SECONDS=1", "--env=MAX_IN_FLIGHT=4") as server:
        for _ in range(2):
            server.signal("tritonserver", "STOP")
            try:
                with ThreadPoolExecutor(4) as pool:
                    asked = [
                        *(pool.submit(server.infer, ["ok"]) for _ in range(2)),
                        *(pool.submit(server.classify, text="ok") for _ in range(2)),
                    ]
                for answer in asked:
                    assert answer.result().status == 504
                    assert answer.result().json["error"]
                    assert answer.result().seconds < 2
            finally:
                server.signal("tritonserver", "CONT")
            server.assert_right()
            # Those that nobody waited for are behind it.
            assert server.classify(text="ok").status == 200


@pytest.mark.row("F3", "P6")
def test_sigterm_answers_what_is_under_way_and_ends_well(model: Model) -> None:
    with serving(model) as server, ExitStack() as stack:
        sent = server.model.infer(server.model.questions[:1])
        idle = [stack.enter_context(connect(server.address, 10)) for _ in range(8)]
        for client in idle:
            client.sendall(message("GET", "/v2/health/ready"))
            assert receive(client) is not None
        busy = [stack.enter_context(connect(server.address, 10)) for _ in range(32)]
        server.signal("tritonserver", "STOP")
        for client in busy:
            client.sendall(sent)
        time.sleep(0.5)
        began = time.monotonic()
        docker("kill", "--signal=TERM", server.container.name)
        time.sleep(0.3)
        assert refused(server)
        server.signal("tritonserver", "CONT")
        answers = [receive(client) for client in busy]
        assert [answer and answer.status for answer in answers] == [200] * 32
        for answer in answers:
            assert answer is not None
            server.model.assert_right([0], answer.body)
        assert server.wait_for_end(12) == 0
        took = time.monotonic() - began
        record("F3: SIGTERM with 32 requests under way: ended after", took, "s", 8)
        assert took <= 8
        assert [client.recv(1) for client in idle] == [b""] * 8
        docker("start", server.container.name)
        server = server.again()
        server.wait_until_ready()
        server.assert_steady()


def refused(server: Service) -> bool:
    """Whether a new connection gets no answer any more."""
    try:
        return ask(server.address, server.model.infer(["ok"]), 2.0) is None
    except OSError:
        return True


@pytest.mark.parametrize("after", [0.0, 0.3, 1.0])
@pytest.mark.row("F3")
def test_sigterm_while_it_starts_ends_it_soon(model: Model, after: float) -> None:
    with started(model.built.image) as container:
        time.sleep(after)
        began = time.monotonic()
        docker("kill", "--signal=TERM", container.name)
        status, _ = end_of(container, 8)
        record(
            f"F3: SIGTERM {after:g} s after the start: ended after",
            time.monotonic() - began,
            "s",
            8,
        )
        assert status in (0, 143)
        assert "Traceback" not in container.log


@pytest.mark.parametrize("size", ["64m", "16m"])
@pytest.mark.row("F5")
def test_little_shared_memory_is_enough_for_the_largest_requests(model: Model, size: str) -> None:
    largest = ["x " * 65_536] * 4
    with steady(model, f"--shm-size={size}") as server:
        for _ in range(1_000 if LONG else 5):
            assert server.infer(largest).status == 200
        assert server.infer(["x " * 300_000] * 4).status == 413
        assert server.infer(largest).status == 200


@contextmanager
def started(image: str, *options: str) -> Iterator[Container]:
    """A container that may not come up."""
    container = Container(f"pytest-{uuid4().hex[:12]}")
    docker("run", "--detach", "--name", container.name, *options, image)
    try:
        yield container
    finally:
        docker("rm", "--force", container.name, check=False)


def end_of(container: Container, seconds: float) -> tuple[int, float]:
    """Its status, and how long that took."""
    began = time.monotonic()
    done = subprocess.run(
        ["docker", "wait", container.name],
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    return int(done.stdout), time.monotonic() - began


SETTINGS = {
    "MAX_TEXTS=abc": "MAX_TEXTS",
    "MAX_TEXT_BYTES=0": "MAX_TEXT_BYTES",
    "MAX_BODY_BYTES=-1": "MAX_BODY_BYTES",
    "MAX_BODY_BYTES=2m; include /etc/passwd": "MAX_BODY_BYTES",
    "MAX_IN_FLIGHT=": "MAX_IN_FLIGHT",
    "TIMEOUT_SECONDS=1.5": "TIMEOUT_SECONDS",
    "HTTP_PORT=65536": "HTTP_PORT",
    "HTTP_PORT=8002": "METRICS_PORT: port 8002",
    "METRICS_PORT=x": "METRICS_PORT",
    "GRPC=yes": "GRPC",
    "FRONT=no": "FRONT",
    "API_KEY_FILE=/nowhere": "API_KEY_FILE: /nowhere",
    "API_KEY_FILE=/dev/null": "API_KEY_FILE: /dev/null",
    "TLS_CERTIFICATE_FILE=/etc/passwd": "TLS_KEY_FILE",
    "TLS_KEY_FILE=/etc/passwd": "TLS_CERTIFICATE_FILE",
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.row("F7")
def test_a_setting_that_cannot_be_ends_the_start_with_its_name(model: Model, setting: str) -> None:
    with started(model.built.image, f"--env={setting}") as container:
        status, seconds = end_of(container, 30)
        assert status not in (0, 137), container.log
        assert re.search(rf"^error: .*{SETTINGS[setting]}", container.log, re.MULTILINE)
        assert "Traceback" not in container.log
        assert seconds < 10


@pytest.mark.row("F7")
def test_a_certificate_that_is_none_ends_the_start(model: Model) -> None:
    wrong = ("--env=TLS_CERTIFICATE_FILE=/etc/passwd", "--env=TLS_KEY_FILE=/etc/passwd")
    with started(model.built.image, *wrong) as container:
        status, _ = end_of(container, 30)
        assert status != 0
        assert "/etc/passwd" in container.log


@pytest.mark.row("F7")
def test_a_port_that_somebody_has_ends_the_start(server: Service, model: Model) -> None:
    network = f"--network=container:{server.container.name}"
    with started(model.built.image, network) as container:
        status, seconds = end_of(container, 30)
        record("F7: a port in use: ended after", seconds, "s", 30)
        assert status != 0
        assert "error: HTTP_PORT: port 8000: Address already in use" in container.log


# By the file that is damaged, its new contents, None for none, and what the log names.
DAMAGED = {
    "model_onnx/1/model.onnx": (b"\x08\x07garbage", "model.onnx"),
    "text_preprocessing/1/tokenizer.json": (None, "text_preprocessing: tokenizer.json: "),
    "post_processing/1/id2label.json": (b'{"0": ', "post_processing: id2label.json: "),
    "front.json": (b'{"model": ', "front.json"),
    "hardware.json": (b"[", "hardware.json"),
}


@pytest.fixture(scope="module")
def repository(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image serves, on this machine."""
    folder = tmp_path_factory.mktemp("served")
    folder.chmod(0o755)
    copy_out(model.built.image, "/models", folder)
    return folder / "models"


@pytest.mark.parametrize("file", DAMAGED)
@pytest.mark.row("F7")
def test_a_file_that_is_damaged_ends_the_start_and_is_named(
    model: Model, repository: Path, file: str
) -> None:
    path, (contents, named) = repository / file, DAMAGED[file]
    whole = path.read_bytes()
    try:
        path.unlink()
        if contents is not None:
            path.write_bytes(contents)
        with started(model.built.image, f"--volume={repository}:/models:ro") as container:
            status, seconds = end_of(container, 30)
            record(f"F7: damaged {path.name}: ended after", seconds, "s", 30)
            assert status != 0
            assert named in container.log
    finally:
        path.write_bytes(whole)


@pytest.mark.row("F8", "P6")
def test_calls_that_are_dropped_leave_nothing(server: Service) -> None:
    count = 2_000 if LONG else 400
    questions = server.model.questions
    messages = [
        server.model.infer(questions[:4]),
        message("POST", "/classify", json.dumps({"texts": questions}).encode()),
    ]

    def call_and_drop(number: int) -> None:
        connection = connect(server.address)
        connection.sendall(messages[number % 2])
        time.sleep((1 + number % 20) / 1000)
        drop(connection)

    def drop_all(number: int) -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(call_and_drop, range(number)))

    # The front keeps as many connections to the server as were ever needed at once, at most 64.
    drop_all(200)
    server.wait_until_idle(5)
    before = server.usage()
    drop_all(count)
    seconds = server.wait_until_idle(5)
    record(f"F8: {count} dropped calls: nothing under way after", seconds, "s", 5)
    more = server.usage().files - before.files
    record("F8: open files more", more, "", 5)
    assert more <= 5


@pytest.mark.parametrize(
    ("limit", "callers"), [("--cpuset-cpus=0", 1), ("--cpus=1", 1), ("--cpuset-cpus=0,1", 2)]
)
@pytest.mark.row("F9")
def test_it_serves_on_as_many_cpus_as_it_may(model: Model, limit: str, callers: int) -> None:
    began = time.monotonic()
    with steady(model, limit) as server:
        record(f"F9: {limit}: ready after", time.monotonic() - began, "s", 60)
        assert_all_right(server, load(server, 16, 1.0))
        assert f"{callers} caller threads" in server.container.log
        assert "pthread_setaffinity_np" not in server.container.log


ASK_INSIDE = """
import sys, urllib.request
url, body = sys.argv[1], sys.argv[2].encode()
print(urllib.request.urlopen(urllib.request.Request(url, body)).read().decode())
"""


@pytest.mark.parametrize("user", ["65532:65532", "12345:12345"])
@pytest.mark.row("F10")
def test_it_serves_without_rights_network_and_a_disk_to_write_on(model: Model, user: str) -> None:
    began = time.monotonic()
    options = (
        *("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
        *("--network=none", f"--user={user}", "--pids-limit=200", "--memory=1g"),
    )
    with started(model.built.image, *options) as container:
        healthy = (PYTHON, "/opt/tritonserver/bin/healthcheck")
        while docker("exec", container.name, *healthy, check=False).returncode:
            assert time.monotonic() - began < 30, container.log
        record(f"F10: hardened, user {user}: ready after", time.monotonic() - began, "s", 30)
        body = model.infer(model.questions[:4]).partition(b"\r\n\r\n")[2].decode()
        url = f"http://127.0.0.1:8000{model.path}/infer"
        reply = docker("exec", container.name, PYTHON, "-c", ASK_INSIDE, url, body).stdout
        model.assert_right(range(4), reply.encode())
        assert not re.search("denied|Read-only|not permitted", container.log)


@pytest.mark.row("F10")
def test_it_writes_nowhere_but_to_tmp(server: Service) -> None:
    changes = docker("diff", server.container.name).stdout.splitlines()
    assert [line for line in changes if not re.match(r"[AC] /(tmp|run|proc)(/|$)", line)] == []


@pytest.mark.row("F11")
def test_two_servers_that_share_memory_and_a_model_leave_each_other_alone(model: Model) -> None:
    with serving(model, "--ipc=host") as first, steady(model, "--ipc=host") as second:
        with under_load(second, 4, 3.0) as log:
            first.assert_steady()
            docker("stop", "--time=10", first.container.name)
        assert first.container.inspect("{{.State.ExitCode}}") == "0"
        assert_all_right(second, log.result())


@pytest.mark.row("L7")
def test_many_come_and_go_while_a_model_answers(server: Service) -> None:
    """Connections that are opened and closed without a request, beside some that ask."""
    stop = threading.Event()

    def come_and_go() -> None:
        # Not as fast as can be: docker's own proxy, which is before the front, would give up first.
        while not stop.wait(0.002):
            drop(connect(server.address))

    with ThreadPoolExecutor(1) as pool:
        visits = pool.submit(come_and_go)
        try:
            log = load(server, 4, 2.0)
        finally:
            stop.set()
        visits.result()
    assert_all_right(server, log)
