"""What the served ensemble answers, on the real tritonserver."""

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tests.serving import Rendered, Served
from utils.errors import UserError
from utils.verify_answers import check_answer, verify

pytestmark = pytest.mark.server


def infer(served: Served, body: dict[str, Any]) -> tuple[int, Any]:
    """POST a request as curl would; status and parsed JSON."""
    request = urllib.request.Request(
        f"{served.url}/v2/models/cls_model/infer", data=json.dumps(body).encode(), method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def text_input(texts: list[str]) -> dict[str, Any]:
    return {"name": "text_input", "shape": [len(texts), 1], "datatype": "BYTES", "data": texts}


def test_all_outputs_equal_the_originals_over_http_and_grpc_in_all_batch_sizes(
    served: Served, rendered: Rendered
) -> None:
    assert len(rendered.reference.answers) == 200
    for server in (served.http, served.grpc):
        verify(server, rendered.name, rendered.reference)


def test_a_request_with_plain_json_gets_shapes_as_declared(served: Served) -> None:
    status, answer = infer(served, {"inputs": [text_input(["помогите мне", "ok", "😀"])]})
    shapes = {output["name"]: output["shape"] for output in answer["outputs"]}
    assert status == 200
    assert shapes == {
        "predicts": [3, 1],
        "labels": [3, 3],
        "scores": [3, 3],
        "logits": [3, 3],
        "truncated": [3, 1],
    }


@pytest.mark.parametrize("name", ["predicts", "labels", "scores", "logits", "truncated"])
def test_any_output_can_be_asked_for_alone(name: str, served: Served) -> None:
    status, answer = infer(served, {"inputs": [text_input(["ok"])], "outputs": [{"name": name}]})
    assert (status, [output["name"] for output in answer["outputs"]]) == (200, [name])


def test_answers_are_not_mixed_up_under_concurrent_requests(
    served: Served, rendered: Rendered
) -> None:
    expected = rendered.reference.answers * 3
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda item: served.grpc.classify("cls_model", [item.text]), expected))
    for answer, predictions in zip(expected, got, strict=True):
        check_answer(rendered.reference, answer, predictions[0])


def test_the_gate_sees_a_changed_answer(served: Served, rendered: Rendered) -> None:
    *others, last = rendered.reference.answers
    changed = replace(last, scores=last.scores[::-1])
    with pytest.raises(UserError, match="the original"):
        verify(served.http, rendered.name, replace(rendered.reference, answers=[*others, changed]))


def test_metrics_count_the_requests(served: Served, rendered: Rendered) -> None:
    metrics_port = int(
        served.log.rsplit("Started Metrics Service at 127.0.0.1:", 1)[1].split('"')[0]
    )
    served.http.classify(rendered.name, ["ok"])
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=10) as response:
        metrics = response.read().decode()
    assert 'nv_inference_request_success{model="cls_model",version="1"}' in metrics
