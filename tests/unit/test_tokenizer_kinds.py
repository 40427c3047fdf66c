"""Token ids of the served tokenization against transformers', on generated texts."""

from collections.abc import Sequence
from itertools import compress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checkpoints import CORPUS
from tests.unit.tokenizer_kinds import KINDS, TENSORS, served_tokenization

STRINGS = 1000
MAX_LENGTH = 12

WORDS = sorted({word for text in CORPUS for word in text.split()})
EMOJI = ("👍", "👍👍", "👩‍👩‍👧", "👍🏽", "🏳️‍🌈", "1️⃣", "🇩🇪", "😡")
RIGHT_TO_LEFT = ("أريد إلغاء", "שירות", "\u202eabc\u202c", "\u200fא\u200e", "ﷺ")
COMBINING = ("e\u0301", "ÅÅ", "g\u0308\u0323", "Z" + "\u0301\u0336" * 20, "ﬁ²", "한", "ก็")
CONTROL = ("\0", "a\0b", "\n\n", "\t", "\r", "\u2028", "\ufeff", "\u00ad", "\x7f", " ", "   ")
SPECIAL = ("[CLS]", "[SEP]", "[PAD]", "[MASK]", "</s>", "<s>", "<pad>", " <mask> ", "<user>")
PIECES = st.one_of(
    st.sampled_from(
        [*WORDS, *EMOJI, *RIGHT_TO_LEFT, *COMBINING, *CONTROL, *SPECIAL, "我的 订单", "WHY?!"]
    ),
    st.text(max_size=5),
)
PARTS = st.lists(PIECES, min_size=10, max_size=10, unique=True)
GLUE = st.sampled_from(["", " "])


def texts_of(parts: Sequence[str], glue: str, times: int) -> list[str]:
    """All runs of neighbours, joined, and a very long word: drawing each by itself is slow."""
    count = len(parts)
    runs = [parts[start:end] for start in range(count) for end in range(start + 1, count + 1)]
    return ["", parts[0] * times, *(glue.join(run) for run in runs)]


def differing(tokenizer: Any, tokenization: Any, *columns: Sequence[str]) -> list[int]:
    """Rows for which ids, type ids, mask or the mark of a cut text are not transformers'."""
    texts = [list(column) for column in columns]
    want = tokenizer(
        *texts, truncation=True, max_length=MAX_LENGTH, padding=True, return_tensors="np"
    )
    whole = tokenizer(*texts, truncation=False)["input_ids"]
    encoded = tokenization.encode(*texts)
    got = tokenization.tensors(encoded.rows)
    return [
        row
        for row, ids in enumerate(whole)
        if encoded.truncated[row] != (len(ids) > MAX_LENGTH)
        or not all(np.array_equal(got[name][row], want[name][row]) for name in TENSORS)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_token_ids_are_those_of_the_transformers_tokenizer(kind: str) -> None:
    tokenizer = KINDS[kind]()
    tokenization = served_tokenization(tokenizer, max_length=MAX_LENGTH)
    compared: set[str] = set()
    cut: set[str] = set()

    @settings(max_examples=STRINGS // 20)
    @given(parts=PARTS, glue=GLUE, times=st.integers(100, 1500))
    def compare(parts: list[str], glue: str, times: int) -> None:
        texts = texts_of(parts, glue, times)
        assert [texts[row] for row in differing(tokenizer, tokenization, texts)] == []
        compared.update(texts)
        cut.update(compress(texts, tokenization.encode(texts).truncated))

    compare()
    assert len(compared) >= STRINGS
    assert 0.05 < len(cut) / len(compared) < 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_token_ids_of_pairs_are_those_of_the_transformers_tokenizer(kind: str) -> None:
    tokenizer = KINDS[kind]()
    tokenization = served_tokenization(tokenizer, max_length=MAX_LENGTH, pairs=True)

    @settings(max_examples=10)
    @given(parts=PARTS, others=PARTS, glue=GLUE, times=st.integers(1, 20))
    def compare(parts: list[str], others: list[str], glue: str, times: int) -> None:
        first, second = texts_of(parts, glue, times), texts_of(others, " ", times)[::-1]
        rows = differing(tokenizer, tokenization, first, second)
        assert [(first[row], second[row]) for row in rows] == []

    compare()
