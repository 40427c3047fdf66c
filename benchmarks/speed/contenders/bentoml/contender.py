"""transformers' pipeline behind BentoML, with its adaptive batching."""

import json
from pathlib import Path

from benchmarks.speed.contenders.contract import OFFLINE, Contender


def _command(python: Path, model: Path, port: int) -> list[str]:
    return [str(python), str(Path(__file__).with_name("serve.py")), str(model), str(port)]


CONTENDER = Contender(
    name="bentoml",
    title="BentoML + transformers pipeline",
    packages=("bentoml", "transformers", "torch"),
    command=_command,
    path="/classify",
    body=lambda text: json.dumps({"texts": [text]}).encode(),
    label=lambda reply: str(reply[0]["label"]),
    ready_path="/readyz",
    environment=OFFLINE | {"BENTOML_DO_NOT_TRACK": "true"},
)
