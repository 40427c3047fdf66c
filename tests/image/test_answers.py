"""Answers of images built by the main command."""

import json
import urllib.request

import pytest

from tests.containers import running
from tests.image.conftest import Built
from tests.pipeline import assert_same
from tests.texts import texts
from utils.client import classify_all

pytestmark = pytest.mark.image


def test_an_image_answers_200_texts_as_the_original_over_http_and_grpc(any_built: Built) -> None:
    variant, questions = any_built.variant, texts(200)
    pairs = questions[100:] + questions[:100] if variant.pairs else None
    expected = variant.answers(any_built.inputs, questions, pairs)
    with running(any_built.image, "--env=GRPC=on") as container:
        for server in (container.http, container.grpc):
            got = classify_all(server, any_built.model_name, questions, pairs)
            assert_same(expected, got, variant.top_k)
            assert [item.predict for item in got] == [variant.predicts(item) for item in got]


def test_stdout_is_the_image_reference_alone(built: Built) -> None:
    assert built.stdout == "triton_cls_model:pytest\n"


def test_the_curl_request_of_the_readme_is_answered(built: Built) -> None:
    body = (
        '{"inputs":[{"name":"text_input","shape":[1,1],"datatype":"BYTES",'
        '"data":["помогите мне"]}]}'
    )
    with running(built.image) as container:
        url = f"http://{container.address(8000)}/v2/models/cls_model/infer"
        request = urllib.request.Request(url, data=body.encode(), method="POST")
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.load(response)
    assert {output["name"]: output["shape"] for output in answer["outputs"]} == {
        "predicts": [1, 1],
        "labels": [1, 3],
        "scores": [1, 3],
        "logits": [1, 3],
        "truncated": [1, 1],
    }
