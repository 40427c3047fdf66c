"""The code of the served steps, for the conversion's gates: they see what will be served."""

import sys
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[1] / "model_repository"

# Version folders are called 1, which is no name for a package.
sys.path += [str(TEMPLATE / step / "1") for step in ("text_preprocessing", "post_processing")]

from scoring import FUNCTIONS
from tokenization import HEAD_SHARE, INPUT_NAMES, Encoded, Tokenization

__all__ = [
    "FUNCTIONS",
    "HEAD_SHARE",
    "INPUT_NAMES",
    "Encoded",
    "Tokenization",
]
