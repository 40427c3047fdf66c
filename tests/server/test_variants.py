"""Every kind of checkpoint and of answer, on the real tritonserver, against transformers."""

from pathlib import Path

import pytest

from tests import checkpoints
from tests.pipeline import assert_same
from tests.serving import render, serve
from tests.texts import texts
from tests.variants import VARIANTS
from utils.client import classify_all

pytestmark = pytest.mark.server


@pytest.mark.parametrize("name", VARIANTS)
def test_500_texts_are_answered_as_by_the_original_over_http_and_grpc(
    name: str, tmp_path: Path
) -> None:
    variant = VARIANTS[name]
    checkpoint, options = variant.build(tmp_path)
    rendered = render(checkpoint, tmp_path, *options)
    questions = texts(500)
    pairs = questions[250:] + questions[:250] if variant.pairs else None
    expected = variant.answers(checkpoint, questions, pairs)
    with serve(rendered.repository, tmp_path / "server.log") as served:
        for server in (served.http, served.grpc):
            got = classify_all(server, rendered.name, questions, pairs)
            assert_same(expected, got, variant.top_k)
            assert [item.predict for item in got] == [variant.predicts(item) for item in got]


def test_head_and_tail_of_a_long_text_decide(tmp_path: Path) -> None:
    checkpoint = checkpoints.make_distilbert(tmp_path)
    rendered = render(checkpoint, tmp_path, "--long-text", "head-tail")
    head, tail = "the quick fox " * 20, " lazy dog why" * 20
    questions = [head + " ".join(texts(30)) + tail, head + "👍" + tail, head + tail, "the fox"]
    with serve(rendered.repository, tmp_path / "server.log") as served:
        got = served.http.classify("cls_model", questions)
    assert got[0].logits == got[1].logits == got[2].logits != got[3].logits
    assert [item.truncated for item in got] == [True, True, True, False]


def test_a_text_in_more_windows_than_allowed_says_that_it_was_cut(tmp_path: Path) -> None:
    checkpoint = checkpoints.make_roberta(tmp_path)
    rendered = render(checkpoint, tmp_path, "--long-text", "window", "--max-windows", "2")
    with serve(rendered.repository, tmp_path / "server.log") as served:
        got = served.http.classify("cls_model", ["a", "a " * 40, "a " * 400])
    assert [item.truncated for item in got] == [False, False, True]
