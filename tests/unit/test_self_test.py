"""selftest.json of a conversion: what an image carries to be checked elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.unit.converting import convert
from utils import conversion
from utils.artifacts import Reference, read_reference
from utils.samples import BUILT_IN, Example, read_samples

if TYPE_CHECKING:
    from tests.checkpoints import Checkpoint


def self_test(folder: Path) -> Reference:
    """What an image is checked with."""
    return read_reference(folder / "selftest.json")


def texts(reference: Reference) -> list[str]:
    """What is asked."""
    return [answer.text for answer in reference.answers]


@pytest.fixture(scope="module")
def converted(distilbert: "Checkpoint", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conversion with other texts than the built-in ones; not to be written to."""
    return convert(distilbert, tmp_path_factory.mktemp("converted") / "model")


def test_a_self_test_asks_the_built_in_texts_and_none_of_the_users(converted: Path) -> None:
    reference = read_reference(converted / "reference.json")
    assert texts(self_test(converted)) == [item.text for item in read_samples(None, pairs=False)]
    assert not set(texts(self_test(converted))) & set(texts(reference))


def test_a_self_test_is_held_to_the_same_as_the_reference(converted: Path) -> None:
    reference, built_in = read_reference(converted / "reference.json"), self_test(converted)
    for field in ("labels", "thresholds", "problem_type", "top_k", "tolerance", "logit_tolerance"):
        assert getattr(built_in, field) == getattr(reference, field)


def test_a_self_test_has_the_originals_answers(
    converted: Path, distilbert: "Checkpoint", tmp_path: Path
) -> None:
    other = convert(distilbert, tmp_path / "model", "--samples", BUILT_IN)
    for got, want in zip(
        self_test(converted).answers,
        read_reference(other / "reference.json").answers,
        strict=True,
    ):
        assert (got.text, got.truncated) == (want.text, want.truncated)
        assert got.logits == pytest.approx(want.logits, abs=1e-5)
        assert got.scores == pytest.approx(want.scores, abs=1e-5)


def test_where_the_built_in_texts_were_compared_the_self_test_is_the_reference(
    distilbert: "Checkpoint", tmp_path: Path
) -> None:
    folder = convert(distilbert, tmp_path / "model", "--samples", BUILT_IN)
    assert (folder / "selftest.json").read_bytes() == (folder / "reference.json").read_bytes()


def test_a_self_test_of_a_model_of_pairs_asks_pairs(
    distilbert: "Checkpoint", tmp_path: Path
) -> None:
    samples = tmp_path / "pairs.txt"
    samples.write_text("fox\tdog\n")
    folder = convert(distilbert, tmp_path / "model", "--pairs", "--samples", samples)
    answers = self_test(folder).answers
    assert [Example(item.text, item.text_pair) for item in answers] == read_samples(
        None, pairs=True
    )


@pytest.mark.parametrize(
    ("built_in", "left"), [(["the fox", "", "a dog"], ["the fox", "a dog"]), ([""], [])]
)
def test_texts_without_tokens_are_left_out_of_a_self_test(
    built_in: list[str], left: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.checkpoints import make_gpt2

    # It has no special tokens, so an empty text has none at all.
    checkpoint = make_gpt2(tmp_path / "gpt2")
    monkeypatch.setattr(conversion, "read_samples", lambda *_: [Example(text) for text in built_in])
    assert texts(self_test(convert(checkpoint, tmp_path / "model"))) == left
