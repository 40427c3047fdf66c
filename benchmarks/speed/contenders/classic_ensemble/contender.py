"""Triton with three steps as people write them by hand."""

import json
from pathlib import Path
from typing import Any

from benchmarks.speed.contenders.contract import OFFLINE, Contender

SERVE = Path(__file__).with_name("serve.py")


def _command(python: Path, model: Path, port: int) -> list[str]:
    return [str(python), str(SERVE), str(model), str(port)]


def _prepare(python: Path, model: Path) -> list[str]:
    return [str(python), str(SERVE), str(model)]


def _body(text: str) -> bytes:
    tensor = {"name": "text_input", "shape": [1, 1], "datatype": "BYTES", "data": [text]}
    return json.dumps({"inputs": [tensor]}).encode()


def _label(reply: Any) -> str:
    outputs = {output["name"]: output["data"] for output in reply["outputs"]}
    return str(outputs["label"][0])


CONTENDER = Contender(
    name="classic_ensemble",
    title="classic Triton ensemble",
    packages=("nvidia-pytriton", "onnxruntime", "transformers", "numpy"),
    command=_command,
    path="/v2/models/classifier/infer",
    body=_body,
    label=_label,
    ready_path="/v2/health/ready",
    environment=OFFLINE | {"ORT_DISABLE_TELEMETRY": "1"},
    unserved=("torch*", "functorch", "sympy", "onnx", "networkx"),
    prepare=_prepare,
)
