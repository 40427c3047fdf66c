"""What is asked: film reviews that the classifier was not trained on."""

import csv
import random
import re
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.imdb import ImdbModel
from benchmarks.speed.matrix import BATCHES

TEXTS = 256

# Texts in a row that are one of each stratum of lengths.
STRATA = 16

SEED = 0

# Checkpoints and servers cut texts at different lengths, of which this is the least.
MOST_TOKENS = 256

# Words that a text of a workload aims at.
LENGTHS: dict[str, Callable[[random.Random], float]] = {
    "short": lambda chooser: chooser.uniform(14, 20),
    "mixed": lambda chooser: min(180.0, chooser.lognormvariate(3.45, 0.9)),
    "long": lambda chooser: chooser.uniform(130, 170),
}


@dataclass(frozen=True)
class Size:
    """How long the texts of a workload are."""

    mean: float
    median: float
    shortest: int
    longest: int


@dataclass(frozen=True)
class Workload:
    """Texts of a kind.

    Attributes:
        name: short, mixed or long.
        texts: each STRATA in a row have all lengths, so that any part of the run is like the whole.
        words: by spaces.
        tokens: of each text, special ones included.
    """

    name: str
    texts: list[str]
    words: list[int]
    tokens: list[int]

    def describe(self) -> dict[str, Any]:
        """For the results."""
        return {
            "texts": len(self.texts),
            "words": asdict(size(self.words)),
            "tokens": asdict(size(self.tokens)),
            "padded share by texts a request": {
                texts: round(padded_share(self.tokens, texts), 3) for texts in BATCHES
            },
        }


def make_workloads(imdb: ImdbModel) -> dict[str, Workload]:
    """All workloads by name, the same in every run."""
    from tokenizers import Tokenizer

    with imdb.labelled.open(encoding="utf-8", newline="") as file:
        reviews = [row["text"] for row in csv.DictReader(file)]
    tokenizer = Tokenizer.from_file(str(imdb.model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def count(text: str) -> int:
        return len(tokenizer.encode(text).ids)

    workloads = {}
    for name, target in LENGTHS.items():
        chooser = random.Random(f"{SEED} {name}")  # noqa: S311
        texts = stratified(pick_texts(reviews, target, count, chooser), chooser)
        words = [len(text.split()) for text in texts]
        workloads[name] = Workload(name, texts, words, [count(text) for text in texts])
    return workloads


def pick_texts(
    reviews: list[str],
    target: Callable[[random.Random], float],
    count: Callable[[str], int],
    chooser: random.Random,
) -> list[str]:
    """TEXTS beginnings of reviews, in whole sentences, as near to their targets as those allow.

    Args:
        reviews: to begin.
        target: makes the number of words that is wanted.
        count: tokens of a text.
        chooser: of everything random.
    """
    texts: list[str] = []
    for review in chooser.sample(reviews, len(reviews)):
        wanted = target(chooser)
        text = beginning(review, wanted)
        # A review that is too short, or one long sentence, would bend the lengths.
        near = abs(len(text.split()) - wanted) <= max(3, 0.15 * wanted)
        if near and count(text) <= MOST_TOKENS:
            texts.append(text)
        if len(texts) == TEXTS:
            return texts
    raise ValueError(f"{len(texts)} of {TEXTS} texts: too few reviews")


def beginning(review: str, words: float) -> str:
    """The sentences from the start whose number of words comes nearest to `words`."""
    sentences = re.split(r"(?<=[.!?])\s+", review)
    counts = [len(" ".join(sentences[: end + 1]).split()) for end in range(len(sentences))]
    best = min(range(len(sentences)), key=lambda end: abs(counts[end] - words))
    return " ".join(sentences[: best + 1])


def stratified(texts: list[str], chooser: random.Random) -> list[str]:
    """The texts in an order in which each STRATA in a row are of all lengths, by chance else."""
    ordered = sorted(texts, key=lambda text: (len(text.split()), text))
    height = -(-len(ordered) // STRATA)
    strata = [ordered[start : start + height] for start in range(0, len(ordered), height)]
    for stratum in strata:
        chooser.shuffle(stratum)
    result: list[str] = []
    for row in range(height):
        block = [stratum[row] for stratum in strata if row < len(stratum)]
        chooser.shuffle(block)
        result += block
    return result


def size(lengths: list[int]) -> Size:
    """Of these lengths."""
    mean, median = round(statistics.mean(lengths), 1), statistics.median(lengths)
    return Size(mean, median, min(lengths), max(lengths))


def padded_share(tokens: list[int], texts_a_request: int) -> float:
    """Share of computed tokens that is padding, where a request's texts become one batch."""
    starts = range(0, len(tokens) - texts_a_request + 1, texts_a_request)
    groups = [tokens[start : start + texts_a_request] for start in starts]
    computed = sum(max(group) * len(group) for group in groups)
    return 1 - sum(map(sum, groups)) / computed
