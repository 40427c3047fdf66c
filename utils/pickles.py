"""Weights that come as pickles, made into safetensors after two looks at them."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from utils.errors import UserError, first_line

PICKLED_WEIGHTS = ("pytorch_model.bin", "pytorch_model-*.bin")


def scanner() -> str:
    """Name and version of the scanner.

    Raises:
        UserError: it is not installed.
    """
    try:
        return f"picklescan {version('picklescan')}"
    except PackageNotFoundError as error:
        raise UserError(
            "--allow-pickle", "needs picklescan", "make setup-storage NAME=pickle"
        ) from error


def convert_pickles(folder: Path, target: Path, subject: str) -> None:
    """Write `folder`'s pickled weights to `target`/model.safetensors.

    Scanners of pickles have been deceived before, so a file must pass two: nothing but what
    picklescan knows to be innocuous may be named in it, and torch reads it with its own unpickler
    for weights, which calls nothing else.

    Raises:
        UserError: not scannable, more than weights in it, or no weights.
    """
    from utils.frameworks import torch

    files = sorted(path for pattern in PICKLED_WEIGHTS for path in folder.glob(pattern))
    for path in files:
        _scan(path, subject)
    weights: dict[str, torch.Tensor] = {}
    for path in files:
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise UserError(
                subject, f"{path.name}: not just weights: {first_line(error)}"
            ) from error
        if not isinstance(loaded, dict):
            raise UserError(subject, f"{path.name}: no weights by name")
        # Of their own memory each: safetensors refuses tensors that share it.
        weights |= {name: tensor.detach().clone() for name, tensor in loaded.items()}
    if not weights:
        raise UserError(subject, "has no weights")
    from safetensors.torch import save_file

    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})


def _scan(path: Path, subject: str) -> None:
    from picklescan.scanner import SafetyLevel, scan_file_path

    try:
        result = scan_file_path(str(path))
    except Exception as error:
        raise UserError(
            subject, f"{path.name}: picklescan cannot read it: {first_line(error)}"
        ) from error
    if result.scan_err or not result.scanned_files:
        raise UserError(subject, f"{path.name}: picklescan cannot read it")
    for item in result.globals:
        if item.safety != SafetyLevel.Innocuous:
            raise UserError(
                subject, f"{path.name}: names {item.module}.{item.name}, no part of weights"
            )
