"""The texts that are sent, and whether the answers to them stay what they were."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tritonclient.grpc.model_config_pb2 import ModelConfig

from utils.artifacts import SELF_TEST_FILE, read_reference
from utils.errors import UserError
from utils.inference import Prediction, Server
from utils.load.requests import infer_request
from utils.samples import Example, read_samples

# Each is asked once alone before anything is measured.
MOST_TEXTS = 200

PAIR_INPUT = "text_pair"

OK = 200

# Of numbers that a regression predicts.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Answers:
    """What the current settings answered to each text, by its number: one label, rarely more.

    A text whose two best scores are equal to the last digits may get either label, as padding
    moves those digits.
    """

    known: dict[int, set[str]]

    def learn(self, labels: Mapping[int, set[str]]) -> None:
        """More of what the current settings answer."""
        for number, found in labels.items():
            self.known.setdefault(number, set()).update(found)

    def changed(self, labels: Mapping[int, set[str]]) -> int:
        """How many texts got a label that the current settings never gave."""
        return sum(
            not all(any(_same(label, other) for other in self.known[number]) for label in found)
            for number, found in labels.items()
            if number in self.known
        )


def texts_of(repository: Path, samples: Path | None, ensemble: ModelConfig) -> list[Example]:
    """The user's texts, else those that the repository is checked with, at most MOST_TEXTS.

    Raises:
        UserError: the file cannot be read.
    """
    pairs = any(tensor.name == PAIR_INPUT for tensor in ensemble.input)
    self_test = repository / SELF_TEST_FILE
    if samples is None and self_test.is_file():
        texts = [Example(item.text, item.text_pair) for item in read_reference(self_test).answers]
    else:
        texts = read_samples(samples, pairs)
    if not texts:
        raise UserError(samples or self_test, "has no texts")
    # From all of the file: it may be sorted.
    step = max(1.0, len(texts) / MOST_TEXTS)
    return [texts[int(place * step)] for place in range(min(len(texts), MOST_TEXTS))]


def messages(texts: Sequence[Example], model: str) -> list[bytes]:
    """A whole HTTP request for each text."""
    return [_message(text, model) for text in texts]


def ask_alone(
    address: tuple[str, int], model: str, texts: Sequence[Example]
) -> dict[int, set[str]]:
    """What is answered to each text while nobody else asks."""
    server = Server("http", "{}:{}".format(*address))
    try:
        return {number: {_ask(server, model, text).predict} for number, text in enumerate(texts)}
    finally:
        server.close()


def read_labels(
    requests: Iterable[int], statuses: Iterable[int], bodies: Iterable[bytes], count: int
) -> tuple[dict[int, set[str]], int]:
    """The labels in replies by number of text, and how many requests had no answer."""
    labels: dict[int, set[str]] = {}
    failures = 0
    for request, status, body in zip(requests, statuses, bodies, strict=True):
        try:
            if status != OK:
                raise ValueError(f"status {status}")
            (output,) = json.loads(body)["outputs"]
            labels.setdefault(request % count, set()).add(str(output["data"][0]))
        except (ValueError, LookupError, TypeError):
            failures += 1
    return labels, failures


def _ask(server: Server, model: str, text: Example) -> Prediction:
    pair = None if text.text_pair is None else [text.text_pair]
    return server.classify(model, [text.text], pair)[0]


def _message(text: Example, model: str) -> bytes:
    pair = {} if text.text_pair is None else {PAIR_INPUT: [text.text_pair]}
    return infer_request(model, {"text_input": [text.text], **pair}, ["predicts"])


def _same(label: str, other: str) -> bool:
    """Labels letter by letter, the numbers of a regression but for their last digits."""
    if label == other:
        return True
    try:
        ours, theirs = (_numbers(json.loads(text)) for text in (label, other))
    except (ValueError, TypeError):
        return False
    return len(ours) == len(theirs) and all(
        abs(one - two) <= TOLERANCE * max(1.0, abs(two))
        for one, two in zip(ours, theirs, strict=True)
    )


def _numbers(value: object) -> list[float]:
    """Of what a regression predicts.

    Raises:
        TypeError: it is something else.
    """
    values = value if isinstance(value, list) else [value]
    numbers = [number for number in values if isinstance(number, float)]
    if len(numbers) < len(values):
        raise TypeError("not numbers")
    return numbers
