"""utils/snapshot.py."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from utils.errors import UserError
from utils.snapshot import check_model_folder, check_tokenizer_folder, file_digest, file_digests


def model_folder(folder: Path, config: Any = None) -> Path:
    """A folder with this config.json and a file that ends like safetensors weights."""
    text = json.dumps({"model_type": "bert"} if config is None else config)
    (folder / "config.json").write_text(text)
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_folder_with_config_and_safetensors_is_accepted(tmp_path: Path) -> None:
    check_model_folder(model_folder(tmp_path))


def test_weights_in_several_files_are_accepted(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    check_model_folder(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auto_map", {"AutoModelForSequenceClassification": "modeling_evil.Evil"}),
        ("auto_map", {}),
        ("_attn_implementation", "someone/kernel"),
        ("_attn_implementation_internal", "someone/kernel"),
        ("_attn_implementation_internal", False),
        ("_attn_implementation_future", "someone/kernel"),
        ("_attn_implementation_autoset", "someone/kernel"),
        ("attn_implementation", "someone/kernel"),
        ("experts_implementation", "someone/kernel"),
        ("trust_remote_code", True),
        ("custom_pipelines", {"text-classification": {"impl": "evil.Pipeline"}}),
    ],
)
@pytest.mark.parametrize(
    "place", [lambda item: item, lambda item: {"text_config": item}, lambda item: {"a": [[item]]}]
)
def test_a_config_that_asks_for_code_is_refused_naming_the_key(
    place: Callable[[Any], Any], key: str, value: Any, tmp_path: Path
) -> None:
    folder = model_folder(tmp_path, {"model_type": "bert", **place({key: value})})
    with pytest.raises(UserError, match=rf"config\.json: {key} asks for code"):
        check_model_folder(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auto_map", None),
        ("trust_remote_code", False),
        ("attn_implementation", "sdpa"),
        ("_attn_implementation_autoset", True),
        ("_name_or_path", "someone/model"),
    ],
)
def test_a_value_that_asks_for_no_code_is_harmless(key: str, value: Any, tmp_path: Path) -> None:
    check_model_folder(model_folder(tmp_path, {key: value}))


def test_a_tokenizer_that_asks_for_code_is_refused(tmp_path: Path) -> None:
    config = {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"tokenizer_config\.json: auto_map asks for code"):
        check_tokenizer_folder(tmp_path)


@pytest.mark.parametrize("check", [check_model_folder, check_tokenizer_folder])
def test_a_folder_with_code_is_refused_naming_it(
    check: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = model_folder(tmp_path)
    (folder / "tokenizer.json").write_text("{}")
    (folder / "modeling_evil.py").write_text("raise SystemExit")
    with pytest.raises(UserError, match=r"modeling_evil\.py: is code"):
        check(folder)


def test_an_absent_model_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent: no such folder"):
        check_model_folder(tmp_path / "absent")


def test_a_file_in_place_of_a_model_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"")
    with pytest.raises(UserError, match="no such folder"):
        check_model_folder(path)


def test_a_model_folder_without_config_is_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"has no config\.json"):
        check_model_folder(folder)


def test_a_model_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"has no safetensors weights, only pytorch_model\.bin"):
        check_model_folder(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", "да".encode("cp1251")])
def test_a_config_that_is_not_json_is_refused(content: bytes, tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    (folder / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=r"config\.json: not JSON"):
        check_model_folder(folder)


@pytest.mark.parametrize("config", [[], "bert", 3, [{"auto_map": {}}]])
def test_a_config_that_is_not_an_object_is_refused(config: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a JSON object"):
        check_model_folder(model_folder(tmp_path, config))


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "spiece.model"]
)
def test_any_tokenizer_file_makes_a_tokenizer_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{}")
    check_tokenizer_folder(tmp_path)


def test_an_absent_tokenizer_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent: no such folder"):
        check_tokenizer_folder(tmp_path / "absent")


def test_a_folder_without_tokenizer_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no tokenizer files"):
        check_tokenizer_folder(model_folder(tmp_path))


def test_a_file_digest_is_its_sha256(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content" * 100_000)
    assert file_digest(path) == hashlib.sha256(b"content" * 100_000).hexdigest()


def test_only_files_that_match_are_digested_each_once_and_by_name(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    (folder / "README.md").touch()
    (folder / "folder.json").mkdir()
    (folder / "a.json").write_text("{}")
    digests = file_digests(folder, ("*.json", "config.json", "*.safetensors"))
    assert list(digests) == ["a.json", "config.json", "model.safetensors"]
    assert digests["a.json"] == hashlib.sha256(b"{}").hexdigest()
