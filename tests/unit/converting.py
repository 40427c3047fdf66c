"""Running utils/convert_to_onnx.py inside the tests' own process."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.in_process import call
from utils import convert_to_onnx
from utils.errors import UserError
from utils.sources import local_source

if TYPE_CHECKING:
    from tests.checkpoints import Checkpoint
    from utils.checkpoint import Classifier

# Fewer than the built-in ones, for speed.
SAMPLES = Path(__file__).with_name("samples.txt")


def arguments(checkpoint: "Checkpoint", target: Path, *options: str | Path) -> list[str]:
    """The command line of a conversion with labels and few samples."""
    paths = {
        "--model": checkpoint.model,
        "--tokenizer": checkpoint.tokenizer,
        "--labels": checkpoint.labels,
        "--save-dir": target,
        "--samples": SAMPLES,
    }
    words = [word for option, path in paths.items() for word in (option, str(path))]
    return [*words, *(str(option) for option in options)]


def convert(checkpoint: "Checkpoint", target: Path, *options: str | Path) -> Path:
    """Convert to `target`; later options replace earlier ones."""
    call(convert_to_onnx.main, *arguments(checkpoint, target, *options))
    return target


def loaded(checkpoint: "Checkpoint") -> "Classifier":
    """The checkpoint as a conversion loads it."""
    from utils.checkpoint import load_classifier

    return load_classifier(local_source(checkpoint.model), local_source(checkpoint.tokenizer), 0)


def refusal(checkpoint: "Checkpoint", target: Path, *options: str | Path) -> str:
    """The error that a conversion ends with; it must leave nothing at or beside `target`."""
    before = sorted(target.parent.iterdir())
    with pytest.raises(UserError) as caught:
        convert(checkpoint, target, *options)
    assert sorted(target.parent.iterdir()) == before
    return str(caught.value)
