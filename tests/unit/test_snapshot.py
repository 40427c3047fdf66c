"""utils/snapshot.py."""

import hashlib
import json
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
    ],
)
def test_a_config_that_asks_for_code_is_refused_naming_the_key(
    key: str, value: Any, tmp_path: Path
) -> None:
    folder = model_folder(tmp_path, {"model_type": "bert", key: value})
    with pytest.raises(UserError, match=rf"config\.json: {key} asks for code"):
        check_model_folder(folder)


def test_null_for_a_key_that_could_ask_for_code_is_harmless(tmp_path: Path) -> None:
    check_model_folder(model_folder(tmp_path, {"auto_map": None}))


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
    with pytest.raises(UserError, match="has no safetensors weights"):
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
    (tmp_path / name).touch()
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
