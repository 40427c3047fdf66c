"""infinity-emb's server on its torch engine, with the batching that it has by default."""

import json
from pathlib import Path

from benchmarks.speed.contenders.contract import OFFLINE, Contender


def _command(python: Path, model: Path, port: int) -> list[str]:
    command = [str(python.with_name("infinity_emb")), "v2", "--model-id", str(model)]
    options = ["--served-model-name", "classifier", "--engine", "torch", "--device", "cpu"]
    return [
        *command,
        *options,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]


CONTENDER = Contender(
    name="infinity",
    title="infinity (torch)",
    packages=("infinity-emb", "transformers", "torch", "optimum"),
    command=_command,
    path="/classify",
    body=lambda text: json.dumps({"model": "classifier", "input": [text]}).encode(),
    label=lambda reply: str(max(reply["data"][0], key=lambda item: item["score"])["label"]),
    ready_path="/health",
    environment=OFFLINE | {"INFINITY_ANONYMOUS_USAGE_STATS": "0"},
)
