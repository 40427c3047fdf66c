"""MLServer's Hugging Face runtime, asked by the V2 protocol."""

import json
from pathlib import Path
from typing import Any

from benchmarks.speed.contenders.contract import OFFLINE, Contender


def _command(python: Path, model: Path, port: int) -> list[str]:
    return [str(python), str(Path(__file__).with_name("serve.py")), str(model), str(port)]


def _tensor(name: str, value: str, content_type: str) -> dict[str, Any]:
    parameters = {"content_type": content_type}
    return {
        "name": name,
        "shape": [1],
        "datatype": "BYTES",
        "data": [value],
        "parameters": parameters,
    }


def _body(text: str) -> bytes:
    # The runtime truncates for requests that ask for it, no setting does.
    tensors = [_tensor("array_inputs", text, "str"), _tensor("truncation", "true", "hg_json")]
    return json.dumps({"inputs": tensors}).encode()


CONTENDER = Contender(
    name="mlserver",
    title="MLServer (Hugging Face runtime)",
    packages=("mlserver", "mlserver-huggingface", "transformers", "torch"),
    command=_command,
    path="/v2/models/classifier/infer",
    body=_body,
    label=lambda reply: str(json.loads(reply["outputs"][0]["data"][0])["label"]),
    ready_path="/v2/models/classifier/ready",
    environment=OFFLINE | {"OTEL_SDK_DISABLED": "true", "TF_CPP_MIN_LOG_LEVEL": "2"},
)
