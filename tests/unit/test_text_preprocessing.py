"""model_repository/text_preprocessing/1/model.py, outside Triton, with a tokenizer of words."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tests.unit.commands import ROOT
from tests.unit.triton_stub import Request, Response, load_model_file

UNKNOWN, PADDING = "[UNK]", "[PAD]"
VOCABULARY = {PADDING: 0, UNKNOWN: 1, "[CLS]": 2, "[SEP]": 3, "one": 4, "два": 5, "👍": 6}
MAX_LENGTH = 5
BERT_OUTPUTS = ("input_ids", "token_type_ids", "attention_mask")

MODULE = load_model_file(ROOT / "model_repository" / "text_preprocessing" / "1" / "model.py")


def load(folder: Path, outputs: tuple[str, ...], data_type: str = "TYPE_INT64") -> Any:
    """A model with these outputs."""
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_truncation(MAX_LENGTH)
    tokenizer.enable_padding(pad_id=0, pad_token=PADDING)
    (folder / "1").mkdir()
    tokenizer.save(str(folder / "1" / "tokenizer.json"))
    config = {"output": [{"name": name, "data_type": data_type} for name in outputs]}
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


def request(*texts: str | bytes) -> Request:
    """A request with one text a row."""
    rows = [[text.encode() if isinstance(text, str) else text] for text in texts]
    return Request({"text_input": np.array(rows, dtype=object).reshape(-1, 1)})


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
    }


def test_only_the_configured_outputs_are_made(tmp_path: Path) -> None:
    model = load(tmp_path, ("attention_mask", "input_ids"))
    (response,) = model.execute([request("one")])
    assert list(response.outputs()) == ["attention_mask", "input_ids"]


@pytest.mark.parametrize(
    ("data_type", "dtype"), [("TYPE_INT64", np.int64), ("TYPE_INT32", np.int32)]
)
def test_token_ids_have_the_configured_type(data_type: str, dtype: type, tmp_path: Path) -> None:
    (response,) = load(tmp_path, BERT_OUTPUTS, data_type).execute([request("one")])
    assert {array.dtype for array in response.outputs().values()} == {np.dtype(dtype)}


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


def test_a_long_text_is_cut_as_the_tokenizer_says(model: Any) -> None:
    (response,) = model.execute([request("one " * 1000)])
    assert ids(response) == [[2, 4, 4, 4, 3]]


@pytest.mark.parametrize("text", [b"\xff", b"one \xd0", b"\xed\xa0\x80", "да".encode("cp1251")])
def test_a_text_that_is_not_utf8_is_an_error_that_says_so(text: bytes, model: Any) -> None:
    (response,) = model.execute([request(text)])
    assert response.tensors == []
    assert response.error is not None
    assert "text_input: not UTF-8" in response.error.text


def test_a_text_that_is_not_utf8_fails_its_own_request_only(model: Any) -> None:
    first, second, third = model.execute([request("one"), request("one", b"\xff"), request("два")])
    assert ids(first) == [[2, 4, 3]]
    assert second.error is not None
    assert ids(third) == [[2, 5, 3]]


def test_an_output_that_no_tokenizer_makes_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="position_ids"):
        load(tmp_path, ("input_ids", "position_ids"))
