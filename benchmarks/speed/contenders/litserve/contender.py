"""transformers' pipeline behind LitServe, in batches of what has arrived."""

import json
from pathlib import Path

from benchmarks.speed.contenders.contract import Contender


def _command(python: Path, model: Path, port: int) -> list[str]:
    return [str(python), str(Path(__file__).with_name("serve.py")), str(model), str(port)]


CONTENDER = Contender(
    name="litserve",
    title="LitServe + transformers pipeline",
    packages=("litserve", "transformers", "torch"),
    command=_command,
    path="/predict",
    body=lambda text: json.dumps({"text": text}).encode(),
    label=lambda reply: str(reply["label"]),
    ready_path="/health",
)
