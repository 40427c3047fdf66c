"""model_repository/text_preprocessing/1/tokenization.py; transformers' tokenizer is the reference.

The tokens here are words that can be counted; test_tokenizer_kinds.py has tokenizers of every kind.
"""

import tempfile
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, processors

from tests.unit.reports import make_behaviour
from tests.unit.tokenizer_kinds import byte_level, served_tokenization, word_level, words
from utils import encoding
from utils.artifacts import Behaviour
from utils.checkpoint import Classifier
from utils.original import original_rows
from utils.samples import Example
from utils.served import Encoded, Tokenization
from utils.tokenizer_export import export_tokenizer

SIDES = ("right", "left")
PAD, UNK, CLS, SEP, MASK = range(5)
NAMED = "[CLS] w1 [SEP] [PAD] w2 [MASK] [UNK] w3 [SEP]"


def ids(encoded: Encoded) -> list[list[list[int]]]:
    """Token ids of each text's windows."""
    return [[row.ids for row in windows] for windows in encoded.rows]


def first_ids(tokenization: Tokenization, *texts: str) -> list[int]:
    """Token ids of one text's, or one pair's, only row."""
    (((row),),) = ids(tokenization.encode(*([text] for text in texts)))
    return row


def numbers(row: list[int]) -> list[int]:
    """The numbers of the words in a row."""
    return [token - 5 for token in row if token >= 5]


def reference(
    tokenizer: Any, behaviour: Behaviour, text: str, pair: str | None = None
) -> tuple[list[tuple[list[int], list[int]]], bool]:
    """Ids and type ids of each row by transformers, and whether a part is left out."""
    classifier = Classifier(None, tokenizer, 0, 0, ())
    rows, truncated = original_rows(classifier, behaviour, Example(text, pair))
    return [(row["input_ids"], row["token_type_ids"]) for row in rows], truncated


def check(tokenizer: Any, texts: list[str], pairs: list[str] | None = None, **changes: Any) -> None:
    """Compare ids, type ids and the mark of cut texts with transformers'."""
    behaviour = make_behaviour(padding=tokenizer.padding_side, pairs=bool(pairs), **changes)
    tokenization = served_tokenization(tokenizer, pairs=bool(pairs), **changes)
    encoded = tokenization.encode(texts, pairs or [])
    for number, text in enumerate(texts):
        pair = pairs[number] if pairs else None
        got = [(row.ids, row.type_ids) for row in encoded.rows[number]]
        want = reference(tokenizer, behaviour, text, pair)
        assert (got, encoded.truncated[number]) == want, (text, pair)


@pytest.mark.parametrize("side", SIDES)
def test_a_text_of_any_length_is_cut_as_transformers_cuts_it(side: str) -> None:
    tokenizer = word_level(truncation_side=side)
    check(tokenizer, [words(count) for count in range(15)], max_length=10)


def test_a_text_is_cut_at_the_end_unless_the_tokenizer_cuts_the_start() -> None:
    for side, kept in (("right", [0, 1, 2]), ("left", [17, 18, 19])):
        tokenization = served_tokenization(word_level(truncation_side=side), max_length=5)
        row = first_ids(tokenization, words(20))
        assert numbers(row) == kept
        assert (row[0], row[-1]) == (CLS, SEP)


def test_head_and_tail_of_510_tokens_are_those_of_the_paper() -> None:
    tokenization = served_tokenization(word_level(), max_length=512, long_text="head-tail")
    row = first_ids(tokenization, words(100) + " " + words(900, 100))
    all_numbers = [number % 200 for number in range(1000)]
    assert numbers(row) == all_numbers[:128] + all_numbers[-382:]
    assert len(row) == 512


@pytest.mark.parametrize("side", SIDES)
def test_head_and_tail_do_not_depend_on_the_side_that_is_cut(side: str) -> None:
    tokenizer = word_level(truncation_side=side)
    tokenization = served_tokenization(tokenizer, max_length=10, long_text="head-tail")
    assert numbers(first_ids(tokenization, words(20))) == [0, 1, 14, 15, 16, 17, 18, 19]


def test_head_and_tail_fill_the_row_whatever_its_length() -> None:
    for max_length in range(4, 40):
        tokenization = served_tokenization(
            word_level(), max_length=max_length, long_text="head-tail"
        )
        encoded = tokenization.encode([words(max_length - 2), words(max_length - 1), words(100)])
        assert [len(row.ids) for (row,) in encoded.rows] == [max_length] * 3
        assert encoded.truncated == [False, True, True]


def test_head_and_tail_are_those_that_the_originals_answer_is_made_of() -> None:
    for max_length in (4, 5, 10, 17):
        texts = [words(count) for count in range(30)]
        check(word_level(), texts, max_length=max_length, long_text="head-tail")


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("stride", [0, 1, 2, 5, 7])
def test_windows_are_those_of_transformers(stride: int, side: str) -> None:
    check(
        word_level(truncation_side=side),
        [words(count) for count in range(45)],
        max_length=10,
        long_text="window",
        stride=stride,
        max_windows=100,
    )


@pytest.mark.parametrize("stride", [0, 3])
def test_windows_hold_every_token_and_share_the_stride(stride: int) -> None:
    tokenization = served_tokenization(
        word_level(), max_length=10, long_text="window", stride=stride, max_windows=100
    )
    for count in range(1, 60):
        (windows,) = ids(tokenization.encode([words(count)]))
        parts = [numbers(row) for row in windows]
        assert sorted({number for part in parts for number in part}) == list(range(count))
        for before, after in pairwise(parts):
            assert before[len(before) - stride :] == after[:stride]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("max_windows", [1, 2, 3])
def test_windows_beyond_the_most_are_left_out_and_the_text_marked(
    max_windows: int, side: str
) -> None:
    check(
        word_level(truncation_side=side),
        [words(count) for count in range(45)],
        max_length=10,
        long_text="window",
        stride=2,
        max_windows=max_windows,
    )


def test_a_text_is_marked_only_when_a_window_of_it_is_left_out() -> None:
    tokenization = served_tokenization(
        word_level(), max_length=10, long_text="window", stride=2, max_windows=3
    )
    # Windows of 8 tokens every 6: 20 tokens fill three.
    encoded = tokenization.encode([words(20), words(21)])
    assert [len(windows) for windows in encoded.rows] == [3, 3]
    assert encoded.truncated == [False, True]


def test_the_windows_that_are_kept_are_on_the_side_that_truncation_keeps() -> None:
    for side, first in (("right", 0), ("left", 192)):
        tokenization = served_tokenization(
            word_level(truncation_side=side), max_length=10, long_text="window", max_windows=1
        )
        assert numbers(first_ids(tokenization, words(200)))[0] == first


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("max_length", [4, 5, 6, 7, 8, 11])
def test_a_pair_of_any_two_lengths_is_cut_as_transformers_cuts_it(
    max_length: int, side: str
) -> None:
    # An empty second text is none to transformers, unless it comes in a batch.
    lengths = list(product(range(13), range(1, 13)))
    check(
        word_level(truncation_side=side),
        [words(first) for first, _ in lengths],
        [words(second, 100) for _, second in lengths],
        max_length=max_length,
    )


def test_an_empty_text_of_a_pair_keeps_its_place_as_in_a_batch_of_transformers() -> None:
    firsts, seconds = ["", words(3), "", words(9)], ["", "", words(3), ""]
    tokenizer = word_level()
    encoded = served_tokenization(tokenizer, max_length=8, pairs=True).encode(firsts, seconds)
    want = tokenizer(firsts, seconds, truncation=True, max_length=8)["input_ids"]
    assert ids(encoded) == [[row] for row in want]
    assert encoded.truncated == [False, False, False, True]


@pytest.mark.parametrize("side", SIDES)
def test_special_tokens_that_texts_name_are_cut_like_words(side: str) -> None:
    tokenizer = word_level(truncation_side=side)
    texts = [NAMED, f"{words(9)} {NAMED}", f"{NAMED} {words(9)}", f"{NAMED} " * 5]
    check(tokenizer, texts, max_length=8)
    check(tokenizer, texts, texts[::-1], max_length=8)
    check(tokenizer, texts, max_length=8, long_text="window", stride=2, max_windows=100)


@pytest.mark.parametrize("texts", [[f"{words(9)} [SEP] {words(9)}"], [f"w0 {NAMED} {words(9)}"]])
def test_special_tokens_inside_a_text_are_part_of_head_and_tail(texts: list[str]) -> None:
    check(word_level(), texts, max_length=8, long_text="head-tail")


def test_special_tokens_at_the_ends_of_a_text_are_part_of_head_and_tail() -> None:
    tokenization = served_tokenization(word_level(), max_length=6, long_text="head-tail")
    assert first_ids(tokenization, f"[MASK] {words(9)} [MASK]") == [CLS, MASK, 12, 13, MASK, SEP]


@pytest.mark.parametrize("side", SIDES)
def test_rows_are_padded_as_transformers_pads_them(side: str) -> None:
    tokenizer = word_level(padding_side=side)
    texts = [words(3), "", words(7), words(1)]
    want = tokenizer(texts, padding=True, return_tensors="np")
    tokenization = served_tokenization(tokenizer)
    got = tokenization.tensors(tokenization.encode(texts).rows)
    for name, array in got.items():
        np.testing.assert_array_equal(array, want[name])
        assert array.dtype == np.int64


def test_padding_has_the_ids_that_the_tokenizer_file_names() -> None:
    tokenizer = word_level().backend_tokenizer
    tokenizer.enable_truncation(10)
    tokenizer.enable_padding(pad_id=77, pad_type_id=3)
    tokenization = Tokenization(tokenizer, pairs=False, long_text="truncate", max_windows=1)
    arrays = tokenization.tensors(tokenization.encode(["w0 w1", "w0"]).rows)
    assert arrays["input_ids"][1].tolist() == [CLS, 5, SEP, 77]
    assert arrays["token_type_ids"][1].tolist() == [0, 0, 0, 3]
    assert arrays["attention_mask"][1].tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("side", SIDES)
def test_windows_that_a_text_has_not_are_all_padding(side: str) -> None:
    tokenization = served_tokenization(
        word_level(padding_side=side), max_length=5, long_text="window", max_windows=4
    )
    rows = tokenization.encode([words(1), words(8)]).rows
    arrays = tokenization.tensors(rows)
    assert {array.shape for array in arrays.values()} == {(2, 3, 5)}
    assert arrays["attention_mask"].sum(axis=-1).tolist() == [[3, 0, 0], [5, 5, 4]]
    assert (arrays["input_ids"][0, 1:] == PAD).all()
    filled = arrays["input_ids"][0, 0].tolist()
    assert filled == ([CLS, 5, SEP, PAD, PAD] if side == "right" else [PAD, PAD, CLS, 5, SEP])


def test_short_texts_have_a_dimension_of_windows_too() -> None:
    tokenization = served_tokenization(word_level(), long_text="window", max_windows=4)
    arrays = tokenization.tensors(tokenization.encode(["w1", ""]).rows)
    assert arrays["input_ids"].tolist() == [[[CLS, 6, SEP]], [[CLS, SEP, PAD]]]


PROCESSORS: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "BERT's": lambda: "bert",
    "RoBERTa's": lambda: processors.RobertaProcessing(("[SEP]", SEP), ("[CLS]", CLS)),
    "in front alone": lambda: template("[CLS] $A", "[CLS] $A $B"),
    "behind alone": lambda: template("$A [SEP]", "$A [SEP] $B [SEP]"),
    "type ids of its own": lambda: template("[CLS]:7 $A:3 [SEP]:2", "[CLS]:7 $A:3 $B:5 [SEP]:2"),
    "the second text first": lambda: template("$A [SEP]", "$B [CLS] $A [SEP]"),
    "in a sequence": lambda: processors.Sequence(
        [processors.ByteLevel(), template("[CLS] $A", "[CLS] $A [SEP]:1 $B:1")]
    ),
}


def template(single: str, pair: str) -> Any:
    """A template of [CLS] and [SEP]."""
    return processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )


@pytest.mark.parametrize("name", PROCESSORS)
def test_special_tokens_stand_where_the_post_processor_puts_them(name: str) -> None:
    texts = [words(count) for count in range(1, 12)]
    check(word_level(PROCESSORS[name]()), texts, max_length=8)


@pytest.mark.parametrize("name", sorted(PROCESSORS.keys() - {"the second text first"}))
def test_special_tokens_of_pairs_stand_where_the_post_processor_puts_them(name: str) -> None:
    firsts = [words(count) for count in range(1, 12)]
    check(word_level(PROCESSORS[name]()), firsts, firsts[::-1], max_length=9)


def test_a_row_without_tokens_is_refused_by_its_number() -> None:
    tokenization = served_tokenization(word_level(None))
    assert first_ids(tokenization, "w1") == [6]
    with pytest.raises(ValueError, match=r"^row 1 has no tokens$"):
        tokenization.encode(["w1", " ", "w2"])


def test_a_pair_is_refused_only_when_both_texts_have_no_tokens() -> None:
    tokenization = served_tokenization(word_level(None), pairs=True)
    assert ids(tokenization.encode(["w1", ""], ["", "w2"])) == [[[6]], [[7]]]
    with pytest.raises(ValueError, match=r"^row 0 has no tokens$"):
        tokenization.encode([""], [""])


def test_an_empty_text_is_its_special_tokens() -> None:
    assert first_ids(served_tokenization(word_level()), "") == [CLS, SEP]
    assert first_ids(served_tokenization(word_level(), pairs=True), "", "") == [CLS, SEP, SEP]


def test_a_pair_needs_as_many_second_texts_as_first_ones() -> None:
    tokenization = served_tokenization(word_level(), pairs=True)
    with pytest.raises(ValueError, match="zip"):
        tokenization.encode(["w1", "w2"], ["w3"])


@pytest.mark.parametrize("missing", ["truncation", "padding"])
def test_a_tokenizer_file_without_truncation_or_padding_is_refused(missing: str) -> None:
    tokenizer = word_level().backend_tokenizer
    tokenizer.enable_truncation(10)
    tokenizer.enable_padding()
    getattr(tokenizer, f"no_{missing}")()
    with pytest.raises(ValueError, match="no truncation or no padding"):
        Tokenization(tokenizer, pairs=False, long_text="truncate", max_windows=1)


def test_a_tokenizer_that_knows_none_of_the_probes_is_refused() -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.enable_truncation(10)
    tokenizer.enable_padding()
    with pytest.raises(ValueError, match="makes no tokens"):
        Tokenization(tokenizer, pairs=False, long_text="truncate", max_windows=1)


def test_the_library_is_not_told_to_cut_so_that_it_keeps_no_pieces() -> None:
    tokenizer = byte_level()
    tokenizer.enable_truncation(10)
    tokenizer.enable_padding()
    Tokenization(tokenizer, pairs=True, long_text="truncate", max_windows=1)
    assert tokenizer.truncation is None
    assert tokenizer.padding is None


def filled(count: int, multiple: int, side: str = "right") -> list[int]:
    """Token ids of a text of so many words, of twenty tokens at most."""
    behaviour = make_behaviour(max_length=20, padding=side)
    tokenizer = word_level(padding_side=side)
    with tempfile.TemporaryDirectory() as folder:
        export_tokenizer(Classifier(None, tokenizer, 0, PAD, ()), behaviour, Path(folder))
        tokenization = encoding.served_tokenization(Path(folder), behaviour, multiple)
    arrays = tokenization.tensors(tokenization.encode([words(count)]).rows)
    row: list[int] = arrays["input_ids"][0].tolist()
    assert arrays["attention_mask"][0].tolist() == [int(token != PAD) for token in row]
    return row


@pytest.mark.parametrize(
    ("count", "multiple", "length"),
    [(2, 1, 4), (2, 8, 8), (6, 8, 8), (7, 8, 16), (15, 8, 20), (500, 8, 20), (2, 64, 20)],
)
def test_a_row_is_filled_up_to_a_multiple_as_far_as_the_model_goes(
    count: int, multiple: int, length: int
) -> None:
    row = filled(count, multiple)
    assert len(row) == length
    real = min(count + 2, 20)
    assert PAD not in row[:real]
    assert set(row[real:]) <= {PAD}


def test_a_row_is_filled_up_on_the_tokenizers_side() -> None:
    assert filled(1, 8, "left") == [PAD] * 5 + filled(1, 1, "left")
