"""transformers' pipeline behind FastAPI: what most people write first."""

import json
from pathlib import Path

from benchmarks.speed.contenders.contract import Contender


def _command(python: Path, model: Path, port: int) -> list[str]:
    return [str(python), str(Path(__file__).with_name("serve.py")), str(model), str(port)]


CONTENDER = Contender(
    name="fastapi_pipeline",
    title="FastAPI + transformers pipeline",
    packages=("fastapi", "transformers", "torch", "uvicorn"),
    command=_command,
    path="/classify",
    body=lambda text: json.dumps({"text": text}).encode(),
    label=lambda reply: str(reply["label"]),
    ready_path="/health",
)
