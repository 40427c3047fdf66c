"""The files of a checkpoint, looked at before any library that could act on them."""

import hashlib
import json
from pathlib import Path
from typing import Any

from utils.errors import UserError

MODEL_FILES = ("config.json", "*.safetensors", "*.safetensors.index.json")
TOKENIZER_FILES = ("*.json", "*.txt", "*.model")

# Keys that make transformers fetch or run code, wherever in a configuration they stand; below 5.3
# the second did so even with trust_remote_code=False (CVE-2026-4372).
CODE_KEYS = ("auto_map", "_attn_implementation", "custom_pipelines", "trust_remote_code")
# Only a name with a slash is that of a repository.
REPOSITORY_KEYS = ("attn_implementation", "experts_implementation")
# A note that transformers 4.4x left in many checkpoints: true or false, and never read again.
HARMLESS_KEYS = ("_attn_implementation_autoset",)

PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")


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
    _check_no_code(folder)
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
        problem = "has no safetensors weights"
        if pickles:
            problem += f", only {pickles[0]}, which can run code when it is read"
        raise UserError(folder, problem, "model.save_pretrained(folder) writes them")


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
    _check_no_code(folder)


def _check_no_code(folder: Path) -> None:
    for path in sorted(folder.glob("*.py")):
        raise UserError(path, "is code, and nothing here runs it", "remove it from the folder")
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        if not path.is_file():
            continue
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
            key = _code_key(config)
        except (ValueError, RecursionError) as error:
            raise UserError(path, "not JSON") from error
        if not isinstance(config, dict):
            raise UserError(path, "not a JSON object")
        if key:
            raise UserError(path, f"{key} asks for code outside transformers")


def _code_key(value: Any) -> str | None:
    """The first key that asks for code, at any depth."""
    if isinstance(value, list):
        return next(filter(None, map(_code_key, value)), None)
    if not isinstance(value, dict):
        return None
    for key, item in value.items():
        if key in HARMLESS_KEYS and isinstance(item, bool):
            continue
        named = key.startswith(CODE_KEYS) and item is not None
        if named and not (key == "trust_remote_code" and item is False):
            return str(key)
        if key in REPOSITORY_KEYS and isinstance(item, str) and "/" in item:
            return str(key)
        inner = _code_key(item)
        if inner:
            return inner
    return None


def file_digest(path: Path) -> str:
    """sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digests(folder: Path, patterns: tuple[str, ...]) -> dict[str, str]:
    """File name to sha256 of the files in `folder` that match, by name."""
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {path.name: file_digest(path) for path in sorted(found)}
