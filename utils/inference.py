"""Asking a served classifier over HTTP or gRPC, with NVIDIA's client."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client
from geventhttpclient.response import HTTPParseError
from tritonclient.utils import InferenceServerException

from utils.errors import UserError, first_line

# geventhttpclient's own error for a connection closed early has no relation to OSError.
# ValueError: an address without a port number, a text that UTF-8 cannot hold.
FAILURES = (InferenceServerException, OSError, HTTPParseError, ValueError)

LOOPBACK = re.compile(r"(127\.[0-9.]+|localhost|\[::1\]):")

CLIENTS: dict[str, Any] = {"http": http_client, "grpc": grpc_client}


@dataclass(frozen=True)
class Prediction:
    """One text's answer.

    Attributes:
        predict: the top label, a JSON list of labels, or a number.
        labels: by falling score.
        scores: of those labels.
        logits: of every class, in the order of classes.
        truncated: whether a part of the text was left out.
    """

    predict: str
    labels: list[str]
    scores: list[float]
    logits: list[float]
    truncated: bool


class Server:
    """A running server at HOST:PORT, spoken to over one protocol ("http" or "grpc")."""

    def __init__(self, protocol: str, address: str) -> None:
        self.protocol = protocol
        self.address = address.removeprefix(f"{protocol}://")
        self._module = CLIENTS[protocol]
        # Its constructor fails on other addresses too, but its destructor then fails as well.
        self._ask(lambda: urlsplit(f"//{self.address}").port)
        options = {}
        if protocol == "grpc" and LOOPBACK.match(self.address):
            # gRPC would ask the environment's proxy for this very machine. These take the place of
            # the client's own options, of which the sizes of messages matter.
            options["channel_args"] = [
                ("grpc.enable_http_proxy", 0),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_receive_message_length", -1),
            ]
        self._client = self._module.InferenceServerClient(self.address, **options)

    def ready(self, model: str) -> bool:
        """Whether server and model are ready; False also while nothing listens."""
        try:
            return bool(self._client.is_server_ready() and self._client.is_model_ready(model))
        except FAILURES:
            return False

    def max_batch_size(self, model: str) -> int:
        """Most texts in one request."""
        config = self._ask(lambda: self._client.get_model_config(model))
        if self.protocol == "grpc":
            return int(config.config.max_batch_size)
        return int(config["max_batch_size"])

    def classify(
        self, model: str, texts: Sequence[str], pairs: Sequence[str] | None = None
    ) -> list[Prediction]:
        """Answers to one request of at most `max_batch_size` texts, in their order.

        Args:
            model: name of the ensemble.
            texts: what to classify.
            pairs: the second texts, for a model of pairs.

        Raises:
            UserError: nothing answers at the address, or the server refused; in its own words.
        """
        columns = {"text_input": texts} | ({} if pairs is None else {"text_pair": pairs})
        inputs = [self._input(name, column) for name, column in columns.items()]
        result = self._ask(lambda: self._client.infer(model, inputs))
        names = ("predicts", "labels", "scores", "logits", "truncated")
        rows = zip(*(result.as_numpy(name) for name in names), strict=True)
        return [
            Prediction(
                predict[0].decode("utf-8"),
                [label.decode("utf-8") for label in labels],
                scores.tolist(),
                logits.tolist(),
                bool(truncated[0]),
            )
            for predict, labels, scores, logits, truncated in rows
        ]

    def _input(self, name: str, texts: Sequence[str]) -> Any:
        tensor = self._module.InferInput(name, [len(texts), 1], "BYTES")
        encoded = self._ask(lambda: [[text.encode("utf-8")] for text in texts])
        tensor.set_data_from_numpy(np.array(encoded, dtype=object))
        return tensor

    def close(self) -> None:
        """Close the connections; Triton waits for open ones when it is told to stop."""
        self._client.close()

    def _ask(self, call: Any) -> Any:
        try:
            return call()
        except FAILURES as error:
            raise UserError(f"{self.protocol}://{self.address}", first_line(error)) from error
