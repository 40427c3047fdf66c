#!/usr/bin/env python3
"""Check a rendered model repository without starting a server.

Every config.pbtxt is parsed with Triton's own message definition, so that a misspelt field is
found with its line and column; then names and files are checked against each other.
"""

import argparse
import re
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from utils.errors import UserError, first_line, run_command

# Triton overlooks folders whose names are not numbers or start with 0 (model_repository.md).
VERSION = re.compile("[1-9][0-9]*")

# In an ensemble's folder, a repository for the embedded server (utils/join_steps.py).
JOINED = "joined"

# The file that each kind of model cannot do without, in its version folder.
NEEDED_FILES = {
    "onnxruntime": "model.onnx",
    "openvino": "model.onnx",
    "python": "model.py",
    "classifier": "steps.json",
}


def parse_config(path: Path) -> ModelConfig:
    """Parse one config.pbtxt.

    Raises:
        UserError: names file, line and column.
    """
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), ModelConfig())
    except FileNotFoundError as error:
        raise UserError(path, "no such file") from error
    except UnicodeDecodeError as error:
        raise UserError(path, "not UTF-8 text") from error
    except text_format.ParseError as error:
        line, column = error.GetLine(), error.GetColumn()
        problem = first_line(error).removeprefix(f"{line}:{column} : ")
        raise UserError(f"{path}:{line}:{column}", problem) from error


def lint(repository: Path) -> list[str]:
    """Check all models and return their names.

    Raises:
        UserError: the first thing that is wrong.
    """
    if not repository.is_dir():
        raise UserError(repository, "no such folder")
    configs = {
        folder.name: parse_config(folder / "config.pbtxt")
        for folder in sorted(repository.iterdir())
        if folder.is_dir()
    }
    if not configs:
        raise UserError(repository, "has no models")
    for name, config in configs.items():
        _check_model(repository / name, config, set(configs))
    for joined in sorted(repository.glob(f"*/{JOINED}")):
        lint(joined)
    return list(configs)


def _check_model(folder: Path, config: ModelConfig, models: set[str]) -> None:
    path = folder / "config.pbtxt"
    if config.name != folder.name:
        raise UserError(path, f"names the model {config.name!r}, the folder is {folder.name!r}")
    versions = [item for item in folder.iterdir() if item.is_dir() and VERSION.fullmatch(item.name)]
    if not versions:
        raise UserError(folder, "has no version folder", "such as 1/")
    needed = NEEDED_FILES.get(config.backend)
    for version in versions:
        if needed and not (version / needed).is_file():
            raise UserError(version, f"has no {needed}")
    for step in config.ensemble_scheduling.step:
        if step.model_name not in models:
            raise UserError(path, f"step {step.model_name!r} is not in the repository")


def main() -> None:
    """Lint and say what was seen."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repository", type=Path)
    print(", ".join(lint(parser.parse_args().repository)), file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
