"""Random requests (B14): nothing dies or hangs, and every reply is JSON."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reliability.figures import LONG, record
from tests.reliability.service import Service
from tests.reliability.wire import INSIDES, message

pytestmark = pytest.mark.reliability

REQUESTS = 10_000 if LONG else 500
SECONDS = 2.0

TENSOR: dict[str, Any] = {
    "name": "text_input",
    "shape": [2, 1],
    "datatype": "BYTES",
    "data": ["ok", "да 👍"],
}
INFER: dict[str, Any] = {
    "id": "7",
    "parameters": {"binary_data_output": False},
    "inputs": [TENSOR],
    "outputs": [{"name": "labels"}, {"name": "scores", "parameters": {"binary_data": False}}],
}
CLASSIFY: dict[str, Any] = {"texts": ["ok", "да 👍", "the lazy dog"]}
ROUTES: dict[str, dict[str, Any]] = {"MODEL/infer": INFER, "/classify": CLASSIFY}

# What parsers and engines have stumbled over.
TOKENS = (
    *(b'"', b"\\", b"\\u0000", b"\\ud800", b"\\x", b"{", b"}", b"[", b"]", b",", b":", b"null"),
    *(b"-1", b"0", b"1e999", b"-0.0", b"1.5", b"2147483648", b"9223372036854775808", b"NaN"),
    *(b"\0", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\r\n", b"/*", b"//"),
    *(b'"classification":1,', b'"shared_memory_region":"r",', b'"sequence_id":1,', b"[" * 20),
    *(b'"parameters":{"binary_data_size":4},', b'"binary_data_output":true,', b'"shape":[0,1],'),
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["BYTES", "text_input", "labels", "x" * 140_000, "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=10) | st.sampled_from(sorted(TENSOR)), inner, max_size=4)
    ),
    max_leaves=8,
)
PLACES = st.integers(0, 400)
EDITS = st.lists(
    st.tuples(PLACES, st.integers(0, 20), st.binary(max_size=8) | st.sampled_from(TOKENS)),
    min_size=1,
    max_size=4,
)
FIELDS = st.sampled_from(
    "Accept Accept-Encoding Authorization Connection Content-Encoding Content-Type Cookie Expect"
    " Forwarded Host If-Match Inference-Header-Content-Length Origin Range Referer TE Trailer"
    " Upgrade User-Agent Via X-API-Key X-Forwarded-For traceparent triton-grpc-error".split()
)
HEADER = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=40)


def edited(body: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Each edit puts bytes in the place of some."""
    for place, length, new in edits:
        place %= len(body) + 1
        body = body[:place] + new + body[place + length :]
    return body


def nodes(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value: what it is in, and its key there."""
    if isinstance(value, dict):
        keys: list[Any] = list(value)
    else:
        keys = list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [node for key in keys for node in nodes(value[key])]


def changed(request: dict[str, Any], number: int, new: Any) -> bytes:
    """One value of a request is another one."""
    request = deepcopy(request)
    places = nodes(request)
    inside, key = places[number % len(places)]
    inside[key] = new
    return json.dumps(request).encode()


BYTES = st.builds(
    lambda route, edits: message(
        "POST", route, edited(json.dumps(ROUTES[route], ensure_ascii=False).encode(), edits)
    ),
    st.sampled_from(sorted(ROUTES)),
    EDITS,
)
VALUES_CHANGED = st.builds(
    lambda route, number, new: message("POST", route, changed(ROUTES[route], number, new)),
    st.sampled_from(sorted(ROUTES)),
    st.integers(0, 100),
    VALUES,
)
HEADERS = st.builds(
    lambda method, route, headers: message(
        method, route, json.dumps(ROUTES.get(route, INFER)).encode(), headers
    ),
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"]),
    st.sampled_from([*ROUTES, "MODEL", "/v2", "/v2/health/ready", "/%2e%2e/x", "/classify?a=%00"]),
    st.dictionaries(FIELDS, HEADER, max_size=4),
)


def binary(edits: list[tuple[int, int, bytes]], length: int) -> bytes:
    """A request with binary data, edited behind the JSON's beginning; `length` moves the border."""
    rows = b"\2\0\0\0ok\2\0\0\0no"
    tensor = {name: value for name, value in TENSOR.items() if name != "data"}
    tensor["parameters"] = {"binary_data_size": len(rows)}
    head = json.dumps({"inputs": [tensor]}).encode()
    body = edited(head + rows, edits)
    fields = {"Inference-Header-Content-Length": str(len(head) + length)}
    return message("POST", "MODEL/infer", body, fields)


BINARY = st.builds(binary, EDITS, st.sampled_from([0, 0, 0, 1, -1, 5, 1000, -1000]))


@pytest.mark.parametrize(
    ("name", "messages"),
    [("bytes", BYTES), ("values", VALUES_CHANGED), ("headers", HEADERS), ("binary data", BINARY)],
    ids=["bytes", "values", "headers", "binary data"],
)
@pytest.mark.row("B14")
def test_random_requests_are_answered_with_json(
    server: Service, name: str, messages: st.SearchStrategy[bytes]
) -> None:
    slowest = 0.0
    statuses: dict[int, int] = {}

    @settings(max_examples=REQUESTS, deadline=None)
    @given(messages)
    def answered(sent: bytes) -> None:
        nonlocal slowest
        answer = server.ask(sent.replace(b"MODEL", server.model.path.encode()), SECONDS)
        assert answer is not None, "closed without a reply"
        assert answer.status < 500, answer
        if answer.status == 200:
            # With binary data, or of no text at all.
            assert answer.body == b"" or answer.body[:1] in b"{["
        else:
            assert not INSIDES.search(answer.json["error"]), answer
        slowest = max(slowest, answer.seconds)
        statuses[answer.status] = statuses.get(answer.status, 0) + 1

    run: Callable[[], None] = answered
    run()
    record(f"B14: random {name}: requests", sum(statuses.values()), "")
    record(f"B14: random {name}: slowest answer", slowest, "s", SECONDS)
    # Refused alone, they would say nothing of what goes on to the model.
    assert len(statuses) > 1, statuses
