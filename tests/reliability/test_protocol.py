"""What the V2 protocol promises (P1 to P3)."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from tests.pipeline import assert_same
from tests.reliability.service import Model, Service, predictions
from tests.reliability.wire import assert_refused, chunked, message
from tests.texts import texts
from utils.inference import Server
from utils.load.generator import Closed, Plan, run_load
from utils.load.requests import post

pytestmark = pytest.mark.reliability

# MODEL stands for the model's path; a POST has a valid request as its body.
ENDPOINTS = {
    "GET /v2/health/live": 200,
    "GET /v2/health/ready": 200,
    "GET /v2": 200,
    "GET MODEL": 200,
    "GET MODEL/versions/1": 200,
    "GET MODEL/config": 200,
    "GET MODEL/ready": 200,
    "GET MODEL/versions/1/ready": 200,
    **dict.fromkeys(
        (f"HEAD {path}" for path in ("/v2/health/live", "/v2/health/ready", "/v2", "MODEL", "/")),
        200,
    ),
    "HEAD MODEL/config": 200,
    "HEAD /openapi.json": 200,
    "POST MODEL/infer": 200,
    "POST MODEL/versions/1/infer": 200,
    "GET /": 200,
    "GET /openapi.json": 200,
    "GET MODEL/infer": 405,
    "PUT MODEL/infer": 405,
    "POST /v2/health/ready": 405,
    "POST /v2": 405,
    "DELETE MODEL": 405,
    "POST MODEL/config": 405,
    "GET /classify": 405,
    "GET MODEL/versions/2": 404,
    "POST MODEL/versions/2/infer": 404,
    "GET /v2/models/unknown": 404,
    "GET /v2/models/unknown/ready": 404,
    "POST /v2/models/unknown/infer": 404,
    "GET /v2/unknown": 404,
    "GET /metrics": 404,
}

STRANGE_TEXTS = {
    "empty": "",
    "a space": " ",
    "a null byte": "\0",
    "a null byte within": "the\0dog",
    "an emoji": "👍",
    "an emoji of several": "👩‍👩‍👧",
    "right to left": "أريد إلغاء שירות",
    "four bytes a character": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𓂀",
    "combining": "e\u0301\u0301\u0301",
    "a line break": "the\r\ndog\t!",
    "quotes and backslashes": '"\\" \\u0041 \\',
    "JSON": '{"text": ["a"]}',
    "the last code point": "\U0010ffff",
    "a byte order mark": "\ufeffthe dog",
}


def rows(texts_: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts_)


def infer_body(model_texts: list[str], **more: Any) -> bytes:
    tensor = {
        "name": "text_input",
        "shape": [len(model_texts), 1],
        "datatype": "BYTES",
        "data": model_texts,
    }
    return json.dumps({"inputs": [tensor], **more}).encode()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.row("P1")
def test_every_endpoint_has_the_status_of_the_protocol(server: Service, endpoint: str) -> None:
    method, _, path = endpoint.partition(" ")
    body = infer_body(["ok"]) if method in ("POST", "PUT") else None
    answer = server.ask(message(method, path.replace("MODEL", server.model.path), body))
    assert answer is not None
    assert answer.status == ENDPOINTS[endpoint]
    if answer.status != 200:
        assert_refused(answer)


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/v2", "MODEL"])
@pytest.mark.row("P1", "B17")
def test_a_body_that_nobody_asked_for_changes_nothing(server: Service, path: str) -> None:
    path = path.replace("MODEL", server.model.path)
    # Told of a body that does not come, the server behind would take the next request for it.
    for sent in (message("GET", path, infer_body(["ok"])), chunked("GET", path, [b"abc"])):
        answer = server.ask(sent)
        assert answer is not None and answer.status == 200
        assert answer.seconds < 1
        server.assert_right()


@pytest.mark.row("P1")
def test_metadata_has_the_types_and_shapes_that_answers_have(server: Service) -> None:
    metadata = server.get(server.model.path).json
    assert metadata["name"] == server.model.built.model_name
    assert metadata["inputs"] == [{"name": "text_input", "datatype": "BYTES", "shape": [-1, 1]}]
    declared = {tensor["name"]: tensor for tensor in metadata["outputs"]}
    answer = server.infer(server.model.questions[:3]).json
    assert {tensor["name"] for tensor in answer["outputs"]} == declared.keys()
    for tensor in answer["outputs"]:
        assert tensor["datatype"] == declared[tensor["name"]]["datatype"]
        assert [-1, *tensor["shape"][1:]] == declared[tensor["name"]]["shape"]
        assert tensor["shape"][0] == 3


@pytest.mark.row("P1")
def test_server_metadata_names_no_extension_that_is_out_of_reach(server: Service) -> None:
    metadata = server.get("/v2").json
    assert metadata["extensions"] == ["binary_tensor_data"]
    assert {"name", "version"} <= metadata.keys()


@pytest.mark.parametrize("name", ["7", 'a "b" \\ ы 👍', "x" * 256])
@pytest.mark.row("P1")
def test_the_id_of_a_request_comes_back(server: Service, name: str) -> None:
    answer = server.post(f"{server.model.path}/infer", infer_body(["ok"], id=name))
    assert answer.json["id"] == name


@pytest.mark.parametrize(
    "names", [["scores"], ["truncated", "labels"], ["logits", "scores", "predicts"]]
)
@pytest.mark.row("P1", "P6")
def test_outputs_are_those_that_were_asked_for(server: Service, names: list[str]) -> None:
    asked = [{"name": name} for name in names]
    answer = server.post(f"{server.model.path}/infer", infer_body(["ok"], outputs=asked))
    assert {tensor["name"] for tensor in answer.json["outputs"]} == set(names)


@pytest.mark.row("P1")
def test_an_empty_list_of_outputs_asks_for_all(server: Service) -> None:
    answer = server.post(f"{server.model.path}/infer", infer_body(["ok"], outputs=[]))
    assert len(answer.json["outputs"]) == 5


@pytest.mark.parametrize("asked", ["of the request", "of the output"])
@pytest.mark.row("P1")
def test_binary_tensors_come_and_go(server: Service, asked: str) -> None:
    tensor = rows([text.encode() for text in server.model.questions[:3]])
    request: dict[str, Any] = {
        "inputs": [
            {
                "name": "text_input",
                "shape": [3, 1],
                "datatype": "BYTES",
                "parameters": {"binary_data_size": len(tensor)},
            }
        ]
    }
    if asked == "of the request":
        request["parameters"] = {"binary_data_output": True}
        request["outputs"] = [{"name": "scores"}]
    else:
        request["outputs"] = [{"name": "scores", "parameters": {"binary_data": True}}]
    body = json.dumps(request).encode()
    header = {"Inference_Header_Content_Length": str(len(body))}
    answer = server.post(f"{server.model.path}/infer", body + tensor, **header)
    assert answer.status == 200
    scores = np.frombuffer(answer.body[-3 * 3 * 4 :], np.float32).reshape(3, 3)
    expected = [ranked.scores for ranked in server.model.expected[:3]]
    assert np.abs(scores - np.array(expected)).max() <= 1e-4


@pytest.mark.row("P1")
def test_nvidias_client_gets_the_answers_of_the_original(server: Service) -> None:
    host, port = server.address
    model = server.model
    client = Server("http", f"{host}:{port}")
    assert client.ready(model.built.model_name)
    for start in range(0, len(model.questions), 4):
        got = client.classify(model.built.model_name, model.questions[start : start + 4])
        assert_same(model.expected[start : start + 4], got, 3)
    client.close()


@pytest.mark.parametrize("name", STRANGE_TEXTS)
@pytest.mark.row("P3")
def test_strange_texts_are_answered_as_by_the_original(
    server: Service, model: Model, name: str
) -> None:
    text = STRANGE_TEXTS[name]
    expected = model.built.variant.answers(model.built.inputs, [text], None)
    answer = server.infer([text])
    assert answer.status == 200
    assert_same(expected, predictions(answer.body), 3)


@pytest.mark.row("P2")
def test_of_requests_at_once_only_the_bad_ones_fail(server: Service) -> None:
    path = f"{server.model.path}/infer"
    good = [server.model.infer([text]) for text in texts(9)]
    bad = post(path, infer_body(["BAD"]).replace(b"BAD", b"\xff\xfe"))
    messages = [*good, bad]
    trace = run_load(Plan(server.address, messages, Closed(64), 2.0))
    statuses = {
        (request % len(messages) == 9, status)
        for request, status in zip(trace.log.requests, trace.log.statuses, strict=True)
    }
    assert statuses == {(False, 200), (True, 400)}
    assert len(trace.log.requests) > 100
