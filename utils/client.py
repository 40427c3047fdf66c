#!/usr/bin/env python3
"""Classify texts with a running server and print text, label and score."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.console import Console
from rich.table import Table
from rich.text import Text

from utils.errors import run_command
from utils.inference import Prediction, Server

DEFAULT_ADDRESS = {"http": "localhost:8000", "grpc": "localhost:8001"}


def classify_all(
    server: Server, model: str, texts: list[str], pairs: list[str] | None = None
) -> list[Prediction]:
    """Answers to any number of texts, in their order."""
    size = max(1, server.max_batch_size(model))
    return [
        prediction
        for start in range(0, len(texts), size)
        for prediction in server.classify(
            model, texts[start : start + size], pairs and pairs[start : start + size]
        )
    ]


def print_table(texts: list[str], predictions: list[Prediction]) -> None:
    """One row for each text."""
    table = Table("text", "label", "score")
    for text, prediction in zip(texts, predictions, strict=True):
        table.add_row(Text(text), Text(prediction.predict), f"{prediction.scores[0]:.4f}")
    Console().print(table)


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", "--model", required=True, help="name of the model")
    parser.add_argument("-u", "--url", help="HOST:PORT (default: localhost, 8000 or 8001)")
    parser.add_argument("--grpc", action="store_true", help="speak gRPC instead of HTTP")
    parser.add_argument("--json", action="store_true", help="all labels and scores as JSON")
    parser.add_argument("--pairs", action="store_true", help="every second TEXT is a text_pair")
    parser.add_argument("texts", nargs="+", metavar="TEXT")
    arguments = parser.parse_args()
    texts, pairs = arguments.texts, None
    if arguments.pairs:
        texts, pairs = texts[::2], texts[1::2]
        if len(texts) != len(pairs):
            parser.error("argument --pairs: the last TEXT has no second one")
    protocol = "grpc" if arguments.grpc else "http"
    server = Server(protocol, arguments.url or DEFAULT_ADDRESS[protocol])
    predictions = classify_all(server, arguments.model, texts, pairs)
    if arguments.json:
        answers = [
            {"text": text, **asdict(prediction)}
            for text, prediction in zip(texts, predictions, strict=True)
        ]
        print(json.dumps(answers, ensure_ascii=False, indent=2))
    else:
        print_table(texts, predictions)


if __name__ == "__main__":
    run_command(main)
