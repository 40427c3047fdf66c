"""Graphs on the engine that will serve them: their logits, and how fast they are."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.embedded_server import server_for_host
from utils.errors import UserError
from utils.targets.profiles import Profile

RUNNER = Path(__file__).with_name("in_engine.py")

# Enough for a median; each is run in five rounds.
TIMED_TEXTS = 48

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Graph:
    """An ONNX file and the config.pbtxt, as JSON, that it would be served with."""

    path: Path
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What a graph gave.

    Attributes:
        logits: of each row, [texts of the row, classes].
        seconds: for the timed rows, a figure for each round.
        engine: what ran it, in words.
    """

    logits: list[Logits]
    seconds: npt.NDArray[np.float64]
    engine: str


def run_graphs(
    profile: Profile,
    graphs: Sequence[Graph],
    rows: Sequence[Mapping[str, npt.NDArray[Any]]],
    cache: Path,
) -> list[Outcome]:
    """Run every row through every graph, then time them in turn.

    They run in a process of its own, with the packages and settings of the profile's embedded
    server: an ONNX Runtime of another make cannot be imported into this one.

    Args:
        profile: whose embedded server.
        graphs: what to run.
        rows: token tensors of one text or batch each.
        cache: of embedded servers.

    Raises:
        UserError: the engine cannot load or run a graph.
    """
    tree = server_for_host(cache, profile)
    backend = str(graphs[0].config["backend"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = {
            "backend": str(tree / "backends" / backend),
            "module": f"{backend}_engine",
            "graphs": [
                {"path": str(graph.path.absolute()), "config": graph.config} for graph in graphs
            ],
            "timed": TIMED_TEXTS,
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        arrays = {
            f"{number}/{tensor}": array
            for number, row in enumerate(rows)
            for tensor, array in row.items()
        }
        np.savez(folder / "rows.npz", **arrays)
        done = subprocess.run(
            [tree / "python" / "bin" / "python3", RUNNER, folder],
            check=False,
            stdout=sys.stderr,
            env={
                **os.environ,
                "LD_LIBRARY_PATH": str(tree / "lib"),
                "ORT_DISABLE_TELEMETRY": "1",
            },
        )
        if done.returncode:
            error = folder / "error.txt"
            reason = error.read_text(encoding="utf-8") if error.is_file() else "ended at once"
            raise UserError("precision", f"the engine of {profile.name} fails: {reason}")
        engines = json.loads((folder / "engines.json").read_text(encoding="utf-8"))
        with np.load(folder / "results.npz") as results:
            return [
                Outcome(
                    [results[f"logits/{number}/{place}"] for place in range(len(rows))],
                    results["seconds"][:, number],
                    engines[number],
                )
                for number in range(len(graphs))
            ]
