"""The files of a checkpoint, looked at before any library that could act on them."""

import hashlib
import json
from pathlib import Path

from utils.errors import UserError

MODEL_FILES = ("config.json", "*.safetensors", "*.safetensors.index.json")
TOKENIZER_FILES = ("*.json", "*.txt", "*.model")

# Keys of config.json that make transformers fetch or run code; below 5.3 the second did so even
# with trust_remote_code=False (CVE-2026-4372).
CODE_KEYS = ("auto_map", "_attn_implementation", "_attn_implementation_internal")


def check_model_folder(folder: Path) -> None:
    """Refuse what is not a folder with config.json and safetensors weights, and code.

    Raises:
        UserError: names the folder and what is wrong with it.
    """
    what = "a folder with a fine-tuned sequence classifier"
    if not folder.is_dir():
        raise UserError(folder, "no such folder", what)
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise UserError(folder, "has no config.json", what)
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(config_file, "not JSON") from error
    if not isinstance(config, dict):
        raise UserError(config_file, "not a JSON object")
    for key in CODE_KEYS:
        if config.get(key) is not None:
            raise UserError(config_file, f"{key} asks for code outside transformers")
    if not any(folder.glob("*.safetensors")):
        raise UserError(
            folder, "has no safetensors weights", "model.save_pretrained(folder) writes them"
        )


def check_tokenizer_folder(folder: Path) -> None:
    """Refuse what is not a folder with tokenizer files.

    Raises:
        UserError: names the folder and what is wrong with it.
    """
    what = "a folder with tokenizer.json and tokenizer_config.json"
    if not folder.is_dir():
        raise UserError(folder, "no such folder", what)
    names = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "*.model")
    if not any(path for name in names for path in folder.glob(name)):
        raise UserError(folder, "has no tokenizer files", what)


def file_digest(path: Path) -> str:
    """sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digests(folder: Path, patterns: tuple[str, ...]) -> dict[str, str]:
    """File name to sha256 of the files in `folder` that match, by name."""
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {path.name: file_digest(path) for path in sorted(found)}
