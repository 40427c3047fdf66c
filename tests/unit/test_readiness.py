"""server/bin/readiness.py and the health check of an image, against a server of the test's own."""

import http.server
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from readiness import READY, readiness

from tests.unit.commands import ROOT, Result, error_line
from utils.free_ports import free_ports

SECONDS = 5.0


@contextmanager
def server(status: int, certificate: Path | None = None) -> Iterator[dict[str, str]]:
    """One that answers with a status; the environment of who asks it."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/v2/health/ready"
            self.send_response(status if found else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    listener = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    environment = {"HTTP_PORT": str(listener.server_port)}
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
        environment["TLS_CERTIFICATE_FILE"] = str(certificate)
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield environment
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


@contextmanager
def says(reply: bytes) -> Iterator[dict[str, str]]:
    """A server that sends some bytes to whoever comes and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        yield {"HTTP_PORT": str(listener.getsockname()[1])}
        thread.join()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of nobody that this machine trusts, and its key, in one file."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-nodes", "-days", "1", "-subj", "/CN=elsewhere", "-keyout", "-", "-out", "-"]
    pair = subprocess.run(words, capture_output=True, check=True)
    file.write_bytes(pair.stdout)
    return file


def check(environment: dict[str, str]) -> Result:
    """The command of the image's HEALTHCHECK."""
    return subprocess.run(
        [sys.executable, ROOT / "server" / "bin" / "healthcheck"],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_a_server_that_says_200_is_ready() -> None:
    with server(200) as environment:
        assert readiness(environment, SECONDS) == READY


@pytest.mark.parametrize("status", [204, 400, 404, 500, 503])
def test_a_server_that_says_anything_else_is_told_by_what_it_says(status: int) -> None:
    with server(status) as environment:
        assert readiness(environment, SECONDS) == status


def test_where_nobody_listens_there_is_no_answer() -> None:
    (port,) = free_ports(1)
    assert readiness({"HTTP_PORT": str(port)}, SECONDS) == 0


def test_a_server_that_does_not_answer_in_time_gives_none() -> None:
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert readiness({"HTTP_PORT": str(silent.getsockname()[1])}, 0.1) == 0
    assert time.monotonic() - started < SECONDS


@pytest.mark.parametrize("reply", [b"", b"\0\xff\n\n", b"HTTP/1.1 two\r\n\r\n", b"SSH-2.0-x\r\n"])
def test_what_is_no_http_server_gives_none(reply: bytes) -> None:
    with says(reply) as environment:
        assert readiness(environment, SECONDS) == 0


@pytest.mark.parametrize("port", ["", "http", "80 00", "99999"])
def test_a_port_that_is_none_gives_none(port: str) -> None:
    assert readiness({"HTTP_PORT": port}, 0.5) == 0


def test_a_server_with_a_certificate_is_asked_under_whatever_name_it_has(certificate: Path) -> None:
    with server(200, certificate) as environment:
        assert readiness(environment, SECONDS) == READY


def test_a_server_with_a_certificate_is_not_ready_without_tls(certificate: Path) -> None:
    with server(200) as environment:
        assert (
            readiness({**environment, "TLS_CERTIFICATE_FILE": str(certificate)}, SECONDS) != READY
        )


def test_no_proxy_comes_between(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with server(200) as environment:
        assert readiness(environment, SECONDS) == READY


def test_port_8000_is_asked_where_no_other_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def connect(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        asked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    assert readiness({}, SECONDS) != READY
    assert asked == [("127.0.0.1", 8000)]


def test_why_is_told_on_stderr_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with server(503) as environment:
        readiness(environment, SECONDS)
    (line,) = capsys.readouterr().err.splitlines()
    url = f"http://127.0.0.1:{environment['HTTP_PORT']}/v2/health/ready"
    assert line == f"error: {url}: HTTP Error 503: Service Unavailable"


def test_why_is_not_told_to_who_asks_all_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    with server(503) as environment:
        readiness(environment, SECONDS, log=False)
    assert capsys.readouterr().err == ""


def test_the_health_check_of_a_ready_server_ends_with_0_and_no_word() -> None:
    with server(200) as environment:
        result = check(environment)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_health_check_of_a_server_that_is_not_ready_ends_with_1_and_one_line() -> None:
    with server(503) as environment:
        line = error_line(check(environment))
    assert line.endswith("HTTP Error 503: Service Unavailable")


def test_the_health_check_of_what_is_no_http_server_is_one_line() -> None:
    with says(b"SSH-2.0-x\r\n") as environment:
        error_line(check(environment))
