"""utils/inference.py and utils/client.py, with a stand-in for NVIDIA's client."""

import json
import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from geventhttpclient.response import HTTPParseError
from tritonclient.utils import InferenceServerException

from tests.unit.commands import error_line, run_utility, usage_error
from utils import client, inference
from utils.client import classify_all
from utils.errors import UserError
from utils.free_ports import free_ports
from utils.inference import Prediction, Server

LABELS = ["хорошо 👍", "bad"]
ANSWER = Prediction("a", ["a"], [1.0], [2.0], False)


class FakeInput:
    """InferInput."""

    def __init__(self, name: str, shape: list[int], data_type: str) -> None:
        self.name, self.shape, self.data_type = name, shape, data_type
        self.data: Any = None

    def set_data_from_numpy(self, data: Any) -> None:
        """Keep it."""
        assert list(data.shape) == self.shape
        self.data = data


class FakeClient:
    """InferenceServerClient: scores each text by its length, and keeps what it was sent.

    Of a text of more than three bytes it says that a part was left out.
    """

    failure: Exception | None = None
    model_ready = True
    max_batch_size = 4

    def __init__(self, address: str, channel_args: Sequence[tuple[str, int]] = ()) -> None:
        self.address = address
        self.channel_args = dict(channel_args)
        self.inputs: list[FakeInput] = []

    def _fail(self) -> None:
        if self.failure:
            raise self.failure

    def is_server_ready(self) -> bool:
        """Or an error."""
        self._fail()
        return True

    def is_model_ready(self, model: str) -> bool:
        """As set."""
        assert model == "cls"
        return self.model_ready

    def get_model_config(self, model: str) -> Any:
        """In the form of the protocol."""
        assert model == "cls"
        self._fail()
        return {"name": model, "max_batch_size": self.max_batch_size}

    def infer(self, model: str, inputs: Sequence[FakeInput]) -> Any:
        """As the ensemble answers."""
        assert model == "cls"
        self._fail()
        self.inputs.extend(inputs)
        count = inputs[0].shape[0]
        labels = np.array([[label.encode() for label in LABELS]] * count, dtype=object)
        scores = np.array([[len(row[0]), -1.0] for row in inputs[0].data], dtype=np.float32)
        arrays = {
            "predicts": labels[:, :1],
            "labels": labels,
            "scores": scores,
            "logits": scores[:, ::-1],
            "truncated": scores[:, :1] > 3,
        }
        return SimpleNamespace(as_numpy=arrays.__getitem__)


class FakeGrpcClient(FakeClient):
    """The same over gRPC."""

    def get_model_config(self, model: str) -> Any:
        """A message with a message inside."""
        config = super().get_model_config(model)
        return SimpleNamespace(config=SimpleNamespace(**config))


def fake_client(server: Server) -> FakeClient:
    """The stand-in inside a server."""
    return cast(FakeClient, server._client)


@pytest.fixture(params=["http", "grpc"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server behind the stand-in, once for each protocol."""
    for protocol, kind in (("http", FakeClient), ("grpc", FakeGrpcClient)):
        module = SimpleNamespace(InferenceServerClient=kind, InferInput=FakeInput)
        monkeypatch.setitem(inference.CLIENTS, protocol, module)
    return Server(request.param, f"{request.param}://localhost:1")


FAILURES = [
    InferenceServerException("refused\nsecond line"),
    ConnectionRefusedError(111, "refused"),
    HTTPParseError("refused"),
]


def test_the_scheme_is_no_part_of_the_address(server: Server) -> None:
    assert fake_client(server).address == "localhost:1"


def test_a_request_holds_one_utf8_text_a_row(server: Server) -> None:
    server.classify("cls", ["да", "", "👍"])
    (sent,) = fake_client(server).inputs
    assert (sent.name, sent.shape, sent.data_type) == ("text_input", [3, 1], "BYTES")
    assert sent.data.tolist() == [["да".encode()], [b""], ["👍".encode()]]


def test_answers_come_decoded_and_in_the_order_of_the_texts(server: Server) -> None:
    first, second = server.classify("cls", ["one", "да"])
    assert first == Prediction(LABELS[0], LABELS, [3.0, -1.0], [-1.0, 3.0], False)
    assert second == Prediction(LABELS[0], LABELS, [4.0, -1.0], [-1.0, 4.0], True)


def test_a_request_of_pairs_holds_the_second_texts_beside_the_first(server: Server) -> None:
    server.classify("cls", ["a", "b"], ["да", ""])
    first, second = fake_client(server).inputs
    assert (first.name, first.data.tolist()) == ("text_input", [[b"a"], [b"b"]])
    assert (second.name, second.shape, second.data_type) == ("text_pair", [2, 1], "BYTES")
    assert second.data.tolist() == [["да".encode()], [b""]]


def test_the_largest_batch_is_read_from_the_models_configuration(server: Server) -> None:
    fake_client(server).max_batch_size = 7
    assert server.max_batch_size("cls") == 7


def test_a_server_with_a_loaded_model_is_ready(server: Server) -> None:
    assert server.ready("cls") is True


def test_a_server_whose_model_is_loading_is_not_ready(server: Server) -> None:
    fake_client(server).model_ready = False
    assert server.ready("cls") is False


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_server_that_does_not_answer_is_not_ready(failure: Exception, server: Server) -> None:
    fake_client(server).failure = failure
    assert server.ready("cls") is False


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize(
    "ask",
    [lambda server: server.classify("cls", ["a"]), lambda server: server.max_batch_size("cls")],
    ids=["classify", "max_batch_size"],
)
def test_a_failed_question_is_one_error_line_with_the_address(
    ask: Callable[[Server], Any], failure: Exception, server: Server
) -> None:
    fake_client(server).failure = failure
    with pytest.raises(UserError, match=f"^{server.protocol}://localhost:1: .*refused$"):
        ask(server)


@pytest.mark.parametrize(
    ("largest", "count", "sizes"),
    [(4, 9, [4, 4, 1]), (4, 4, [4]), (4, 1, [1]), (1, 3, [1, 1, 1]), (0, 2, [1, 1]), (4, 0, [])],
)
def test_any_number_of_texts_is_sent_in_requests_of_the_largest_batch(
    largest: int, count: int, sizes: list[int], server: Server
) -> None:
    fake_client(server).max_batch_size = largest
    texts = ["x" * (number + 1) for number in range(count)]
    predictions = classify_all(server, "cls", texts)
    assert [sent.shape[0] for sent in fake_client(server).inputs] == sizes
    assert [prediction.scores[0] for prediction in predictions] == [len(text) for text in texts]


def test_second_texts_are_sent_in_the_same_requests_as_the_first(server: Server) -> None:
    fake_client(server).max_batch_size = 2
    classify_all(server, "cls", ["a", "b", "c"], ["x", "y", "z"])
    sent = [
        (item.name, [row[0].decode() for row in item.data]) for item in fake_client(server).inputs
    ]
    assert sent == [
        ("text_input", ["a", "b"]),
        ("text_pair", ["x", "y"]),
        ("text_input", ["c"]),
        ("text_pair", ["z"]),
    ]


@pytest.mark.parametrize(
    ("address", "direct"),
    [("127.0.0.1:8001", True), ("localhost:8001", True), ("[::1]:8001", True),
     ("models.example:8001", False), ("127.0.0.1.example:8001", False)],
)  # fmt: skip
def test_no_proxy_is_asked_for_this_very_machine(
    monkeypatch: pytest.MonkeyPatch, address: str, direct: bool
) -> None:
    module = SimpleNamespace(InferenceServerClient=FakeClient, InferInput=FakeInput)
    monkeypatch.setitem(inference.CLIENTS, "grpc", module)
    options = fake_client(Server("grpc", address)).channel_args
    assert (options.get("grpc.enable_http_proxy") == 0) is direct


@pytest.mark.usefixtures("server")
def test_the_client_prints_all_labels_as_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["client.py", "-m", "cls", "--json", "да"])
    client.main()
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer == {
        "text": "да",
        "predict": LABELS[0],
        "labels": LABELS,
        "scores": [4.0, -1.0],
        "logits": [-1.0, 4.0],
        "truncated": True,
    }


@pytest.mark.usefixtures("server")
def test_the_client_takes_every_second_text_as_the_other_of_a_pair(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def classify_all(_: Server, __: str, texts: list[str], pairs: list[str]) -> list[Prediction]:
        asked.append((texts, pairs))
        return [ANSWER] * len(texts)

    monkeypatch.setattr(client, "classify_all", classify_all)
    arguments = ["client.py", "-m", "cls", "--json", "--pairs", "a", "b", "c", "d"]
    monkeypatch.setattr(sys, "argv", arguments)
    client.main()
    assert asked == [(["a", "c"], ["b", "d"])]
    assert [row["text"] for row in json.loads(capsys.readouterr().out)] == ["a", "c"]


def test_a_pair_that_lacks_its_second_text_is_a_usage_error() -> None:
    result = run_utility("client.py", "-m", "cls", "--pairs", "a", "b", "c")
    assert "--pairs: the last TEXT has no second one" in usage_error(result)


@pytest.mark.usefixtures("server")
def test_the_client_prints_a_row_for_each_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["client.py", "-m", "cls", "--grpc", "да", "нет"])
    client.main()
    rows = capsys.readouterr().out.splitlines()
    assert any("да" in row and LABELS[0] in row and "4.0000" in row for row in rows)
    assert any("нет" in row and "6.0000" in row for row in rows)


@pytest.mark.parametrize("text", ["[red]sale", "see [/b]", ":smile:", "[link=x]"])
def test_the_client_prints_texts_as_they_are(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    client.print_table([text], [ANSWER])
    assert text in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--url", "--grpc"])
def test_a_server_that_is_not_there_is_one_error_line(option: str) -> None:
    (port,) = free_ports(1)
    arguments = ["--grpc"] if option == "--grpc" else []
    result = run_utility("client.py", "-m", "cls", *arguments, "-u", f"localhost:{port}", "text")
    assert f"://localhost:{port}: " in error_line(result)


def test_an_address_without_a_port_number_is_one_error_line() -> None:
    error_line(run_utility("client.py", "-m", "cls", "-u", "localhost:http", "text"))


def test_a_text_that_is_not_utf8_is_an_error_line(server: Server) -> None:
    with pytest.raises(UserError):
        server.classify("cls", [b"\xff".decode("utf-8", "surrogateescape")])


def test_the_client_without_a_text_is_a_usage_error() -> None:
    assert "TEXT" in usage_error(run_utility("client.py", "-m", "cls"))
