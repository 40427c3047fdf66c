"""The friendly route: texts in, labels and scores out."""

import json
from typing import Any

import pytest

from tests.pipeline import TOLERANCE, Ranked
from tests.reliability.service import Model, Service, steady
from tests.reliability.wire import assert_refused, message

pytestmark = pytest.mark.reliability

REFUSED: dict[str, tuple[Any, str]] = {
    "neither": ({}, "text"),
    "both": ({"text": "a", "texts": ["b"]}, "text"),
    "an unknown field": ({"text": "a", "top_k": 1}, "top_k"),
    "a second text for a model of one": ({"text": "a", "text_pair": "b"}, "text_pair"),
    "a list for a text": ({"text": ["a"]}, "text"),
    "a number": ({"text": 1}, "text"),
    "null": ({"text": None}, "text"),
    "an object": ({"text": {"text": "a"}}, "text"),
    "a text for a list": ({"texts": "a"}, "texts"),
    "an empty list": ({"texts": []}, "texts"),
    "an object for a list": ({"texts": {"0": "a"}}, "texts"),
    "a number in a list": ({"texts": ["a", 1]}, "texts"),
    "null in a list": ({"texts": ["a", None, "b"]}, "texts"),
    "a list in a list": ({"texts": [["a"]]}, "texts"),
    "too many": ({"texts": ["a"] * 257}, "256"),
    "too long": ({"text": "x" * 131_073}, "131072"),
    "too long in a list": ({"texts": ["a", "x" * 131_073]}, "131072"),
    "a list of requests": ([{"text": "a"}], "text"),
    "a string": ("a", "JSON"),
}


def assert_answers(expected: list[Ranked], got: list[list[dict[str, Any]]]) -> None:
    """Labels by falling score, as the original has them."""
    assert len(got) == len(expected)
    for ranked, answer in zip(expected, got, strict=True):
        assert [item["label"] for item in answer] == ranked.labels
        for item, score in zip(answer, ranked.scores, strict=True):
            assert item.keys() == {"label", "score"}
            assert abs(item["score"] - score) <= TOLERANCE


def test_a_text_is_answered_with_its_labels(server: Service) -> None:
    answer = server.classify(text=server.model.questions[3])
    assert answer.status == 200
    assert "application/json" in answer.head
    assert_answers(server.model.expected[3:4], [answer.json])


# 4 are a batch of the model, 16 are asked for at once.
@pytest.mark.parametrize("count", [1, 3, 4, 5, 16, 17, 40])
def test_texts_are_answered_in_their_order(server: Service, count: int) -> None:
    answer = server.classify(texts=server.model.questions[:count])
    assert answer.status == 200
    assert_answers(server.model.expected[:count], answer.json)


def test_as_many_texts_as_there_may_be_are_answered(server: Service) -> None:
    questions, expected = server.model.questions, server.model.expected
    numbers = [number % len(questions) for number in range(256)]
    answer = server.classify(texts=[questions[number] for number in numbers])
    assert answer.status == 200
    assert_answers([expected[number] for number in numbers], answer.json)


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_is_wrong_is_refused(server: Service, name: str) -> None:
    request, part = REFUSED[name]
    answer = server.post("/classify", json.dumps(request).encode())
    assert_refused(answer, [400])
    assert part in answer.json["error"]


@pytest.mark.parametrize("body", [b"", b"text=a", b'{"text":', b'{"text": "\xff"}'])
def test_what_is_no_json_is_refused(server: Service, body: bytes) -> None:
    assert_refused(server.post("/classify", body), [400])


def test_other_methods_are_told_which_one_there_is(server: Service) -> None:
    answer = server.ask(message("GET", "/classify"))
    assert_refused(answer, [405])
    assert answer is not None and "Allow: POST" in answer.head


def test_limits_are_those_of_the_environment(model: Model) -> None:
    limits = ("--env=MAX_TEXTS=41", "--env=MAX_TEXT_BYTES=2000", "--env=MAX_BODY_BYTES=50000")
    with steady(model, *limits) as server:
        assert server.classify(texts=["a"] * 41).status == 200
        assert_refused(server.classify(texts=["a"] * 42), [400])
        assert server.classify(text="я" * 1000).status == 200
        assert_refused(server.classify(text="я" * 1000 + "x"), [400])
        assert_refused(server.infer(["x" * 2001]), [400])
        assert_refused(server.classify(texts=["x" * 2000] * 25), [413])


def test_pairs_are_answered_in_their_order(pair_model: Model) -> None:
    texts, pairs = pair_model.questions, pair_model.questions[::-1]
    with steady(pair_model) as server:
        answer = server.classify(text=texts[0], text_pair=pairs[0])
        assert_answers(pair_model.expected[:1], [answer.json])
        answer = server.classify(texts=texts, text_pairs=pairs)
        assert_answers(pair_model.expected, answer.json)
        assert_refused(server.classify(text="a"), [400])
        assert_refused(server.classify(text_pair="a"), [400])
        assert_refused(server.classify(texts=["a", "b"], text_pairs=["c"]), [400])
