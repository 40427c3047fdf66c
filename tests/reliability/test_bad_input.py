"""Requests that are wrong (P4, P5, B1 to B17): each is refused at once, nothing else happens."""

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.reliability.figures import record
from tests.reliability.service import Service
from tests.reliability.wire import ask, assert_refused, chunked, connect, message, receive

pytestmark = pytest.mark.reliability

MEGABYTE = 1_000_000
LIMIT = 2_000_000

VALID: dict[str, Any] = {
    "inputs": [{"name": "text_input", "shape": [1, 1], "datatype": "BYTES", "data": ["ok"]}]
}
JSON = json.dumps(VALID).encode()
SHARED: dict[str, Any] = {"shared_memory_region": "r", "shared_memory_byte_size": 8}


def request(**fields: Any) -> bytes:
    """A valid request but for these fields."""
    return json.dumps({**VALID, **fields}).encode()


def tensor(**fields: Any) -> bytes:
    """A valid request but for these fields of its input; None leaves one out."""
    changed = {**VALID["inputs"][0], **fields}
    return request(inputs=[{name: value for name, value in changed.items() if value is not None}])


def output(name: str = "labels", /, **parameters: Any) -> bytes:
    """A request for one output with parameters."""
    return request(outputs=[{"name": name, "parameters": parameters}])


def many(count: int, shape: int | None = None) -> bytes:
    """A request of so many texts."""
    return tensor(shape=[count if shape is None else shape, 1], data=["ok"] * count)


def raw(data: bytes) -> bytes:
    """A valid request whose data are these bytes."""
    return JSON.replace(b'["ok"]', data)


REFUSED = {
    # JSON that is none, or another one.
    "no body": b"",
    "not JSON": b"text=ok",
    "half of a request": JSON[:-1],
    "a byte order mark": b"\xef\xbb\xbf" + JSON,
    "something behind": JSON + b"x",
    "UTF-16": JSON.decode().encode("utf-16"),
    "null": b"null",
    "a list": b"[]",
    "a list of requests": b"[" + JSON + b"]",
    "a string": b'"ok"',
    "a number": b"1",
    "an empty object": b"{}",
    "NaN": raw(b"[NaN]"),
    "infinity": tensor().replace(b"[1, 1]", b"[1e999, 1]"),
    "a null byte in a name": request(**{"in\0puts": 1}),
    "an unknown field": request(texts=["ok"]),
    "an unknown field that is no text": JSON.replace(b"{", b'{"\xff\xfe": 1,', 1),
    "an unknown field of 1 MB": request(**{"x" * MEGABYTE: 1}),
    # Inputs.
    "no inputs": request(inputs=[]),
    "inputs: null": request(inputs=None),
    "inputs: an object": request(inputs=VALID["inputs"][0]),
    "inputs: a list of lists": request(inputs=[VALID["inputs"]]),
    "inputs: one too many": request(inputs=VALID["inputs"] + [{**VALID["inputs"][0], "name": "x"}]),
    "inputs: one twice": request(inputs=VALID["inputs"] * 2),
    "inputs: 100,000": request(inputs=[{}] * 100_000),
    "another name": tensor(name="text"),
    "a name that is a number": tensor(name=1),
    "no name": tensor(name=None),
    "an unknown field of the input": tensor(dtype="BYTES"),
    "another datatype": tensor(datatype="INT64", data=[1]),
    "FP32": tensor(datatype="FP32", data=[1.5]),
    "no datatype": tensor(datatype=None),
    # Shapes.
    "no shape": tensor(shape=None),
    "a shape of one": tensor(shape=[1]),
    "a shape of three": tensor(shape=[1, 1, 1]),
    "a shape of none": tensor(shape=[]),
    "a shape that is an object": tensor(shape={"1": 1}),
    "two texts a row": tensor(shape=[1, 2], data=["a", "b"]),
    "no rows": tensor(shape=[0, 1], data=[]),
    "no columns": tensor(shape=[1, 0], data=[]),
    "rows: negative": tensor(shape=[-1, 1]),
    "columns: negative": tensor(shape=[1, -1]),
    "rows: half of one": tensor(shape=[1.5, 1]),
    "rows: a string": tensor(shape=["1", 1]),
    "rows: true": tensor(shape=[True, 1]),
    "rows: null": tensor(shape=[None, 1]),
    "one row more than a batch": many(5),
    "1,000 rows": many(1000),
    "2^31 rows": many(1, 2**31),
    "2^32 + 1 rows": many(1, 2**32 + 1),
    "2^63 rows": many(1, 2**63),
    "2^64 + 1 rows": many(1, 2**64 + 1),
    "2^33 x 2^33": tensor(shape=[2**33, 2**33]),
    "10^12 columns": tensor(shape=[1, 10**12]),
    # Data.
    "no data": tensor(data=None),
    "more data than rows": many(2, 1),
    "less data than rows": many(1, 2),
    "data: a string": tensor(data="ok"),
    "data: an object": tensor(data={"0": "ok"}),
    "data: a number": tensor(data=[1]),
    "data: true": tensor(data=[True]),
    "data: null": tensor(data=[None]),
    "data: an object in a row": tensor(data=[{"text": "ok"}]),
    "data: two in a row": tensor(data=[["a", "b"]]),
    "data: none in a row": tensor(data=[[]]),
    "data: deeper": tensor(data=[[["ok"]]]),
    "data: 101 deep": raw(b"[" * 101 + b'"ok"' + b"]" * 101),
    "data: 100,000 deep": raw(b"[" * 100_000 + b'"ok"' + b"]" * 100_000),
    "data: 900,000 deep and open": raw(b"[" * 900_000),
    "objects: 100,000 deep": raw(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "data: bytes that are no text": raw(b'["\xff\xfe"]'),
    "data: half of a character": raw(b'["\xd1"]'),
    "data: an overlong character": raw(b'["\xc0\xaf"]'),
    "data: a surrogate in UTF-8": raw(b'["\xed\xa0\x80"]'),
    "data: a lone high surrogate": raw(b'["\\ud800"]'),
    "data: a lone low surrogate": raw(b'["\\udc00"]'),
    "data: surrogates in the wrong order": raw(b'["\\udc00\\ud800"]'),
    "data: a text of 1 MB": tensor(data=["x" * MEGABYTE]),
    "data: a text of a byte too many": tensor(data=["x" * 131_073]),
    # Outputs.
    "B1: a class of labels": output(classification=1),
    "B1: a class of scores": output("scores", classification=2),
    "outputs: unknown": request(outputs=[{"name": "x"}]),
    "outputs: no name": request(outputs=[{}]),
    "outputs: a list": request(outputs=[["labels"]]),
    "outputs: a string": request(outputs="labels"),
    "outputs: an object": request(outputs={"name": "labels"}),
    "outputs: one twice": request(outputs=[{"name": "labels"}] * 2),
    "outputs: 100,000": request(outputs=[{"name": "labels"}] * 50_000),
    "outputs: 100,000 names": request(outputs=[{"name": f"x{n}"} for n in range(100_000)]),
    "outputs: an unknown field": request(outputs=[{"name": "labels", "shape": [1]}]),
    "outputs: binary_data is a string": output(binary_data="yes"),
    "outputs: parameters are a list": request(outputs=[{"name": "labels", "parameters": [1]}]),
    # Parameters.
    "shared memory of an input": tensor(data=None, parameters=SHARED),
    "shared memory of an output": output(**SHARED),
    "a sequence": request(parameters={"sequence_id": 1, "sequence_start": True}),
    "a priority of 2^64": request(parameters={"priority": 2**64}),
    "a timeout": request(parameters={"timeout": 1}),
    "a parameter of the server": request(parameters={"triton_enable_empty_final_response": True}),
    "headers as parameters": request(parameters={"headers": "x"}),
    "parameters: null": request(parameters=None),
    "parameters: a string": request(parameters="x"),
    "binary_data_output: a string": request(parameters={"binary_data_output": "yes"}),
    "an id that is a number": request(id=1),
    "an id of 257 bytes": request(id="x" * 257),
    "an id with a line break": request(id="a\nb"),
    "an id that is no text": request(id="BAD").replace(b"BAD", b"\xff"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.row("P3", "P4", "P5", "B1", "B2", "B3", "B4", "B10", "B11", "B12", "B15")
def test_a_bad_request_of_the_v2_protocol_is_refused(server: Service, name: str) -> None:
    answer = server.ask(message("POST", f"{server.model.path}/infer", REFUSED[name]))
    assert_refused(answer, [400])


ROW = struct.pack("<I", 2) + b"ok"


def binary(
    size: Any,
    tail: bytes = ROW,
    shape: int = 1,
    length: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> Callable[[str], bytes]:
    """A request with binary data.

    Args:
        size: what the parameter says of `tail`.
        tail: the data.
        shape: rows.
        length: what the header says of the JSON, the truth for None.
        more: parameters.
    """
    parameters = {"binary_data_size": size, **(more or {})}
    head = tensor(data=None, shape=[shape, 1], parameters=parameters)
    fields = {"Inference-Header-Content-Length": str(len(head)) if length is None else length}
    return lambda path: message("POST", path, head + tail, fields)


BINARY = {
    "shared memory beside binary data": binary(6, more=SHARED),
    "a size beyond the body": binary(7),
    "a size that leaves a rest": binary(5),
    "a negative size": binary(-1),
    "a size that is a string": binary("6"),
    "a size that is half": binary(5.5),
    "a size of 2^64": binary(2**64),
    "no bytes": binary(0, b""),
    "half of a length": binary(2, ROW[:2]),
    "a length beyond the bytes": binary(6, struct.pack("<I", 3) + b"ok"),
    "a length of 2^32 - 1": binary(6, struct.pack("<I", 2**32 - 1) + b"ok"),
    "bytes behind the text": binary(7, ROW + b"x"),
    "bytes behind the data": binary(6, ROW + b"x"),
    "fewer texts than rows": binary(6, ROW, 2),
    "more texts than rows": binary(12, ROW * 2),
    "no text": binary(6, struct.pack("<I", 2) + b"\xff\xfe"),
    "B8: a length of -1": binary(6, length="-1"),
    "B8: a length of 99999999999": binary(6, length="99999999999"),
    "B8: a length beyond the body": binary(6, length="999"),
    "B8: a length that is no number": binary(6, length="abc"),
    "B8: a length of 1e2": binary(6, length="1e2"),
    "B8: a hexadecimal length": binary(6, length="0x10"),
    "B8: an empty length": binary(6, length=""),
    "B8: a length of 0": binary(6, length="0"),
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.row("P3", "P4", "B8", "B12")
def test_binary_data_that_is_wrong_is_refused(server: Service, name: str) -> None:
    answer = server.ask(BINARY[name](f"{server.model.path}/infer"))
    assert_refused(answer, [400])


# By the path behind the model's, or a whole one.
NOT_THERE = (
    *("/v2/models/text_preprocessing/infer", "/v2/models/model_onnx/infer"),
    *("/v2/models/post_processing/infer", "/v2/models/model_onnx", "/v2/models/model_onnx/ready"),
    *("/v2/repository/index", "/v2/repository/models/MODEL/load"),
    *("/v2/repository/models/MODEL/unload", "/v2/models/MODEL/stats"),
    *("/v2/models/stats", "/v2/logging", "/v2/trace/setting", "/v2/models/MODEL/trace/setting"),
    *("/v2/systemsharedmemory/status", "/v2/systemsharedmemory/region/r/register"),
    *("/v2/systemsharedmemory/unregister", "/v2/cudasharedmemory/status"),
    *("/v2/cudasharedmemory/region/r/register", "/v2/models/MODEL/generate"),
    *("/v2/models/MODEL/generate_stream", "/v2/models/MODEL/infer/", "/v2/models//infer"),
    *("/v2/models/MODEL%20/infer", "/v2/models/model"),
    *("/v2/models/..%2f..%2fetc%2fpasswd", "/v2/models/" + "x" * 300 + "/infer"),
    *("/v2/models/MODEL/versions/01/infer", "/v2/models/MODEL/versions/-1/infer"),
    *("/v2/models/MODEL/versions//infer", "/V2/models/MODEL/infer", "/v1/models/MODEL:predict"),
    *("/invocations", "/ping", "/predict", "/-/infer", "/-/server", "/-/error", "/-/metrics"),
    *("/nginx.conf", "/lua/infer.lua", "/front.json", "/openapi.json/..%2ffront.json"),
    *("/page.html", "/stub_status", "/.git/config", "/hardware.json"),
)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", NOT_THERE)
@pytest.mark.row("B2", "B12", "B13", "B16")
def test_what_nobody_needs_is_not_there(server: Service, path: str, method: str) -> None:
    path = path.replace("MODEL", server.model.built.model_name)
    answer = server.ask(message(method, path, JSON if method == "POST" else None))
    assert_refused(answer, [404])


METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "NONE")
PATHS = (
    *("/", "/v2", "/v2/", "/v2/health/live", "/v2/health/ready", "MODEL", "MODEL/ready"),
    *("MODEL/infer", "MODEL/versions/1", "MODEL/versions/1/infer", "/classify", "/openapi.json"),
    *("/metrics", "*", "/%", "/%00", "/v2/models/a%00b/infer", "/../../etc/passwd", "/..%2f..%2fx"),
    *("//v2//models//x", "/v2/models/\x7f", "/?" + "a=b&" * 500),
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.row("B14", "B16")
def test_every_method_of_every_path_is_answered(server: Service, path: str) -> None:
    for method in METHODS:
        body = JSON if method in ("POST", "PUT", "PATCH") else None
        answer = server.ask(message(method, path.replace("MODEL", server.model.path), body))
        assert answer is not None, method
        assert answer.status < 500, (method, answer)
        if answer.status >= 400 and method != "HEAD":
            assert_refused(answer)


HEADERS = {
    "B6: gzip": ({"Content-Encoding": "gzip"}, 415),
    "B6: deflate": ({"Content-Encoding": "deflate"}, 415),
    "B6: identity": ({"Content-Encoding": "identity"}, 415),
    "B7: a quality of 1e999": ({"Accept-Encoding": "gzip;q=1e999"}, 200),
    "B7: a quality that is none": ({"Accept-Encoding": "gzip;q=,;;q=nan,*;q="}, 200),
    "triton's own headers": ({"triton-request-id": "x", "X-Request-Id": "x"}, 200),
    "a trace parent": ({"traceparent": "00-" + "f" * 400}, 200),
    "to be closed": ({"Connection": "close"}, 200),
    "an upgrade": ({"Connection": "Upgrade", "Upgrade": "h2c", "HTTP2-Settings": "AA"}, 200),
    "another type": ({"Content-Type": "application/x-www-form-urlencoded"}, 200),
    "another host": ({"Host": "example.org"}, 200),
    "no host": ({"Host": ""}, 400),
    "a host that is none": ({"Host": "a b/c"}, 400),
    "a header of 64 KB": ({"X-Long": "x" * 65_536}, 400),
    "B9: 65 MB to come": ({"Content-Length": "65000000"}, 413),
    "B9: 1 GB to come": ({"Content-Length": "1073741824"}, 413),
    "B9: 3 GB to come": ({"Content-Length": "3221225472"}, 413),
    "B9: 2^63 bytes to come": ({"Content-Length": "9223372036854775808"}, 400),
    "B9: 10^30 bytes to come": ({"Content-Length": "1" + "0" * 30}, 400),
    "a negative length": ({"Content-Length": "-1"}, 400),
    "a length that is none": ({"Content-Length": "0x10"}, 400),
    "B17: a length and chunks": ({"Transfer-Encoding": "chunked"}, 400),
    "B17: another transfer encoding": ({"Transfer-Encoding": "gzip, chunked"}, 501),
    "B17: a second length": ({"content-length": "5"}, 400),
    "B17: a space before the colon": ({"X-A ": "b"}, 400),
    "a header with a null byte": ({"X-A": "a\0b"}, 400),
    "an expectation": ({"Expect": "nothing"}, 200),
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.row("B6", "B7", "B9", "B17")
def test_headers_decide_nothing_but_what_they_should(server: Service, name: str) -> None:
    headers, status = HEADERS[name]
    answer = server.ask(message("POST", f"{server.model.path}/infer", JSON, headers))
    assert answer is not None
    if status == 200:
        assert answer.status == 200, answer
    else:
        assert_refused(answer, {400: range(400, 500)}.get(status, [status]))


GARBAGE = {
    "nothing of HTTP": b"\x00\xff\x00\xff\r\n\r\n",
    "a TLS hello": bytes.fromhex("16030100a5010000a10303") + b"\x5a" * 160,
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.0": b"GET / HTTP/3.0\r\nHost: a\r\n\r\n",
    "HTTP/1.1 without a host": b"GET /v2 HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v2 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a method in small letters": b"get /v2 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a path of 64 KB": b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a path without a slash": b"GET v2 HTTP/1.1\r\nHost: a\r\n\r\n",
    "1,000 headers": b"GET /v2 HTTP/1.1\r\nHost: a\r\n" + b"X-A: " + b"b" * 60 + b"\r\n" * 1
    + b"".join(b"X-%d: %s\r\n" % (n, b"b" * 60) for n in range(1000)) + b"\r\n",
    "a chunk that is no number": b"POST /classify HTTP/1.1\r\nHost: a\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk of 2^64 bytes": b"POST /classify HTTP/1.1\r\nHost: a\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n{}\r\n0\r\n\r\n",
    "a negative chunk": b"POST /classify HTTP/1.1\r\nHost: a\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
    "two transfer encodings": b"POST /classify HTTP/1.1\r\nHost: a\r\n"
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.row("B17")
def test_what_is_not_http_is_refused(server: Service, name: str) -> None:
    assert_refused(server.ask(GARBAGE[name]), [*range(400, 500), 505])


@pytest.mark.row("B17")
def test_bare_line_feeds_make_no_second_request(server: Service) -> None:
    smuggled = b"GET /v2/health/live HTTP/1.1\nHost: a\nX-A: b\n\n"
    with connect(server.address) as connection:
        connection.sendall(smuggled)
        assert receive(connection) is not None
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            receive(connection)


@pytest.mark.row("B17")
def test_pipelined_requests_are_answered_in_their_order(server: Service) -> None:
    requests = [server.model.infer([text]) for text in server.model.questions[:5]]
    with connect(server.address) as connection:
        for number, sent in enumerate(requests):
            # Two at a time: the reply is read by whole receptions.
            connection.sendall(sent)
            answer = receive(connection)
            assert answer is not None
            server.model.assert_right([number], answer.body)
        connection.sendall(b"".join(requests))
        received = b""
        while received.count(b"HTTP/1.1 200") < 5 or not received.rstrip().endswith(b"}"):
            received += connection.recv(1 << 16)
    bodies = [part.partition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 200")[1:]]
    for number, body in enumerate(bodies):
        server.model.assert_right([number], body)


# Most of a body is white space, which JSON may have.
def padded(size: int) -> bytes:
    return JSON + b" " * (size - len(JSON))


@pytest.mark.row("B9")
def test_a_body_of_the_limit_is_answered_and_one_byte_more_is_not(server: Service) -> None:
    path = f"{server.model.path}/infer"
    assert server.post(path, padded(LIMIT)).status == 200
    assert_refused(server.ask(message("POST", path, padded(LIMIT + 1))), [413])


@pytest.mark.row("B5", "B9")
def test_chunks_beyond_the_limit_are_refused(server: Service) -> None:
    sent = chunked("POST", f"{server.model.path}/infer", [padded(LIMIT + 1)])
    assert_refused(server.ask(sent), [413])


@pytest.mark.parametrize("count", [1, 2, 50])
@pytest.mark.row("B5")
def test_a_body_in_chunks_is_answered(server: Service, count: int) -> None:
    size = -(-len(JSON) // count)
    chunks = [JSON[place : place + size] for place in range(0, len(JSON), size)]
    answer = server.ask(chunked("POST", f"{server.model.path}/infer", chunks))
    assert answer is not None and answer.status == 200


@pytest.mark.row("B5")
def test_a_million_chunks_of_a_byte_are_refused_or_answered(server: Service) -> None:
    chunks = [bytes([byte]) for byte in padded(MEGABYTE)]
    answer = server.ask(chunked("POST", f"{server.model.path}/infer", chunks))
    assert answer is not None
    record("B5: a million chunks of a byte", answer.seconds, "s", 1)
    if answer.status != 200:
        assert_refused(answer)


@pytest.mark.row("B6")
def test_a_compressed_bomb_is_not_unpacked(server: Service) -> None:
    before = server.usage()
    bomb = b"\x1f\x8b" + b"\0" * MEGABYTE
    fields = {"Content-Encoding": "gzip"}
    sent = message("POST", f"{server.model.path}/infer", bomb, fields)
    assert_refused(server.ask(sent), [415])
    assert server.usage().resident_mb - before.resident_mb < 50


@pytest.mark.row("P5", "B3")
def test_large_batches_cost_no_memory(server: Service) -> None:
    before = server.usage()
    for name in ("1,000 rows", "2^31 rows", "2^33 x 2^33", "10^12 columns"):
        server.ask(message("POST", f"{server.model.path}/infer", REFUSED[name]))
    grown = server.usage().resident_mb - before.resident_mb
    record("P5: memory after refused batches", grown, "MB", 50)
    assert grown < 50


@pytest.mark.row("B13")
def test_the_port_of_metrics_has_metrics_alone(server: Service) -> None:
    for path in ("/", "/v2", "/v2/health/ready", "/classify", "/-/metrics", "/-/error"):
        assert_refused(ask(server.metrics_address, message("GET", path)), [404])
    answer = ask(server.metrics_address, message("GET", "/metrics"))
    assert answer is not None and b"front_requests_total" in answer.body
    assert b"nv_inference_request_success" in answer.body
