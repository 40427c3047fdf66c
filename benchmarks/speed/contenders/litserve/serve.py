"""Serve a checkpoint with LitServe. Usage: serve.py CHECKPOINT PORT."""

# mypy: disable-error-code="import-not-found, misc"
# Its packages are in this contender's own environment.

import signal
import sys
from typing import Any

import litserve
from transformers import pipeline

# Chosen here, LitServe's own defaults batch nothing: as many texts as the benchmark mostly has
# clients, and a wait that is short beside a run of the model.
MAX_BATCH_SIZE = 8
BATCH_TIMEOUT_SECONDS = 0.01


class Classifier(litserve.LitAPI):
    """What LitServe calls in its worker; a batch is a list of what `decode_request` gives."""

    def __init__(self, model: str) -> None:
        super().__init__(max_batch_size=MAX_BATCH_SIZE, batch_timeout=BATCH_TIMEOUT_SECONDS)
        self._model = model

    def setup(self, device: str) -> None:
        """Load the checkpoint."""
        self._pipeline = pipeline("text-classification", model=self._model, device=device)

    def decode_request(self, request: dict[str, str]) -> str:
        """The text of a request."""
        return request["text"]

    def predict(self, texts: list[str]) -> Any:
        """Label and score of each text."""
        return self._pipeline(texts, batch_size=len(texts), truncation=True)

    def encode_response(self, output: Any) -> Any:
        """The reply to a request."""
        return output


def main() -> None:
    """Start the worker, then listen."""
    model, port = sys.argv[1:]
    # SIGTERM would end this process alone; Ctrl-C is what LitServe stops its workers on.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = litserve.LitServer(Classifier(model), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(port), log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
