"""Serve a checkpoint with MLServer. Usage: serve.py CHECKPOINT PORT."""

import json
import os
import socket
import sys
from pathlib import Path


def settings(port: int) -> dict[str, object]:
    """Of the server: settings.json."""
    # gRPC cannot be turned off, and its fixed port may be taken.
    return {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": _free_port(),
        "metrics_endpoint": None,
        "debug": False,
    }


def model_settings(model: str) -> dict[str, object]:
    """Of the checkpoint: model-settings.json."""
    extra = {"task": "text-classification", "pretrained_model": model, "framework": "pt"}
    return {
        "name": "classifier",
        "implementation": "mlserver_huggingface.HuggingFaceRuntime",
        "parameters": {"extra": extra},
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def main() -> None:
    """Write MLServer's two files and become MLServer."""
    model, port = sys.argv[1:]
    folder = Path(sys.prefix) / "settings"
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings(int(port))))
    (folder / "model-settings.json").write_text(json.dumps(model_settings(model)))
    os.chdir(folder)
    program = Path(sys.executable).with_name("mlserver")
    os.execv(program, [str(program), "start", "."])  # noqa: S606


if __name__ == "__main__":
    main()
