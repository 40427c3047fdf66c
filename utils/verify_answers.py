#!/usr/bin/env python3
"""Compare a running server's answers with the original model's, over HTTP and gRPC.

Waits until the model is ready, sends the texts of REFERENCE in batches of 1 to the most that the
model takes, and compares every output.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.artifacts import DEFAULT_TOLERANCE, Answer, Reference, read_reference
from utils.errors import UserError, run_command
from utils.inference import Prediction, Server

POLL_SECONDS = 0.05


def wait_until_ready(server: Server, model: str, timeout_seconds: float) -> None:
    """Raise a UserError unless the model is ready in time."""
    deadline = time.monotonic() + timeout_seconds
    while not server.ready(model):
        if time.monotonic() > deadline:
            raise UserError(
                f"{server.protocol}://{server.address}",
                f"model {model} not ready after {timeout_seconds:g} s",
            )
        time.sleep(POLL_SECONDS)


def check_answer(reference: Reference, expected: Answer, got: Prediction) -> None:
    """Compare one answer.

    Labels must come by falling score; two may change places where their scores in `expected` are
    equal within twice the tolerance, and, unless the user loosened that, never in first place.

    Raises:
        UserError: names the text and what differs.
    """
    subject, tolerance = f"text {expected.text[:60]!r}", reference.tolerance
    wanted = dict(zip(reference.labels, expected.scores, strict=True))
    # Python's sort is stable, as is the pipeline's.
    best = sorted(reference.labels, key=lambda label: -wanted[label])[: reference.top_k]
    if tolerance <= DEFAULT_TOLERANCE and got.labels[:1] != best[:1]:
        raise UserError(subject, f"answered {got.labels[:1]}, the original {best[:1]}")
    if len(set(got.labels)) != reference.top_k or not set(got.labels) <= set(reference.labels):
        raise UserError(subject, f"labels {got.labels}, the original has {best}")
    least = wanted[best[-1]] - 2 * tolerance
    for label, score in zip(got.labels, got.scores, strict=True):
        if not abs(score - wanted[label]) <= tolerance or wanted[label] < least:
            raise UserError(
                subject, f"{label!r} scored {score:.6f}, the original {wanted[label]:.6f}"
            )
    if got.scores != sorted(got.scores, reverse=True):
        raise UserError(subject, f"scores are not sorted: {got.scores}")
    pairs = zip(got.logits, expected.logits, strict=True)
    allowed = tolerance if reference.logit_tolerance is None else reference.logit_tolerance
    if not all(abs(logit - original) <= allowed for logit, original in pairs):
        raise UserError(subject, f"logits {got.logits}, the original {expected.logits}")
    if got.truncated != expected.truncated:
        raise UserError(subject, f"truncated is {got.truncated}, not {expected.truncated}")
    if not _right_prediction(reference, expected, got):
        raise UserError(subject, f"predicts {got.predict!r} for scores {wanted}")


def _right_prediction(reference: Reference, expected: Answer, got: Prediction) -> bool:
    """Whether `predicts` says what the scores say."""
    if reference.problem_type != "regression" and reference.thresholds is None:
        return got.predict == got.labels[0]
    try:
        said = json.loads(got.predict)
    except ValueError:
        return False
    if reference.problem_type == "regression":
        numbers = said if isinstance(said, list) else [said]
        return len(numbers) == len(expected.scores) and all(
            isinstance(number, int | float) and abs(number - score) <= reference.tolerance
            for number, score in zip(numbers, expected.scores, strict=True)
        )
    if reference.thresholds is None or not isinstance(said, list):
        return False
    over = {
        label: score - threshold
        for label, score, threshold in zip(
            reference.labels, expected.scores, reference.thresholds, strict=True
        )
    }
    # A score that close to its threshold may fall on either side.
    clear = {label for label, margin in over.items() if margin > reference.tolerance}
    possible = {label for label, margin in over.items() if margin > -reference.tolerance}
    listed = [label for label in got.labels if label in said]
    return clear <= set(said) <= possible and listed == said[: len(listed)]


def batches(answers: Sequence[Answer], largest: int) -> Iterator[Sequence[Answer]]:
    """All answers, cut into batches of 1, 2, … `largest`, 1, 2, …"""
    start = 0
    for size in cycle(range(1, largest + 1)):
        if start >= len(answers):
            return
        yield answers[start : start + size]
        start += size


def verify(server: Server, model: str, reference: Reference) -> None:
    """Raise a UserError on the first difference."""
    for batch in batches(reference.answers, max(1, server.max_batch_size(model))):
        pairs = [answer.text_pair for answer in batch if answer.text_pair is not None]
        predictions = server.classify(model, [answer.text for answer in batch], pairs or None)
        for answer, prediction in zip(batch, predictions, strict=True):
            check_answer(reference, answer, prediction)


def main() -> None:
    """Verify both protocols."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="name of the ensemble")
    parser.add_argument("reference", type=Path, help="reference.json or selftest.json")
    parser.add_argument("--http", default="127.0.0.1:8000", metavar="HOST:PORT")
    parser.add_argument("--grpc", default="127.0.0.1:8001", metavar="HOST:PORT")
    parser.add_argument("--timeout", type=float, default=120, help="seconds to wait for ready")
    arguments = parser.parse_args()
    reference = read_reference(arguments.reference)
    if not reference.answers:
        raise UserError(arguments.reference, "has no texts to compare")
    for protocol in ("http", "grpc"):
        server = Server(protocol, getattr(arguments, protocol))
        wait_until_ready(server, arguments.model, arguments.timeout)
        verify(server, arguments.model, reference)
    print(
        f"{len(reference.answers)} texts over HTTP and gRPC: answers as the original's",
        file=sys.stderr,
    )


if __name__ == "__main__":
    run_command(main)
