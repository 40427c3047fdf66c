"""Serve a checkpoint with BentoML. Usage: serve.py CHECKPOINT PORT."""

# mypy: disable-error-code="import-not-found, misc, untyped-decorator"
# Its packages are in this contender's own environment.

import os
import sys
from pathlib import Path
from typing import Any

import bentoml
from transformers import pipeline

CHECKPOINT = "CHECKPOINT"

# Chosen here: as many texts as the benchmark has clients at most, and a latency that no request
# comes near, beyond which BentoML would refuse it. Its own defaults (100, 60 s) allow more of both.
MAX_BATCH_SIZE = 32
MAX_LATENCY_MS = 10_000


@bentoml.service(logging={"access": {"enabled": False}})
class Classifier:
    """The service that BentoML's workers make, each its own."""

    def __init__(self) -> None:
        self._pipeline = pipeline("text-classification", model=os.environ[CHECKPOINT])

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH_SIZE, max_latency_ms=MAX_LATENCY_MS)
    def classify(self, texts: list[str]) -> list[dict[str, Any]]:
        """Label and score of each text, of whatever requests they came in."""
        answers: list[dict[str, Any]] = self._pipeline(
            texts, batch_size=len(texts), truncation=True
        )
        return answers


def main() -> None:
    """Become BentoML's server of this file."""
    model, port = sys.argv[1:]
    os.environ[CHECKPOINT] = model
    program = Path(sys.executable).with_name("bentoml")
    options = ["--working-dir", str(Path(__file__).parent), "--host", "127.0.0.1", "--port", port]
    os.execv(program, [str(program), "serve", "serve:Classifier", *options])  # noqa: S606


if __name__ == "__main__":
    main()
