"""A served image, and what it has to keep being whatever is done to it."""

import json
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from tests.containers import Container, docker, running
from tests.image.conftest import Built
from tests.pipeline import Ranked, assert_same
from tests.reliability.wire import Address, Answer, ask, message
from utils.inference import Prediction
from utils.load.requests import infer_request

READY_SECONDS = 30.0

# Until a container that has to end has ended, or is back.
END_SECONDS = 15.0

# Patterns of the command lines of those that stay; a health check comes and goes.
PROCESSES = "*bin/tritonserver*|nginx:*|*supervise.py*"


@dataclass(frozen=True)
class Model:
    """An image, and what the original says to questions."""

    built: Built
    questions: list[str]
    expected: list[Ranked]

    @property
    def path(self) -> str:
        """Of the model in V2 URLs."""
        return f"/v2/models/{self.built.model_name}"

    def infer(self, texts: Sequence[str]) -> bytes:
        """A whole request of the V2 protocol; of questions, for a model of pairs."""
        columns = {"text_input": list(texts)}
        if self.built.variant.pairs:
            second = dict(zip(self.questions, self.questions[::-1], strict=True))
            columns["text_pair"] = [second[text] for text in texts]
        return infer_request(self.built.model_name, columns)

    def assert_right(self, numbers: Sequence[int], body: bytes) -> None:
        """A reply holds the original's answers to these questions."""
        expected = [self.expected[number] for number in numbers]
        assert_same(expected, predictions(body), self.built.variant.top_k)


def predictions(body: bytes) -> list[Prediction]:
    """A reply of the V2 protocol, text by text."""
    tensors = {tensor["name"]: tensor for tensor in json.loads(body)["outputs"]}

    def rows(name: str) -> list[list[Any]]:
        values, (count, width) = tensors[name]["data"], tensors[name]["shape"]
        return [values[row * width : (row + 1) * width] for row in range(count)]

    names = ("predicts", "labels", "scores", "logits", "truncated")
    return [
        Prediction(predict[0], labels, scores, logits, truncated[0])
        for predict, labels, scores, logits, truncated in zip(*map(rows, names), strict=True)
    ]


@dataclass(frozen=True)
class Usage:
    """Of all processes in a container together."""

    resident_mb: float
    files: int
    threads: int


def state(container: Container) -> str:
    """What changes when it ends or is started again."""
    return container.inspect("{{.State.Running}} {{.State.StartedAt}} {{.RestartCount}}")


@dataclass(frozen=True)
class Service:
    """A container of a model's image.

    Attributes:
        container: that runs.
        model: of its image.
        state: of the container at its start.
        headers: that its clients need.
        tls: the same.
    """

    container: Container
    model: Model
    state: str
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None

    @cached_property
    def address(self) -> Address:
        """Of HTTP."""
        return self._published(8000)

    @cached_property
    def metrics_address(self) -> Address:
        """Of metrics."""
        return self._published(8002)

    def _published(self, port: int) -> Address:
        host, _, number = self.container.address(port).rpartition(":")
        return host, int(number)

    def again(self) -> "Service":
        """The same container once it has been started again, which may have other ports."""
        return replace(self, state=state(self.container))

    def ask(self, sent: bytes, seconds: float = 5.0) -> Answer | None:
        """Send bytes as they are."""
        return ask(self.address, sent, seconds, self.tls)

    def post(self, path: str, body: bytes, **headers: str) -> Answer:
        """Ask with what clients need."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.ask(message("POST", path, body, {**self.headers, **fields}))
        assert answer is not None
        return answer

    def get(self, path: str) -> Answer:
        """The same for what has no body."""
        answer = self.ask(message("GET", path, None, self.headers))
        assert answer is not None
        return answer

    def classify(self, **request: Any) -> Answer:
        """Ask the friendly route."""
        return self.post("/classify", json.dumps(request).encode())

    def infer(self, texts: Sequence[str]) -> Answer:
        """Ask the V2 protocol."""
        _, _, body = self.model.infer(texts).partition(b"\r\n\r\n")
        return self.post(f"{self.model.path}/infer", body)

    def is_ready(self) -> bool:
        """Whether it says so; nobody listening is a no."""
        try:
            answer = self.ask(message("GET", "/v2/health/ready"), 3.0)
        except OSError:
            return False
        return answer is not None and answer.status == 200

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> float:
        """How long that took."""
        return self._wait(True, seconds)

    def wait_until_not_ready(self, seconds: float) -> float:
        """How long that took."""
        return self._wait(False, seconds)

    def _wait(self, wanted: bool, seconds: float) -> float:
        started = time.monotonic()
        while self.is_ready() is not wanted:
            assert time.monotonic() - started < seconds, self.container.log
            time.sleep(0.02)
        return time.monotonic() - started

    def wait_for_end(self, seconds: float) -> int:
        """Its exit status."""
        done = subprocess.run(
            ["docker", "wait", self.container.name],
            check=True,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        return int(done.stdout)

    def metric(self, name: str) -> float:
        """One value of the metrics."""
        answer = ask(self.metrics_address, message("GET", "/metrics"))
        assert answer is not None and answer.status == 200
        lines = dict(line.rsplit(" ", 1) for line in answer.body.decode().splitlines() if line)
        return float(lines[name])

    def run_inside(self, script: str) -> str:
        """A script of bash in the container."""
        return docker("exec", self.container.name, "bash", "-c", script).stdout

    def signal(self, name: str, signal: str, *, only: str = "*") -> int:
        """Send a signal to the processes of this name; how many there were.

        Args:
            name: of the program.
            signal: "KILL", "STOP" and so on.
            only: pattern of the command lines.
        """
        sent = self.run_inside(
            f'for folder in /proc/[0-9]*; do if [[ "$(<$folder/comm)" == {name}'
            f' && "$(tr "\\0" " " <$folder/cmdline)" == {only} ]]; then'
            f" kill -{signal} ${{folder#/proc/}} && echo sent; fi; done 2>/dev/null; true"
        )
        return sent.count("sent")

    def usage(self) -> Usage:
        """Of its processes, now."""
        lines = self.run_inside(
            'for folder in /proc/[0-9]*; do case "$(tr "\\0" " " <$folder/cmdline)" in'
            f" {PROCESSES}) files=($folder/fd/*); echo ${{#files[@]}} $(sed -n -E"
            " 's/^(VmRSS|Threads):\\s*([0-9]+).*/\\2/p' $folder/status) ;; esac; done"
            " 2>/dev/null; true"
        )
        rows = [[int(word) for word in line.split()] for line in lines.splitlines()]
        files, resident, threads = (sum(column) for column in zip(*rows, strict=True))
        return Usage(resident / 1024, files, threads)

    def assert_right(self) -> None:
        """A golden request is answered as by the original."""
        answer = self.infer(self.model.questions[:4])
        assert answer.status == 200, answer
        self.model.assert_right(range(4), answer.body)

    def assert_steady(self) -> None:
        """It runs, was never started again, is ready, answers rightly, and has no request left."""
        assert state(self.container) == self.state, self.container.log
        assert self.is_ready(), self.container.log
        self.assert_right()
        self.wait_until_idle(5)

    def wait_until_idle(self, seconds: float) -> float:
        """How long until no request is under way."""
        started = time.monotonic()
        while self.metric("front_requests_in_flight") != 0:
            assert time.monotonic() - started < seconds, "requests are counted that nobody awaits"
            time.sleep(0.05)
        return time.monotonic() - started


@contextmanager
def serving(
    model: Model,
    *options: str,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Service]:
    """A container of a model's image with options of `docker run`, ready."""
    with running(model.built.image, *options) as container:
        service = Service(container, model, state(container), headers or {}, tls)
        service.wait_until_ready()
        yield service


@contextmanager
def steady(
    model: Model,
    *options: str,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Service]:
    """The same; at the end it has to be as it was."""
    with serving(model, *options, headers=headers, tls=tls) as service:
        yield service
        service.assert_steady()
