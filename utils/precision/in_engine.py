"""Run graphs in a backend of the embedded server, by the Python of its tree.

Usage: in_engine.py FOLDER, which holds job.json, rows.npz and gets results.npz or error.txt.

job.json: `backend`, the folder of a Triton backend of ours; `module`, the one in it that has its
Engine; `graphs`, a list of {path, config}; `timed`, how many texts to time. rows.npz:
`<number>/<input>`, token tensors of one text or batch each. results.npz: `logits/<graph>/<number>`,
and `seconds` [rounds, graphs]: the time that the timed texts took, each graph in turn.
"""

import importlib
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROUNDS = 5

Row = dict[str, npt.NDArray[Any]]


def main() -> None:
    """Open all graphs, run all rows through each, then time them."""
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    sys.path.insert(0, job["backend"])
    opened = importlib.import_module(job["module"]).Engine
    rows = read_rows(folder / "rows.npz")
    results: dict[str, npt.NDArray[Any]] = {}
    engines = []
    try:
        for number, graph in enumerate(job["graphs"]):
            kind = graph["config"]["instance_group"][0]["kind"].removeprefix("KIND_")
            arguments = {"model_instance_kind": kind, "model_instance_device_id": "0"}
            engine = opened(Path(graph["path"]), graph["config"], arguments)
            engines.append(engine)
            with ThreadPoolExecutor(engine.callers) as pool:
                for place, logits in enumerate(
                    pool.map(lambda row, e=engine: answer(e, row), rows)
                ):
                    results[f"logits/{number}/{place}"] = logits
        results["seconds"] = np.array(
            [[seconds(engine, rows[: job["timed"]]) for engine in engines] for _ in range(ROUNDS)]
        )
    except Exception as error:
        (folder / "error.txt").write_text(str(error), encoding="utf-8")
        raise
    (folder / "engines.json").write_text(json.dumps([engine.description for engine in engines]))
    np.savez(folder / "results.npz", **results)


def read_rows(path: Path) -> list[Row]:
    """Token tensors by input's name, in the order of their numbers."""
    rows: dict[int, Row] = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            number, _, name = key.partition("/")
            rows.setdefault(int(number), {})[name] = arrays[key]
    return [rows[number] for number in sorted(rows)]


def answer(engine: Any, row: Row) -> npt.NDArray[np.float32]:
    """Logits [texts, classes] of one row or batch."""
    logits: npt.NDArray[np.float32] = engine.run(None, {name: row[name] for name in engine.inputs})[
        0
    ]
    return logits


def seconds(engine: Any, rows: list[Row]) -> float:
    """Time for all rows, as many at once as the server would run."""
    started = time.perf_counter()
    with ThreadPoolExecutor(engine.callers) as pool:
        list(pool.map(lambda row: answer(engine, row), rows))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
