"""Output folders that are there whole or not at all, and a cache made of them."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

# The served steps take part in a conversion's gates.
SOURCES = (ROOT / "utils", ROOT / "model_repository")


def make_folder(target: Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` write into a draft beside `target`, then rename it: one step, or nothing.

    `target` must not exist or be an empty folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        fill(draft)
        draft.chmod(0o755)
        draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def cached_folder(cache: Path, key: str, fill: Callable[[Path], object]) -> Path:
    """The folder `cache/key`, filled by `fill` if it is not there yet."""
    entry = cache / key
    if not entry.is_dir():
        try:
            make_folder(entry, fill)
        except OSError:
            # Another run with the same ingredients was first: its result is as good.
            if not entry.is_dir():
                raise
    return entry


def short_key(*parts: str) -> str:
    """Digest of lines of text, for the name of a cached folder."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def cache_key(ingredients: Mapping[str, Any]) -> str:
    """Digest of JSON-serialisable ingredients and of our own source files."""
    digest = hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode())
    for folder in SOURCES:
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:32]
