"""utils/tuning/texts.py: what is sent and whether answers changed."""

import json
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from utils.artifacts import Answer, Reference, write_reference
from utils.errors import UserError
from utils.samples import Example
from utils.tuning.texts import MOST_TEXTS, Answers, messages, read_labels, texts_of

SINGLE = text_format.Parse('input [ { name: "text_input" } ]', ModelConfig())
PAIRS = text_format.Parse('input [ { name: "text_input" }, { name: "text_pair" } ]', ModelConfig())


def body(label: str) -> bytes:
    return json.dumps({"outputs": [{"name": "predicts", "data": [label]}]}).encode()


def test_a_repository_is_asked_the_texts_that_it_is_checked_with(tmp_path: Path) -> None:
    answers = [Answer("one", "two", [0.0], [1.0], False)]
    write_reference(tmp_path / "selftest.json", Reference(["a"], None, "", 1, 1e-4, answers))
    assert texts_of(tmp_path, None, PAIRS) == [Example("one", "two")]


def test_a_repository_without_them_is_asked_the_built_in_ones(tmp_path: Path) -> None:
    assert len(texts_of(tmp_path, None, SINGLE)) == 26
    assert all(text.text_pair for text in texts_of(tmp_path, None, PAIRS))


def test_the_users_texts_are_taken_instead(tmp_path: Path) -> None:
    (tmp_path / "my.txt").write_text("a\tb\n")
    assert texts_of(tmp_path, tmp_path / "my.txt", PAIRS) == [Example("a", "b")]
    assert texts_of(tmp_path, tmp_path / "my.txt", SINGLE) == [Example("a\tb")]
    with pytest.raises(UserError, match=r"none\.txt: no such file"):
        texts_of(tmp_path, tmp_path / "none.txt", SINGLE)


def test_of_many_texts_some_are_taken_from_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "my.txt").write_text("".join(f"{number}\n" for number in range(1000)))
    numbers = [int(text.text) for text in texts_of(tmp_path, tmp_path / "my.txt", SINGLE)]
    assert len(numbers) == len(set(numbers)) == MOST_TEXTS
    assert numbers[-1] == 995


def test_a_message_is_a_whole_request_for_the_label_alone() -> None:
    (message,) = messages([Example("помогите", "да")], "cls")
    head, _, content = message.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/models/cls/infer HTTP/1.1\r\n")
    assert f"Content-Length: {len(content)}".encode() in head
    request = json.loads(content)
    assert {item["name"]: item["data"] for item in request["inputs"]} == {
        "text_input": ["помогите"],
        "text_pair": ["да"],
    }
    assert request["outputs"] == [{"name": "predicts"}]


def test_labels_are_read_by_text_and_what_is_no_answer_is_counted() -> None:
    labels, failures = read_labels(
        [0, 1, 2, 3, 4], [200, 200, 200, 500, 0], [body("a"), body("b"), body("c"), b"{}", b""], 2
    )
    assert labels == {0: {"a", "c"}, 1: {"b"}}
    assert failures == 2
    assert read_labels([0], [200], [b"not JSON"], 1) == ({}, 1)


def test_a_changed_label_is_counted_once_a_text() -> None:
    answers = Answers({0: {"a"}, 1: {"b"}})
    assert answers.changed({0: {"a"}, 1: {"b"}}) == 0
    assert answers.changed({0: {"a", "b"}, 1: {"c", "d"}}) == 2


def test_a_label_that_was_learnt_is_no_change() -> None:
    answers = Answers({0: {"a"}})
    answers.learn({0: {"b"}, 1: {"c"}})
    assert answers.changed({0: {"a", "b"}, 1: {"c"}}) == 0


def test_numbers_of_a_regression_may_differ_in_their_last_digits() -> None:
    answers = Answers({0: {"0.5000001"}, 1: {"[1.0, 2.0]"}})
    assert answers.changed({0: {"0.5000002"}, 1: {"[1.0, 2.000001]"}}) == 0
    assert answers.changed({0: {"0.51"}, 1: {"[1.0]"}}) == 2


def test_labels_that_look_like_numbers_are_labels() -> None:
    assert Answers({0: {"3"}}).changed({0: {"3.0"}}) == 1
    assert Answers({0: {'["a"]'}}).changed({0: {'["b"]'}}) == 1
