"""Items that cannot be answered, or only just, among others that can."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client

from tests import checkpoints
from tests.serving import Rendered, Served, render, serve
from utils.errors import UserError
from utils.inference import Server
from utils.verify_answers import check_answer

pytestmark = pytest.mark.server

MEGABYTE = 1_000_000

# What a request of these rows ends with; the rows are BYTES, as a client may send them.
REFUSED = {
    "invalid UTF-8": ([b"\xff\xfe"], "text_input: row 0 is not UTF-8 (invalid start byte"),
    "half a character": ([b"ok", "я".encode()[:1]], "text_input: row 1 is not UTF-8"),
    "a lone surrogate": ([b"\xed\xa0\x80"], "text_input: row 0 is not UTF-8"),
    "no rows": ([], "text_input"),
    "five rows": ([b"ok"] * 5, "batch-size must be <= 4"),
}
ANSWERED = {
    "an empty row": [b""],
    "an empty row among others": [b"ok", b"", b"ok"],
    "null bytes": [b"\0", b"a\0b"],
    "1 MB of words": [b"the lazy dog " * (MEGABYTE // 13)],
    "1 MB without a space": ["ж".encode() * (MEGABYTE // 2)],
    "1 MB of combining marks": [b"e" + "\u0301".encode() * (MEGABYTE // 2)],
}


def ask(address: str, rows: list[bytes]) -> np.ndarray:  # type: ignore[type-arg]
    """Scores over gRPC."""
    tensor = grpc_client.InferInput("text_input", [len(rows), 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[row] for row in rows], dtype=object).reshape(-1, 1))
    client = grpc_client.InferenceServerClient(address)
    scores: np.ndarray = client.infer("cls_model", [tensor]).as_numpy("scores")  # type: ignore[type-arg]
    return scores


@pytest.fixture
def steady(served: Served, rendered: Rendered) -> Iterator[Callable[[], None]]:
    """Good requests from four threads for as long as the test runs; call it to see them answered.

    Many at a time, so that they share Triton's batches with the bad ones.
    """
    stop, good = threading.Event(), rendered.reference.answers[:40]

    def ask_on(number: int) -> int:
        count = 0
        while not stop.is_set() or count < len(good):
            expected = good[(number + count) % len(good)]
            got = served.grpc.classify("cls_model", [expected.text])
            check_answer(rendered.reference, expected, got[0])
            count += 1
        return count

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(ask_on, number) for number in range(4)]

        def finish() -> None:
            stop.set()
            assert sum(item.result() for item in running) >= 4 * len(good)

        yield finish
        stop.set()


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_item_fails_alone_with_an_error_that_says_why(
    name: str, served: Served, steady: Callable[[], None]
) -> None:
    rows, reason = REFUSED[name]
    for _ in range(20):
        with pytest.raises(grpc_client.InferenceServerException) as caught:
            ask(served.grpc.address, rows)
        assert reason in str(caught.value)
    steady()


@pytest.mark.parametrize("name", ANSWERED)
def test_an_odd_item_is_answered_and_so_are_the_others(
    name: str, served: Served, steady: Callable[[], None]
) -> None:
    rows = ANSWERED[name]
    assert ask(served.grpc.address, rows).shape == (len(rows), 3)
    steady()


def test_a_row_in_an_odd_batch_is_answered_as_it_is_alone(served: Served) -> None:
    rows = [b"ok", b"", b"a\0b", b"the lazy dog " * 1000]
    together = ask(served.grpc.address, rows)
    for row, scores in zip(rows, together, strict=True):
        np.testing.assert_allclose(ask(served.grpc.address, [row])[0], scores, atol=1e-5)


def test_a_megabyte_over_http_is_answered(served: Served) -> None:
    (prediction,) = served.http.classify("cls_model", ["the lazy dog " * (MEGABYTE // 13)])
    assert prediction.truncated


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_more_rows_than_the_batch_size_are_refused_naming_the_limit(
    protocol: str, served: Served
) -> None:
    server: Server = getattr(served, protocol)
    with pytest.raises(UserError, match="batch-size must be <= 4 for 'cls_model'"):
        server.classify("cls_model", ["ok"] * 5)


def test_two_texts_of_a_megabyte_in_a_pair_are_cut_and_answered(tmp_path: Path) -> None:
    rendered = render(checkpoints.make_bert(tmp_path), tmp_path, "--pairs")
    long = "the lazy dog " * (MEGABYTE // 13)
    with serve(rendered.repository, tmp_path / "server.log") as served:
        (prediction,) = served.grpc.classify("cls_model", [long], [long])
        assert prediction.truncated
        with pytest.raises(UserError, match="text_pair: row 0 is not UTF-8"):
            _ask_pair(served.http.address, b"ok", b"\xff")


def test_a_text_without_any_token_is_refused_by_name(tmp_path: Path) -> None:
    rendered = render(checkpoints.make_gpt2(tmp_path), tmp_path)
    with serve(rendered.repository, tmp_path / "server.log") as served:
        with pytest.raises(UserError, match="row 1 has no tokens"):
            served.grpc.classify("cls_model", ["ok", ""])
        assert len(served.grpc.classify("cls_model", ["ok", " "])) == 2


def _ask_pair(address: str, text: bytes, pair: bytes) -> None:
    inputs = []
    for name, row in (("text_input", text), ("text_pair", pair)):
        tensor = http_client.InferInput(name, [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[row]], dtype=object))
        inputs.append(tensor)
    try:
        http_client.InferenceServerClient(address).infer("cls_model", inputs)
    except http_client.InferenceServerException as error:
        raise UserError("server", str(error)) from error
