"""server/bin/supervise.py, with a tritonserver and an nginx that only note what happens to them."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import supervise
from supervise import (
    Ports,
    SettingError,
    api_keys,
    choose_ports,
    configuration,
    nginx_path,
    number,
    prepared,
    server_options,
    settings,
    tls,
)

from tests.unit.commands import ROOT
from utils.free_ports import free_ports

PORTS = Ports(http=41001, metrics=41002)
CONTRACT = {"model": "cls_model-1.5", "inputs": ["text"], "max_batch_size": 8}
LUA = Path("/usr/lib/nginx/modules/ngx_http_lua_module.so")

# Of what is waited for. A busy machine has paused processes for seconds.
SECONDS = 30.0


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository, as far as the front reads it."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "front.json").write_text(json.dumps(CONTRACT))
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two certificates, their keys, and the key of the first in an encrypted file."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("a", "b"):
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        words += ["-nodes", "-days", "1", "-subj", "/CN=here"]
        words += ["-keyout", f"{name}.key", "-out", f"{name}.crt"]
        subprocess.run(words, cwd=folder, capture_output=True, check=True)
    words = ["openssl", "ec", "-in", "a.key", "-aes128", "-passout", "pass:secret"]
    subprocess.run([*words, "-out", "encrypted.key"], cwd=folder, capture_output=True, check=True)
    return folder


def refusal(work: Callable[[], Any]) -> str:
    """What a setting is refused with: one line."""
    with pytest.raises(SettingError) as caught:
        work()
    (line,) = str(caught.value).splitlines()
    return line


def told(environment: Mapping[str, str]) -> dict[str, Any]:
    """What the front's Lua is told."""
    return settings(environment, CONTRACT, PORTS)


def rendered(environment: Mapping[str, str], repository: Path) -> str:
    """nginx.conf without its comments."""
    run = Path("/tmp/front-1")
    text = configuration(environment, repository, CONTRACT["model"], PORTS, run)  # type: ignore[arg-type]
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def test_a_variable_that_is_not_set_has_its_default() -> None:
    assert number({}, "MAX_TEXTS", 256, 1000) == 256


@pytest.mark.parametrize("text", ["1", "999", "1000"])
def test_a_number_is_taken_from_1_to_its_limit(text: str) -> None:
    assert number({"MAX_TEXTS": text}, "MAX_TEXTS", 256, 1000) == int(text)


@pytest.mark.parametrize(
    "text", ["", "0", "1001", "-1", "+1", "1.0", "1e2", " 1", "1\n", "0x10", "٣"]
)
def test_any_other_number_is_refused(text: str) -> None:
    with pytest.raises(SettingError) as caught:
        number({"MAX_TEXTS": text}, "MAX_TEXTS", 256, 1000)
    assert str(caught.value) == f"MAX_TEXTS: must be 1 to 1000, not '{text}'"


NUMBERS_OF_LUA = {"MAX_TEXT_BYTES": 131_072, "MAX_TEXTS": 256, "MAX_IN_FLIGHT": 256}


@pytest.mark.parametrize("name", NUMBERS_OF_LUA)
def test_limits_reach_the_front(name: str) -> None:
    assert told({})[name.lower()] == NUMBERS_OF_LUA[name]
    assert told({name: "7"})[name.lower()] == 7
    assert refusal(lambda: told({name: "none"})).startswith(f"{name}: must be 1 to ")


def test_the_front_is_told_where_the_model_is() -> None:
    assert told({})["triton_port"] == PORTS.http
    assert told({})["path"] == "/v2/models/cls_model-1.5"


def test_without_keys_nobody_needs_one() -> None:
    assert told({})["api_keys"] == []


def test_a_variable_has_one_key() -> None:
    assert told({"API_KEY": "one key"})["api_keys"] == ["one key"]


def test_a_file_has_a_key_in_each_line_that_is_not_empty(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes(b"first key\r\n\n  second\n")
    assert api_keys({"API_KEY_FILE": str(file)}) == ["first key", "second"]


def test_keys_of_the_variable_and_of_the_file_are_all_good(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("b\nc\n")
    assert api_keys({"API_KEY": "a", "API_KEY_FILE": str(file)}) == ["a", "b", "c"]


def test_the_line_break_at_the_end_of_a_secret_is_no_part_of_the_key() -> None:
    assert api_keys({"API_KEY": "secret\n"}) == ["secret"]


@pytest.mark.parametrize("value", ["", " \n"])
def test_a_key_that_came_out_empty_opens_nothing(value: str) -> None:
    assert refusal(lambda: api_keys({"API_KEY": value})) == "API_KEY: has no key"


def test_a_file_of_keys_without_a_name_opens_nothing() -> None:
    assert refusal(lambda: api_keys({"API_KEY_FILE": ""})).startswith("API_KEY_FILE: ")


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_a_file_without_keys_opens_no_door(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    assert refusal(lambda: api_keys({"API_KEY_FILE": str(file)})) == (
        f"API_KEY_FILE: {file}: has no keys"
    )


def test_a_file_of_keys_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for file in (tmp_path / "missing", tmp_path, tmp_path / "binary"):
        environment = {"API_KEY_FILE": str(file)}
        line = refusal(lambda environment=environment: api_keys(environment))  # type: ignore[misc]
        assert line.startswith(f"API_KEY_FILE: {file}: cannot be read: ")


def test_without_certificate_there_is_no_tls() -> None:
    assert tls({}) == ""


def test_a_certificate_that_came_out_empty_does_not_turn_tls_off() -> None:
    empty = {"TLS_CERTIFICATE_FILE": "", "TLS_KEY_FILE": ""}
    assert refusal(lambda: tls(empty)) == "TLS_CERTIFICATE_FILE: not set: cannot be read"


def pair(folder: Path, certificate: str, key: str) -> dict[str, str]:
    """The two variables."""
    return {"TLS_CERTIFICATE_FILE": f"{folder}/{certificate}", "TLS_KEY_FILE": f"{folder}/{key}"}


def test_a_certificate_and_its_key_are_what_nginx_is_told(pairs: Path) -> None:
    directives = tls(pair(pairs, "a.crt", "a.key")).split("; ")
    assert f"ssl_certificate {pairs}/a.crt" in directives
    assert f"ssl_certificate_key {pairs}/a.key" in directives
    assert "ssl_protocols TLSv1.2 TLSv1.3" in directives


def test_files_of_tls_are_where_the_caller_is(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pairs)
    directives = tls({"TLS_CERTIFICATE_FILE": "a.crt", "TLS_KEY_FILE": "a.key"})
    assert f"ssl_certificate {pairs}/a.crt; ssl_certificate_key {pairs}/a.key;" in directives


@pytest.mark.parametrize("missing", ["TLS_CERTIFICATE_FILE", "TLS_KEY_FILE"])
def test_one_file_of_tls_without_the_other_is_refused(missing: str, pairs: Path) -> None:
    environment = pair(pairs, "a.crt", "a.key") | {missing: ""}
    assert refusal(lambda: tls(environment)) == f"{missing}: not set: cannot be read"


@pytest.mark.parametrize("missing", ["TLS_CERTIFICATE_FILE", "TLS_KEY_FILE"])
def test_a_file_of_tls_that_is_not_there_is_refused(missing: str, pairs: Path) -> None:
    environment = pair(pairs, "a.crt", "a.key") | {missing: "/missing"}
    assert refusal(lambda: tls(environment)) == f"{missing}: /missing: cannot be read"


@pytest.mark.parametrize(
    ("certificate", "key"),
    [("a.crt", "b.key"), ("a.key", "a.key"), ("a.crt", "a.crt"), ("a.crt", "encrypted.key")],
)
def test_files_of_tls_that_are_no_pair_are_refused(certificate: str, key: str, pairs: Path) -> None:
    line = refusal(lambda: tls(pair(pairs, certificate, key)))
    expected = f"TLS_CERTIFICATE_FILE: {pairs}/{certificate}: is no certificate of {pairs}/{key}: "
    assert line.startswith(expected)


@pytest.mark.parametrize("character", [*" ;{}\"'\\$", "\n"])
def test_a_path_that_would_be_more_than_a_path_is_refused(character: str) -> None:
    with pytest.raises(SettingError) as caught:
        nginx_path("NAME", Path(f"/a{character}b"))
    assert str(caught.value) == f"NAME: /a{character}b: is no path that nginx takes"


def grpc_is_on() -> dict[str, str]:
    """An environment with free ports for all."""
    names = ("HTTP_PORT", "METRICS_PORT", "GRPC_PORT")
    ports = zip(names, map(str, free_ports(3)), strict=True)
    return {"GRPC": "on", **dict(ports)}


@pytest.mark.parametrize("variables", [{}, {"GRPC": "off"}, {"GRPC": "off", "GRPC_PORT": "1"}])
def test_grpc_is_off_unless_it_is_turned_on(variables: dict[str, str]) -> None:
    options = server_options(variables, PORTS)
    assert [option for option in options if "grpc" in option] == ["--allow-grpc=false"]


def test_http_and_metrics_of_the_server_are_for_this_machine_only() -> None:
    for environment in ({}, {"GRPC": "on"}):
        options = server_options(environment, PORTS)
        assert options[:4] == [
            *("--http-address=127.0.0.1", "--http-port=41001"),
            *("--metrics-address=127.0.0.1", "--metrics-port=41002"),
        ]


@pytest.mark.parametrize(
    ("variables", "port"), [({"GRPC": "on"}, 8001), ({"GRPC": "on", "GRPC_PORT": "9001"}, 9001)]
)
def test_grpc_that_is_turned_on_has_its_port(variables: dict[str, str], port: int) -> None:
    options = server_options(variables, PORTS)
    assert f"--grpc-port={port}" in options
    assert "--allow-grpc=false" not in options


def test_grpc_is_for_inference_only_and_the_rest_behind_a_secret_of_this_start() -> None:
    def restricted() -> str:
        options = server_options({"GRPC": "on"}, PORTS)
        (option,) = (word for word in options if word.startswith("--grpc-restricted-protocol="))
        return option.removeprefix("--grpc-restricted-protocol=")

    protocols, secret = restricted().split(":")
    assert set(protocols.split(",")) == {
        *("shared-memory", "model-repository", "statistics", "trace", "logging"),
    }
    assert re.fullmatch("front=[0-9a-f]{32}", secret)
    assert not restricted().endswith(secret)


@pytest.mark.parametrize("value", ["", "1", "ON", "true"])
def test_grpc_that_is_neither_on_nor_off_is_refused(value: str) -> None:
    line = refusal(lambda: choose_ports({"GRPC": value}))
    assert line == f"GRPC: must be on or off, not '{value}'"


@pytest.mark.parametrize("name", ["HTTP_PORT", "METRICS_PORT", "GRPC_PORT"])
@pytest.mark.parametrize("value", ["0", "65536", "http"])
def test_a_port_that_is_none_is_refused(name: str, value: str) -> None:
    line = refusal(lambda: choose_ports(grpc_is_on() | {name: value}))
    assert line == f"{name}: must be 1 to 65535, not '{value}'"


@pytest.mark.parametrize("name", ["HTTP_PORT", "METRICS_PORT", "GRPC_PORT"])
def test_a_port_that_somebody_else_has_is_refused(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = refusal(lambda: choose_ports(grpc_is_on() | {name: str(port)}))
    assert line == f"{name}: port {port}: Address already in use"


def test_one_port_for_two_things_is_refused() -> None:
    environment = grpc_is_on()
    environment["METRICS_PORT"] = environment["HTTP_PORT"]
    line = refusal(lambda: choose_ports(environment))
    assert line == f"METRICS_PORT: port {environment['HTTP_PORT']}: Address already in use"


def test_the_port_of_grpc_does_not_matter_where_it_is_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        choose_ports(grpc_is_on() | {"GRPC": "off", "GRPC_PORT": port})


def test_a_port_whose_last_server_has_just_ended_is_taken() -> None:
    environment = grpc_is_on()
    with socket.create_server(("127.0.0.1", int(environment["HTTP_PORT"]))) as last:
        client = socket.create_connection(last.getsockname())
        # Who hangs up first leaves the port to wait.
        last.accept()[0].close()
        client.close()
    choose_ports(environment)


def test_ports_of_the_server_are_free_and_different() -> None:
    environment = grpc_is_on()
    ports = choose_ports(environment)
    chosen = {ports.http, ports.metrics}
    assert len(chosen) == 2
    assert chosen.isdisjoint(map(int, list(environment.values())[1:]))
    for port in chosen:
        socket.create_server(("127.0.0.1", port)).close()


def test_nothing_of_the_template_is_left(repository: Path, pairs: Path) -> None:
    for environment in ({}, pair(pairs, "a.crt", "a.key")):
        assert re.findall(r"\$\{?[A-Z]\w*\}?", rendered(environment, repository)) == []


def test_nginxs_own_variables_are_left_to_it(repository: Path) -> None:
    assert "$request_method" in rendered({}, repository)


def test_the_front_listens_where_it_is_told_to(repository: Path) -> None:
    text = rendered({"HTTP_PORT": "18000", "METRICS_PORT": "18002"}, repository)
    assert re.findall("listen (.*);", text) == ["18000 backlog=1024", "18002"]


def test_the_front_listens_at_tritons_ports_otherwise(repository: Path) -> None:
    assert re.findall("listen (.*);", rendered({}, repository)) == ["8000 backlog=1024", "8002"]


def test_with_a_certificate_clients_but_not_metrics_have_tls(repository: Path, pairs: Path) -> None:
    text = rendered(pair(pairs, "a.crt", "a.key"), repository)
    assert re.findall("listen (.*);", text) == ["8000 backlog=1024 ssl", "8002"]
    assert text.count("ssl_certificate ") == 1


def test_without_a_certificate_nginx_hears_nothing_of_tls(repository: Path) -> None:
    assert "ssl" not in rendered({}, repository)


def test_what_is_passed_on_goes_to_the_ports_of_the_server(repository: Path) -> None:
    text = rendered({}, repository)
    assert "server 127.0.0.1:41001;" in text
    assert "proxy_pass http://127.0.0.1:41002/metrics;" in text


def test_the_model_has_its_path_and_that_of_its_version(repository: Path) -> None:
    text = rendered({}, repository)
    patterns = re.findall(r"location ~ (\S+infer\$) \{", text)
    assert len(patterns) == 1
    pattern = patterns[0]
    assert re.search(pattern, "/v2/models/cls_model-1.5/infer")
    assert re.search(pattern, "/v2/models/cls_model-1.5/versions/1/infer")
    for path in ("cls_model-1x5", "cls_model-1.5/versions/2", "other", "a/v2/models/cls_model-1.5"):
        assert not re.search(pattern, f"/v2/models/{path}/infer")
    assert "rewrite ^ /v2/models/cls_model-1.5/infer break;" in text


@pytest.mark.parametrize(
    ("name", "directive", "default"),
    [
        ("MAX_BODY_BYTES", "client_max_body_size {};", "2000000"),
        ("MAX_BODY_BYTES", "client_body_buffer_size {};", "2000000"),
        ("TIMEOUT_SECONDS", "proxy_read_timeout {}s;", "60"),
    ],
)
def test_limits_reach_nginx(name: str, directive: str, default: str, repository: Path) -> None:
    assert directive.format(default) in rendered({}, repository)
    assert directive.format(77) in rendered({name: "77"}, repository)
    line = refusal(lambda: rendered({name: "0"}, repository))
    assert line.startswith(f"{name}: must be 1 to ")


@pytest.mark.parametrize(("cpus", "workers"), [(1, 1), (4, 1), (8, 2), (64, 16)])
def test_the_front_takes_a_quarter_of_the_cpus(
    cpus: int, workers: int, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)))
    assert f"worker_processes {workers};" in rendered({}, repository)


def test_a_repository_is_where_the_caller_is(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository.parent)
    assert f"alias {repository}/openapi.json;" in rendered({}, Path("models"))


def test_a_repository_that_nginx_cannot_name_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "my models"
    line = refusal(lambda: rendered({}, folder))
    assert line == f"MODEL_REPOSITORY: {folder}: is no path that nginx takes"


@pytest.mark.skipif(not LUA.exists(), reason="needs nginx with Lua")
def test_nginx_takes_what_is_written(
    repository: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin")
    for variables in ({}, pair(pairs, "a.crt", "a.key")):
        environment = grpc_is_on() | {"MODEL_REPOSITORY": str(repository)} | variables
        with prepared(environment, choose_ports(environment)) as run:
            words = ["nginx", "-t", "-e", "stderr", "-p", str(run), "-c", str(run / "nginx.conf")]
            result = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
        assert result.returncode == 0, result.stderr
        assert "[warn]" not in result.stderr


def test_the_folder_is_its_owners_only_and_goes_away(repository: Path) -> None:
    environment = {"MODEL_REPOSITORY": str(repository), "API_KEY": "secret"}
    with prepared(environment, PORTS) as run:
        assert stat.S_IMODE(run.stat().st_mode) == 0o700
        assert {path.name for path in run.iterdir()} == {"nginx.conf", "settings.json"}
        assert json.loads((run / "settings.json").read_text())["api_keys"] == ["secret"]
        (run / "body").mkdir()
    assert not run.exists()


def test_the_key_is_not_in_nginx_conf(repository: Path) -> None:
    environment = {"MODEL_REPOSITORY": str(repository), "API_KEY": "a-very-secret-key"}
    with prepared(environment, PORTS) as run:
        assert "a-very-secret-key" not in (run / "nginx.conf").read_text()


def test_a_folder_for_settings_that_are_refused_goes_away(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for variables in ({"MAX_TEXTS": "none"}, {"MAX_BODY_BYTES": "none"}):
        environment = {"MODEL_REPOSITORY": str(repository), **variables}
        with pytest.raises(SettingError), prepared(environment, PORTS):
            pass
    assert list(tmp_path.iterdir()) == [repository]


def test_a_file_system_that_cannot_be_written_to_is_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/missing")

    def enter() -> None:
        with prepared({"MODEL_REPOSITORY": str(repository)}, PORTS):
            pass

    assert refusal(enter).startswith("TMPDIR: ")


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff", b"[]", b"{}", b'"text"'])
def test_a_repository_without_a_front_json_that_can_be_read_is_refused(
    content: bytes | None, repository: Path
) -> None:
    file = repository / "front.json"
    file.unlink()
    if content is not None:
        file.write_bytes(content)

    def enter() -> None:
        with prepared({"MODEL_REPOSITORY": str(repository)}, PORTS):
            pass

    line = refusal(enter)
    assert line.startswith(f"{file}: cannot be read: ")
    assert line.endswith(" (render the repository anew, or set FRONT=off)")


# When a server that runs is given up, by a clock of the test's own.
class Watched:
    """A server of which it is known when it answers, and a clock that runs as it is waited for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.pauses: list[tuple[float, float]] = []
        self.answers: Callable[[float], bool] = lambda _: True
        self.asking_seconds = 0.0
        self.share = 0.0
        self.otherwise = 503
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep)
        monkeypatch.setattr(supervise, "time", clock)
        monkeypatch.setattr(supervise, "readiness", self.readiness)
        monkeypatch.setattr(supervise, "cpu_seconds", lambda _: self.share * self.now)

    def sleep(self, seconds: float) -> None:
        """Pass time, and that of a pause that has come."""
        self.now += seconds
        if self.pauses and self.now >= self.pauses[0][0]:
            self.now += self.pauses.pop(0)[1]

    def readiness(self, *_: Any, **__: Any) -> int:
        """What is told who asks now."""
        ready = self.answers(self.now)
        self.now += 0.0 if ready else self.asking_seconds
        return 200 if ready else self.otherwise

    def until(self, seconds: float) -> tuple[int, float]:
        """The status and the time of the end; 99 for the one that comes at `seconds`."""
        server: Any = SimpleNamespace(poll=lambda: self.status(seconds), returncode=99, pid=1)
        front: Any = SimpleNamespace(poll=lambda: None)
        return supervise.watch(server, front), self.now

    def status(self, seconds: float) -> int | None:
        """Of the server."""
        return 99 if self.now >= seconds else None


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """One that always answers."""
    return Watched(monkeypatch)


def test_a_server_that_always_answers_is_left_alone(watched: Watched) -> None:
    assert watched.until(3600)[0] == 99


def test_a_front_that_never_answers_is_not_waited_for(watched: Watched) -> None:
    watched.answers, watched.otherwise = lambda _: False, 0
    status, ended = watched.until(3600)
    assert status == 1
    assert ended <= 10 + supervise.POLL_SECONDS + supervise.ANSWER_SECONDS


def test_a_model_may_load_for_as_long_as_it_takes(watched: Watched) -> None:
    watched.answers = lambda now: now > 3000
    assert watched.until(3600)[0] == 99


@pytest.mark.parametrize("asking_seconds", [0.0, supervise.ANSWER_SECONDS])
def test_a_server_that_answered_is_given_up_ten_seconds_after_its_last_answer(
    asking_seconds: float, watched: Watched
) -> None:
    watched.answers = lambda now: 50 < now < 100
    watched.asking_seconds = asking_seconds
    status, ended = watched.until(3600)
    assert status == 1
    one_question = supervise.POLL_SECONDS + supervise.ANSWER_SECONDS
    assert 10 - supervise.POLL_SECONDS <= ended - 100 <= 10 + one_question


def test_a_server_that_works_on_something_long_is_not_taken_for_one_that_hangs(
    watched: Watched,
) -> None:
    watched.share = 0.9
    watched.answers = lambda now: not 100 < now < 300
    assert watched.until(3600)[0] == 99


def test_a_server_that_works_for_ever_is_given_up(watched: Watched) -> None:
    watched.share = 0.9
    watched.answers = lambda now: now < 100
    status, ended = watched.until(3600)
    assert status == 1
    assert 300 - supervise.POLL_SECONDS <= ended - 100 <= 310


def test_the_cpu_time_of_a_process_is_that_of_its_work() -> None:
    before, begun = supervise.cpu_seconds(os.getpid()), time.process_time()
    while time.process_time() < begun + 0.1:
        pass
    assert 0.05 <= supervise.cpu_seconds(os.getpid()) - before <= 0.5
    assert supervise.cpu_seconds(1 << 30) == 0.0


def test_an_answer_in_between_starts_patience_anew(watched: Watched) -> None:
    watched.answers = lambda now: now % 9 < 2
    assert watched.until(3600)[0] == 99


def test_a_pause_of_the_container_is_not_taken_for_a_server_that_hangs(watched: Watched) -> None:
    watched.pauses = [(100, 3600)]
    watched.answers = lambda now: not 3700 <= now < 3705
    assert watched.until(7200)[0] == 99


def test_a_server_that_does_not_come_back_from_a_pause_is_given_up(watched: Watched) -> None:
    watched.pauses = [(100, 3600)]
    watched.answers = lambda now: now < 3700
    assert watched.until(7200)[0] == 1


# The two processes. Each stand-in notes in `events` what comes to it; what it does is said by words
# in a variable of its name.
STAND_IN = """\
#!{python} -SE
import http.server, json, os, pathlib, signal, subprocess, sys, threading, time

place = pathlib.Path({place!r})
name = pathlib.Path(sys.argv[0]).name
words = os.environ.get("STAND_IN_" + name.upper(), "").split()

def note(text):
    with (place / "events").open("a") as file:
        file.write(name + " " + text + "\\n")

def end(number, frame):
    note(signal.Signals(number).name)
    if "deaf" not in words:
        os._exit(0)

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
    signal.signal(number, end)
facts = {{"arguments": sys.argv[1:], "environment": dict(os.environ), "pid": os.getpid()}}
if name == "nginx":
    facts["run"] = sys.argv[sys.argv.index("-p") + 1]
    facts["settings"] = json.loads((pathlib.Path(facts["run"]) / "settings.json").read_text())
if "worker" in words:
    facts["worker"] = subprocess.Popen(["sleep", "600"]).pid
note("started")
(place / (name + ".part")).write_text(json.dumps(facts))
(place / (name + ".part")).rename(place / (name + ".json"))
if "ends" in words:
    os._exit(int(words[-1]))

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if (place / "ready").exists() else 503)
        self.end_headers()
        (place / "asked").touch()
    def log_message(self, *words):
        pass

if name == "nginx":
    http.server.HTTPServer.allow_reuse_address = True
    server = http.server.HTTPServer(("127.0.0.1", int(os.environ["HTTP_PORT"])), Answer)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
while True:
    time.sleep(600)
"""

RUNNER = """\
import json, sys
import supervise
for name, value in json.loads(sys.argv[1]).items():
    setattr(supervise, name, value)
sys.exit(supervise.main(sys.argv[2:]))
"""

# So that tests need not wait.
SHORT = {
    "POLL_SECONDS": 0.05,
    "ANSWER_SECONDS": 0.5,
    "UNREADY_SECONDS": 0.6,
    "FRONT_FAILED_SECONDS": 0.3,
}


def wait_until(condition: Callable[[], Any]) -> None:
    """Until it holds."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs; what nobody has waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


@dataclass
class Started:
    """A supervisor with its two stand-ins, or one that is about to have them."""

    place: Path
    process: subprocess.Popen[str]

    def facts(self, name: str) -> dict[str, Any]:
        """What a stand-in was started with."""
        file = self.place / f"{name}.json"
        wait_until(file.exists)
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    def events(self) -> list[str]:
        """What came to whom."""
        return (self.place / "events").read_text().splitlines()

    def is_ready(self) -> None:
        """Let the model be ready, and the supervisor know."""
        (self.place / "ready").touch()
        self.is_asked()

    def is_asked(self) -> None:
        """Wait until the supervisor has had an answer to what it asks from now on."""
        for _ in range(2):
            (self.place / "asked").unlink(missing_ok=True)
            wait_until((self.place / "asked").exists)

    def both(self) -> tuple[int, int]:
        """Wait for the stand-ins; the process ids of server and front."""
        return self.facts("tritonserver")["pid"], self.facts("nginx")["pid"]

    def ended(self) -> tuple[int, list[str]]:
        """The status and the lines on stderr."""
        _, text = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, text.splitlines()

    def stopped(self, number: int = signal.SIGTERM) -> tuple[int, list[str]]:
        """Told to end, and ended."""
        self.process.send_signal(number)
        return self.ended()

    def leftovers(self) -> list[str]:
        """Processes and files that should have gone."""
        found = [path.name for path in (self.place / "tmp").iterdir()]
        for file in self.place.glob("*.json"):
            facts = json.loads(file.read_text())
            pids = [facts["pid"], facts.get("worker", 0)]
            found += [f"{file.stem} {pid}" for pid in pids if pid and is_alive(pid)]
        return found


@dataclass
class Supervisor:
    """Starts supervisors in a folder."""

    place: Path
    repository: Path
    started: list[Started] = field(default_factory=list)

    def __call__(self, constants: Mapping[str, float] = SHORT, /, **variables: str) -> Started:
        """One of the stand-ins, on free ports."""
        ports = zip(("HTTP_PORT", "METRICS_PORT"), map(str, free_ports(2)), strict=True)
        environment = {
            **{key: value for key, value in os.environ.items() if key != "API_KEY"},
            "PATH": f"{self.place / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "server" / "bin"),
            "MODEL_REPOSITORY": str(self.repository),
            "TMPDIR": str(self.place / "tmp"),
            **dict(ports),
            **variables,
        }
        server = str(self.place / "bin" / "tritonserver")
        process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, json.dumps({**SHORT, **constants}), server, "--word=1"],
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=environment,
        )
        self.started.append(Started(self.place, process))
        return self.started[-1]


@pytest.fixture
def supervisor(tmp_path: Path, repository: Path) -> Iterator[Supervisor]:
    """Stand-ins on PATH; whatever is left of them afterwards is ended."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "tmp").mkdir()
    for name in ("nginx", "tritonserver"):
        file = tmp_path / "bin" / name
        file.write_text(STAND_IN.format(python=sys.executable, place=str(tmp_path)))
        file.chmod(0o755)
    made = Supervisor(tmp_path, repository)
    yield made
    for one in made.started:
        # What it has just started may not have said yet which process it is.
        one.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            one.process.communicate(timeout=SECONDS)
        one.process.kill()
        one.process.wait()
        for file in tmp_path.glob("*.json"):
            facts = json.loads(file.read_text())
            for pid in (facts["pid"], facts.get("worker", 0)):
                if pid and is_alive(pid):
                    os.kill(pid, signal.SIGKILL)


def test_the_server_gets_its_command_and_its_ports(supervisor: Supervisor) -> None:
    arguments = supervisor().facts("tritonserver")["arguments"]
    assert arguments[0] == "--word=1"
    assert "--http-address=127.0.0.1" in arguments
    assert "--allow-grpc=false" in arguments


def test_the_front_passes_on_to_where_the_server_listens(supervisor: Supervisor) -> None:
    one = supervisor()
    port = one.facts("nginx")["settings"]["triton_port"]
    assert f"--http-port={port}" in one.facts("tritonserver")["arguments"]


def test_nginx_reads_a_folder_of_this_start_and_writes_to_stderr(supervisor: Supervisor) -> None:
    facts = supervisor().facts("nginx")
    run = facts["run"]
    assert facts["arguments"] == ["-e", "stderr", "-p", run, "-c", f"{run}/nginx.conf"]


def test_the_key_is_in_the_settings_and_in_nobodys_environment(supervisor: Supervisor) -> None:
    one = supervisor(API_KEY="a-very-secret-key")
    assert one.facts("nginx")["settings"]["api_keys"] == ["a-very-secret-key"]
    for name in ("nginx", "tritonserver"):
        facts = one.facts(name)
        assert "HTTP_PORT" in facts["environment"]
        assert "a-very-secret-key" not in json.dumps([facts["environment"], facts["arguments"]])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_told_to_end_ends_the_front_and_then_the_server(
    number: int, supervisor: Supervisor
) -> None:
    one = supervisor()
    one.both()
    one.is_ready()
    assert one.stopped(number) == (0, [])
    assert one.events()[2:] == ["nginx SIGQUIT", "tritonserver SIGTERM"]
    assert one.leftovers() == []


def test_the_server_is_told_to_end_only_when_the_front_has_ended(supervisor: Supervisor) -> None:
    one = supervisor({"FRONT_STOP_SECONDS": SECONDS}, STAND_IN_NGINX="deaf")
    _, front = one.both()
    one.process.terminate()
    wait_until(lambda: "nginx SIGQUIT" in one.events())
    time.sleep(0.3)
    assert one.events()[-1] == "nginx SIGQUIT"
    os.kill(front, signal.SIGKILL)
    assert one.ended() == (0, [])
    assert one.events()[-1] == "tritonserver SIGTERM"


def test_who_is_told_to_end_while_the_model_loads_ends(supervisor: Supervisor) -> None:
    one = supervisor()
    one.both()
    assert one.stopped() == (0, [])
    assert one.leftovers() == []


def test_a_second_signal_hurries_nobody(supervisor: Supervisor) -> None:
    one = supervisor({"FRONT_STOP_SECONDS": 0.5}, STAND_IN_NGINX="deaf")
    one.both()
    one.process.terminate()
    wait_until(lambda: "nginx SIGQUIT" in one.events())
    assert one.stopped() == (0, [])
    assert one.events()[2:] == ["nginx SIGQUIT", "tritonserver SIGTERM"]


@pytest.mark.parametrize("name", ["nginx", "tritonserver"])
def test_one_that_does_not_end_when_told_is_ended(name: str, supervisor: Supervisor) -> None:
    short = {"FRONT_STOP_SECONDS": 0.3, "SERVER_STOP_SECONDS": 0.3}
    one = supervisor(short, **{f"STAND_IN_{name.upper()}": "deaf worker"})
    one.both()
    assert one.stopped() == (0, [])
    assert one.leftovers() == []


def test_all_ends_before_docker_loses_its_patience() -> None:
    assert supervise.FRONT_STOP_SECONDS + supervise.SERVER_STOP_SECONDS < 10


@pytest.mark.parametrize(("status", "expected"), [("0", 1), ("1", 1), ("42", 42)])
def test_a_server_that_ends_ends_the_front(
    status: str, expected: int, supervisor: Supervisor
) -> None:
    one = supervisor(STAND_IN_TRITONSERVER=f"ends {status}")
    assert one.ended() == (expected, [f"error: tritonserver: ended with {status}"])
    assert one.leftovers() == []


def test_a_server_that_is_killed_ends_the_front(supervisor: Supervisor) -> None:
    one = supervisor()
    server, _ = one.both()
    os.kill(server, signal.SIGKILL)
    assert one.ended() == (1, ["error: tritonserver: ended with -9"])
    assert one.events()[-1] == "nginx SIGQUIT"
    assert one.leftovers() == []


@pytest.mark.parametrize("status", ["0", "7"])
def test_a_front_that_ends_ends_the_server(status: str, supervisor: Supervisor) -> None:
    one = supervisor(STAND_IN_NGINX=f"ends {status}")
    assert one.ended() == (1, [f"error: nginx: ended with {status}"])
    assert one.leftovers() == []


def test_workers_of_a_front_that_is_killed_end_too(supervisor: Supervisor) -> None:
    one = supervisor(STAND_IN_NGINX="worker")
    _, front = one.both()
    os.kill(front, signal.SIGKILL)
    assert one.ended() == (1, ["error: nginx: ended with -9"])
    assert one.leftovers() == []


def test_a_server_that_answers_no_more_is_ended_in_time(supervisor: Supervisor) -> None:
    one = supervisor(STAND_IN_TRITONSERVER="deaf")
    one.both()
    one.is_ready()
    started = time.monotonic()
    (one.place / "ready").unlink()
    status, lines = one.ended()
    assert status == 1
    assert lines == ["error: tritonserver: no answer for 1 s"]
    assert SHORT["UNREADY_SECONDS"] - 0.1 <= time.monotonic() - started < SECONDS / 3
    assert one.leftovers() == []


def test_a_server_that_answers_no_more_is_killed_before_the_front_answers_its_clients(
    supervisor: Supervisor,
) -> None:
    one = supervisor()
    one.both()
    one.is_ready()
    (one.place / "ready").unlink()
    assert one.ended()[0] == 1
    assert one.events()[2:] == ["nginx SIGQUIT"]


def test_a_front_without_a_server_has_little_time_to_end(supervisor: Supervisor) -> None:
    one = supervisor({"FRONT_STOP_SECONDS": SECONDS}, STAND_IN_NGINX="deaf")
    server, _ = one.both()
    started = time.monotonic()
    os.kill(server, signal.SIGKILL)
    assert one.ended()[0] == 1
    assert time.monotonic() - started < SECONDS / 3
    assert one.leftovers() == []


def test_a_front_that_answers_no_more_is_ended_too(supervisor: Supervisor) -> None:
    one = supervisor()
    _, front = one.both()
    one.is_ready()
    os.kill(front, signal.SIGSTOP)
    status, lines = one.ended()
    assert (status, len(lines)) == (1, 1)
    assert lines[0].startswith("error: tritonserver: no answer for ")
    assert one.leftovers() == []


@pytest.mark.parametrize(
    "moments", [["choose_ports"], ["prepared"], ["start"], ["Signals"], ["start", "end"]]
)
def test_who_is_told_to_end_while_starting_ends_and_leaves_nothing(
    moments: list[str], supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = f"""\
import os, signal
import supervise
def with_signal(original):
    def told(*words):
        result = original(*words)
        os.kill(os.getpid(), signal.SIGTERM)
        return result
    return told
for moment in {moments}:
    setattr(supervise, moment, with_signal(getattr(supervise, moment)))
"""
    monkeypatch.setattr(sys.modules[__name__], "RUNNER", runner + RUNNER)
    one = supervisor()
    status, lines = one.ended()
    assert (status, lines) == (0, [])
    assert one.leftovers() == []


@pytest.mark.parametrize("name", ["nginx", "tritonserver"])
def test_a_program_that_is_not_there_is_one_line_and_ends_the_other(
    name: str, tmp_path: Path, supervisor: Supervisor
) -> None:
    (tmp_path / "bin" / name).unlink()
    one = supervisor(PATH=str(tmp_path / "bin"))
    status, (line,) = one.ended()
    assert status == 1
    assert re.fullmatch(f"error: .*{name}: No such file or directory", line)
    assert one.leftovers() == []


@pytest.mark.parametrize(
    "variables",
    [
        {"HTTP_PORT": "http"},
        {"METRICS_PORT": "0"},
        {"GRPC": "yes"},
        {"GRPC": "on", "GRPC_PORT": "65536"},
        {"MAX_TEXT_BYTES": "-1"},
        {"MAX_TEXTS": "0"},
        {"MAX_IN_FLIGHT": "many"},
        {"MAX_BODY_BYTES": "2M"},
        {"TIMEOUT_SECONDS": "60s"},
        {"API_KEY_FILE": "/missing"},
        {"API_KEY": " "},
        {"TLS_CERTIFICATE_FILE": "/dev/null", "TLS_KEY_FILE": "/dev/null"},
        {"MODEL_REPOSITORY": "/missing"},
    ],
    ids=lambda variables: " ".join(f"{name}={value}" for name, value in variables.items()),
)
def test_a_setting_that_cannot_be_is_one_line_and_starts_nothing(
    variables: dict[str, str], supervisor: Supervisor
) -> None:
    one = supervisor(**variables)
    status, (line,) = one.ended()
    assert status == 2
    assert line.startswith("error: ")
    assert any(word in line for word in (*variables, "/missing"))
    assert not (one.place / "events").exists()
    assert one.leftovers() == []


def test_a_port_that_is_taken_is_one_line_that_names_it(supervisor: Supervisor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        one = supervisor(HTTP_PORT=str(port))
        assert one.ended() == (2, [f"error: HTTP_PORT: port {port}: Address already in use"])
    assert not (one.place / "events").exists()


def test_the_command_is_what_serve_starts(tmp_path: Path, repository: Path) -> None:
    environment = {**os.environ, "MODEL_REPOSITORY": str(repository), "MAX_TEXTS": "0"}
    environment |= {"HTTP_PORT": str(free_ports(1)[0]), "METRICS_PORT": str(free_ports(1)[0])}
    shutil.copytree(ROOT / "server", tmp_path / "server")
    command = [sys.executable, f"{tmp_path}/server/bin/supervise.py", "tritonserver"]
    result = subprocess.run(
        command, capture_output=True, encoding="utf-8", env=environment, check=False
    )
    assert (result.returncode, result.stderr) == (
        2,
        "error: MAX_TEXTS: must be 1 to 65536, not '0'\n",
    )
