"""Answers of images built by the main command."""

import json
import urllib.request

import pytest

from tests.containers import running
from tests.image.conftest import Built
from utils.artifacts import Answer
from utils.verify_answers import verify

pytestmark = pytest.mark.image


def pipeline_answers(built: Built) -> list[Answer]:
    """What transformers' pipeline says of the original checkpoint, asked here and now."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    model = AutoModelForSequenceClassification.from_pretrained(built.checkpoint / "model")
    labels = json.loads((built.checkpoint / "id2label.json").read_text(encoding="utf-8"))
    model.config.id2label = {int(index): label for index, label in labels.items()}
    tokenizer = AutoTokenizer.from_pretrained(built.checkpoint / "tokenizer")
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    # RoBERTa counts positions from padding_idx + 1 = 2.
    unused = 2 if built.kind == "roberta" else 0
    length = model.config.max_position_embeddings - unused
    options = {"truncation": True, "max_length": length, "top_k": None}
    texts = built.samples.read_text(encoding="utf-8").splitlines()
    return [
        Answer(
            text,
            [item["label"] for item in ranked],
            [item["score"] for item in ranked],
        )
        for text in texts
        for ranked in [classify(text, **options)]
    ]


def test_an_image_answers_200_texts_as_the_pipeline_over_http_and_grpc(any_built: Built) -> None:
    answers = pipeline_answers(any_built)
    assert len(answers) == 200
    with running(any_built.image) as container:
        for server in (container.http, container.grpc):
            verify(server, any_built.model_name, answers)


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
    assert {output["name"] for output in answer["outputs"]} == {"predicts", "labels", "scores"}
