#!/usr/bin/env python3
"""Compare a running server's answers with the original model's, over HTTP and gRPC.

Waits until the model is ready, sends the texts of REFERENCE in batches of 1 to the most that the
model takes, and compares labels and scores.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.artifacts import Answer, read_reference
from utils.errors import UserError, run_command
from utils.inference import Prediction, Server

SCORE_TOLERANCE = 1e-4
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


def check_answer(expected: Answer, got: Prediction) -> None:
    """Compare one answer.

    Labels must come in the same order; two labels may only change places where their scores in
    `expected` are equal within twice SCORE_TOLERANCE, and never in first place.

    Raises:
        UserError: names the text and both answers.
    """
    subject = f"text {expected.text[:60]!r}"
    if got.predict != expected.labels[0] or got.labels[0] != expected.labels[0]:
        raise UserError(subject, f"answered {got.predict!r}, the original {expected.labels[0]!r}")
    wanted = dict(zip(expected.labels, expected.scores, strict=True))
    if sorted(got.labels) != sorted(expected.labels):
        raise UserError(subject, f"labels {got.labels}, the original has {expected.labels}")
    for label, score in zip(got.labels, got.scores, strict=True):
        if not abs(score - wanted[label]) <= SCORE_TOLERANCE:
            raise UserError(
                subject, f"{label!r} scored {score:.6f}, the original {wanted[label]:.6f}"
            )
    if got.scores != sorted(got.scores, reverse=True):
        raise UserError(subject, f"scores are not sorted: {got.scores}")


def batches(answers: Sequence[Answer], largest: int) -> Iterator[Sequence[Answer]]:
    """All answers, cut into batches of 1, 2, … `largest`, 1, 2, …"""
    start = 0
    for size in cycle(range(1, largest + 1)):
        if start >= len(answers):
            return
        yield answers[start : start + size]
        start += size


def verify(server: Server, model: str, answers: Sequence[Answer]) -> None:
    """Raise a UserError on the first difference."""
    for batch in batches(answers, max(1, server.max_batch_size(model))):
        predictions = server.classify(model, [answer.text for answer in batch])
        for answer, prediction in zip(batch, predictions, strict=True):
            check_answer(answer, prediction)


def main() -> None:
    """Verify both protocols."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="name of the ensemble")
    parser.add_argument("reference", type=Path, help="reference.json of the conversion")
    parser.add_argument("--http", default="127.0.0.1:8000", metavar="HOST:PORT")
    parser.add_argument("--grpc", default="127.0.0.1:8001", metavar="HOST:PORT")
    parser.add_argument("--timeout", type=float, default=120, help="seconds to wait for ready")
    arguments = parser.parse_args()
    answers = read_reference(arguments.reference)
    for protocol in ("http", "grpc"):
        server = Server(protocol, getattr(arguments, protocol))
        wait_until_ready(server, arguments.model, arguments.timeout)
        verify(server, arguments.model, answers)
    print(f"{len(answers)} texts over HTTP and gRPC: answers as the original's", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
