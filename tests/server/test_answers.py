"""What the served ensemble answers, on the real tritonserver."""

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc_client

from tests.serving import Rendered, Served, serve
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


def test_labels_and_scores_equal_the_pipelines_over_http_and_grpc_in_all_batch_sizes(
    any_rendered: Rendered, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert len(any_rendered.answers) == 200
    log_file = tmp_path_factory.mktemp("served") / "server.log"
    with serve(any_rendered.repository, log_file) as served:
        for server in (served.http, served.grpc):
            verify(server, any_rendered.name, any_rendered.answers)


def test_a_request_with_plain_json_gets_shapes_as_declared(served: Served) -> None:
    status, answer = infer(served, {"inputs": [text_input(["помогите мне", "ok", "😀"])]})
    shapes = {output["name"]: output["shape"] for output in answer["outputs"]}
    assert status == 200
    assert shapes == {"predicts": [3, 1], "labels": [3, 3], "scores": [3, 3]}


def test_only_the_requested_output_comes_back(served: Served) -> None:
    _, answer = infer(served, {"inputs": [text_input(["ok"])], "outputs": [{"name": "predicts"}]})
    assert [output["name"] for output in answer["outputs"]] == ["predicts"]


def test_an_empty_text_is_answered(served: Served) -> None:
    status, _ = infer(served, {"inputs": [text_input([""])]})
    assert status == 200


def test_a_batch_over_the_limit_is_refused_naming_the_limit(served: Served) -> None:
    status, answer = infer(served, {"inputs": [text_input(["ok"] * 5)]})
    assert status == 400
    assert "4" in answer["error"]


def test_a_text_that_is_not_utf8_fails_its_own_request_only(
    served: Served, rendered: Rendered
) -> None:
    client = grpc_client.InferenceServerClient(served.grpc.address)
    good = rendered.answers[:32]

    def ask_badly(_: int) -> str:
        tensor = grpc_client.InferInput("text_input", [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[b"\xff\xfe"]], dtype=object))
        with pytest.raises(grpc_client.InferenceServerException, match="not UTF-8") as caught:
            client.infer("cls_model", [tensor])
        return str(caught.value)

    with ThreadPoolExecutor(8) as pool:
        failures = [pool.submit(ask_badly, number) for number in range(8)]
        answers = list(pool.map(lambda item: served.grpc.classify("cls_model", [item.text]), good))
        assert all(future.result() for future in failures)
    for expected, got in zip(good, answers, strict=True):
        check_answer(expected, got[0])


def test_answers_are_not_mixed_up_under_concurrent_requests(
    served: Served, rendered: Rendered
) -> None:
    expected = rendered.answers * 3
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda item: served.grpc.classify("cls_model", [item.text]), expected))
    for answer, predictions in zip(expected, got, strict=True):
        check_answer(answer, predictions[0])


def test_the_gate_sees_a_changed_answer(served: Served, rendered: Rendered) -> None:
    answers = rendered.answers
    last = answers[-1]
    answers[-1] = type(last)(last.text, last.labels[::-1], last.scores)
    with pytest.raises(UserError, match="answered"):
        verify(served.http, rendered.name, answers)


def test_metrics_count_the_requests(served: Served, rendered: Rendered) -> None:
    metrics_port = int(
        served.log.rsplit("Started Metrics Service at 127.0.0.1:", 1)[1].split('"')[0]
    )
    served.http.classify(rendered.name, ["ok"])
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=10) as response:
        metrics = response.read().decode()
    assert 'nv_inference_request_success{model="cls_model",version="1"}' in metrics
