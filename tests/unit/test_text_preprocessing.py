"""model_repository/text_preprocessing/1/model.py, outside Triton, with a tokenizer of words."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tests.unit.commands import ROOT
from tests.unit.triton_stub import Request, Response, TritonModelException, load_model_file

UNKNOWN, PADDING = "[UNK]", "[PAD]"
VOCABULARY = {PADDING: 0, UNKNOWN: 1, "[CLS]": 2, "[SEP]": 3, "one": 4, "два": 5, "👍": 6}
MAX_LENGTH = 5
BERT_OUTPUTS = ("input_ids", "token_type_ids", "attention_mask")
ALL_OUTPUTS = (*BERT_OUTPUTS, "truncated")
PAIR_INPUTS = ("text_input", "text_pair")

MODULE = load_model_file(ROOT / "model_repository" / "text_preprocessing" / "1" / "model.py")


def load(
    folder: Path,
    outputs: tuple[str, ...],
    data_type: str = "TYPE_INT64",
    *,
    inputs: tuple[str, ...] = ("text_input",),
    special: bool = True,
    **parameters: str,
) -> Any:
    """A model with these outputs and `truncated`."""
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if special:
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_truncation(MAX_LENGTH)
    tokenizer.enable_padding(pad_id=0, pad_token=PADDING)
    (folder / "1").mkdir()
    tokenizer.save(str(folder / "1" / "tokenizer.json"))
    values = {"long_text": "truncate", "max_windows": "1", "length_multiple": "1"} | parameters
    config = {
        "parameters": {name: {"string_value": value} for name, value in values.items()},
        "input": [{"name": name} for name in inputs],
        "output": [
            *({"name": name, "data_type": data_type} for name in outputs),
            {"name": "truncated", "data_type": "TYPE_BOOL"},
        ],
    }
    model = MODULE.TritonPythonModel()
    model.initialize(
        {
            "model_repository": str(folder),
            "model_version": "1",
            "model_config": json.dumps(config),
        }
    )
    return model


@pytest.fixture
def model(tmp_path: Path) -> Any:
    """A model with BERT's three outputs."""
    return load(tmp_path, BERT_OUTPUTS)


def column(texts: tuple[str | bytes, ...]) -> Any:
    """One text a row."""
    rows = [[text.encode() if isinstance(text, str) else text] for text in texts]
    return np.array(rows, dtype=object).reshape(-1, 1)


def request(*texts: str | bytes, wanted: tuple[str, ...] = ALL_OUTPUTS) -> Request:
    """A request with one text a row."""
    return Request({"text_input": column(texts)}, wanted)


def pair_request(*pairs: tuple[str | bytes, str | bytes]) -> Request:
    """A request with two texts a row."""
    first, second = zip(*pairs, strict=True)
    return Request({"text_input": column(first), "text_pair": column(second)}, ALL_OUTPUTS)


def ids(response: Response) -> list[list[int]]:
    """The token ids of a response."""
    result: list[list[int]] = response.outputs()["input_ids"].tolist()
    return result


def test_a_text_becomes_the_tokenizers_ids(model: Any) -> None:
    (response,) = model.execute([request("one два 👍")])
    assert ids(response) == [[2, 4, 5, 6, 3]]


def test_every_output_is_filled_from_the_encoding(model: Any) -> None:
    (response,) = model.execute([request("one", "")])
    assert {name: array.tolist() for name, array in response.outputs().items()} == {
        "input_ids": [[2, 4, 3], [2, 3, 0]],
        "token_type_ids": [[0, 0, 0], [0, 0, 0]],
        "attention_mask": [[1, 1, 1], [1, 1, 0]],
        "truncated": [[False], [False]],
    }


def test_only_the_configured_outputs_are_made(tmp_path: Path) -> None:
    model = load(tmp_path, ("attention_mask", "input_ids"))
    (response,) = model.execute([request("one")])
    assert list(response.outputs()) == ["attention_mask", "input_ids", "truncated"]


@pytest.mark.parametrize("name", ALL_OUTPUTS)
def test_only_the_requested_output_is_sent(name: str, model: Any) -> None:
    (response,) = model.execute([request("one", wanted=(name,))])
    assert list(response.outputs()) == [name]


@pytest.mark.parametrize(
    ("data_type", "dtype"), [("TYPE_INT64", np.int64), ("TYPE_INT32", np.int32)]
)
def test_token_ids_have_the_configured_type(data_type: str, dtype: type, tmp_path: Path) -> None:
    (response,) = load(tmp_path, BERT_OUTPUTS, data_type).execute([request("one")])
    tokens = [response.outputs()[name] for name in BERT_OUTPUTS]
    assert {array.dtype for array in tokens} == {np.dtype(dtype)}


def test_an_empty_text_is_its_special_tokens(model: Any) -> None:
    (response,) = model.execute([request("")])
    assert ids(response) == [[2, 3]]


def test_texts_of_a_request_are_padded_to_its_longest(model: Any) -> None:
    (response,) = model.execute([request("one", "one one one", "one one")])
    assert ids(response) == [[2, 4, 3, 0, 0], [2, 4, 4, 4, 3], [2, 4, 4, 3, 0]]


def test_requests_of_a_call_are_not_padded_to_each_other(model: Any) -> None:
    short, long = model.execute([request("one"), request("one one one")])
    assert ids(short) == [[2, 4, 3]]
    assert ids(long) == [[2, 4, 4, 4, 3]]


def test_rows_are_filled_up_to_the_multiple_that_the_configuration_says(tmp_path: Path) -> None:
    model = load(tmp_path, BERT_OUTPUTS, length_multiple="4")
    (response,) = model.execute([request("one")])
    assert ids(response) == [[2, 4, 3, 0]]


def test_a_long_text_is_cut_as_the_tokenizer_says(model: Any) -> None:
    (response,) = model.execute([request("one " * 1000)])
    assert ids(response) == [[2, 4, 4, 4, 3]]


@pytest.mark.parametrize("text", [b"\xff", b"one \xd0", b"\xed\xa0\x80", "да".encode("cp1251")])
def test_a_text_that_is_not_utf8_is_an_error_that_says_so(text: bytes, model: Any) -> None:
    (response,) = model.execute([request(text)])
    assert response.tensors == []
    assert response.error is not None
    assert response.error.text.startswith("text_input: row 0 is not UTF-8 (")


def test_a_text_that_is_not_utf8_is_named_by_its_row_and_byte(model: Any) -> None:
    (response,) = model.execute([request("one", b"one \xff")])
    assert response.error is not None
    assert response.error.text.startswith("text_input: row 1 is not UTF-8 (")
    assert response.error.text.endswith(" at byte 4)")


def test_a_text_that_is_not_utf8_fails_its_own_request_only(model: Any) -> None:
    first, second, third = model.execute([request("one"), request("one", b"\xff"), request("два")])
    assert ids(first) == [[2, 4, 3]]
    assert second.error is not None
    assert ids(third) == [[2, 5, 3]]


def test_an_output_that_no_tokenizer_makes_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(TritonModelException, match="no tokenizer makes position_ids"):
        load(tmp_path, ("input_ids", "position_ids"))


def test_each_text_of_a_request_is_told_to_be_cut_or_whole(model: Any) -> None:
    (response,) = model.execute([request("one", "one " * 4, "one " * 3, "")])
    truncated = response.outputs()["truncated"]
    assert truncated.tolist() == [[False], [True], [False], [False]]
    assert truncated.dtype == np.bool_


def test_a_pair_is_joined_as_the_tokenizer_says(tmp_path: Path) -> None:
    model = load(tmp_path, BERT_OUTPUTS, inputs=PAIR_INPUTS)
    (response,) = model.execute([pair_request(("one", "два"), ("one", ""))])
    assert {name: array.tolist() for name, array in response.outputs().items()} == {
        "input_ids": [[2, 4, 3, 5, 3], [2, 4, 3, 3, 0]],
        "token_type_ids": [[0, 0, 0, 1, 1], [0, 0, 0, 1, 0]],
        "attention_mask": [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]],
        "truncated": [[False], [False]],
    }


def test_a_second_text_that_is_not_utf8_is_an_error_that_names_its_input(tmp_path: Path) -> None:
    model = load(tmp_path, BERT_OUTPUTS, inputs=PAIR_INPUTS)
    (response,) = model.execute([pair_request(("one", "два"), ("one", b"\xff"))])
    assert response.error is not None
    assert response.error.text.startswith("text_pair: row 1 is not UTF-8 (")


def test_a_long_text_keeps_head_and_tail_where_the_configuration_says_so(tmp_path: Path) -> None:
    model = load(tmp_path, BERT_OUTPUTS, long_text="head-tail")
    (response,) = model.execute([request("one 👍 👍 👍 два два")])
    assert ids(response) == [[2, 4, 5, 5, 3]]


def test_windows_are_a_dimension_of_every_token_tensor(tmp_path: Path) -> None:
    model = load(tmp_path, BERT_OUTPUTS, long_text="window", max_windows="2")
    (response,) = model.execute([request("one", "one one one два два два 👍")])
    outputs = response.outputs()
    assert outputs["input_ids"].tolist() == [
        [[2, 4, 3, 0, 0], [0, 0, 0, 0, 0]],
        [[2, 4, 4, 4, 3], [2, 5, 5, 5, 3]],
    ]
    assert outputs["attention_mask"].tolist() == [
        [[1, 1, 1, 0, 0], [0, 0, 0, 0, 0]],
        [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1]],
    ]
    assert outputs["token_type_ids"].shape == (2, 2, 5)
    assert outputs["truncated"].tolist() == [[False], [True]]


def test_a_text_without_tokens_fails_its_own_request_only(tmp_path: Path) -> None:
    model = load(tmp_path, BERT_OUTPUTS, special=False)
    bad, good = model.execute([request("one", "  "), request("one")])
    assert bad.error is not None
    assert bad.error.text == "row 1 has no tokens"
    assert ids(good) == [[4]]
