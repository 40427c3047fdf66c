"""Rendered repositories of the benchmark's models, made by the main command once."""

import hashlib
from pathlib import Path

from benchmarks.building import make_triton_image
from benchmarks.speed.matrix import BATCHES
from benchmarks.speed.services import MODEL_NAME
from utils.errors import UserError
from utils.folders import cached_folder

ROOT = Path(__file__).resolve().parents[2]

# Whatever a repository is made by; another file gives another repository.
SOURCES = ("utils", "lib", "backends", "model_repository", "hardware", "*.sh", "requirements.txt")


def rendered(model: Path, precision: str, samples: Path | None, cache: Path) -> Path:
    """The repository that serves a checkpoint.

    Args:
        model: the checkpoint.
        precision: of the graph.
        samples: texts for the gates, None: the built-in ones.
        cache: where repositories are kept.

    Raises:
        UserError: the main command fails, as it does where a precision does not keep the labels.
    """
    key = f"{model.parent.name}-{model.name}-{precision}-{_digest()}"
    return cached_folder(
        cache / "repositories", key, lambda draft: _render(model, precision, samples, draft)
    )


def _render(model: Path, precision: str, samples: Path | None, target: Path) -> None:
    error = make_triton_image(
        *("--no-image", "--output", target, "--precision", precision),
        *(("--samples", samples) if samples else ()),
        *(model, "-", "-", MODEL_NAME, "bench", str(max(BATCHES))),
    )
    if error:
        raise UserError(f"{model.name} {precision}", error)


def _digest() -> str:
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for entry in sorted(ROOT.glob(pattern)):
            for path in sorted(entry.rglob("*")) if entry.is_dir() else [entry]:
                if path.is_file() and "__pycache__" not in path.parts:
                    digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]
