#!/usr/bin/env python3
"""Tell a rendered repository what machine it was made for, and what to do on another.

Writes hardware.json beside the models, which server/bin/machine.py reads at start, and, where the
profile's fallback is another engine, model_onnx/configs/fallback.pbtxt: the same model on that one,
which tritonserver --model-config-name=fallback takes instead.
"""

import argparse
import json
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from utils.artifacts import GRAPH_FILE, read_report
from utils.errors import run_command
from utils.graph import graph_tensors
from utils.lint_repository import parse_config
from utils.targets.engine_config import engine_config
from utils.targets.machine import FALLBACK
from utils.targets.profiles import PLAIN, Profile, profile_names, read_profile
from utils.targets.servers import server_names

# What a profile's engine.pbtxt may say in config.pbtxt.
ENGINE_FIELDS = (
    "backend",
    "default_model_filename",
    "instance_group",
    "optimization",
    "parameters",
)

HARDWARE_FILE = "hardware.json"


def fallback_config(config: ModelConfig, engine: str) -> str:
    """A configuration with another engine instead of its own."""
    changed = ModelConfig()
    changed.CopyFrom(config)
    for field in ENGINE_FIELDS:
        changed.ClearField(field)
    text_format.Merge(engine, changed)
    return str(text_format.MessageToString(changed, as_utf8=True))


def describe(artifacts: Path, repository: Path, profile: Profile, server: str) -> None:
    """Write hardware.json and, for a machine that may lack something, the fallback."""
    report = read_report(artifacts)
    precision = report.precision.name if report.precision else PLAIN
    profile.precision(precision)
    hardware = {
        "hardware": profile.name,
        "precision": precision,
        "server": server,
        "needs": profile.needs(precision, server),
        "fallback": profile.falls_back(precision),
    }
    text = json.dumps(hardware, indent=2)
    (repository / HARDWARE_FILE).write_text(text + "\n", encoding="utf-8")
    if not profile.falls_back(precision):
        return
    model = repository / "model_onnx"
    config = parse_config(model / "config.pbtxt")
    inputs, _ = graph_tensors(artifacts / GRAPH_FILE)
    other = read_profile(profile.fallback)
    engine = engine_config(
        other, other.precision(PLAIN), inputs, report.behaviour, config.max_batch_size, {}
    )
    (model / "configs").mkdir(exist_ok=True)
    (model / "configs" / f"{FALLBACK}.pbtxt").write_text(
        fallback_config(config, engine), encoding="utf-8"
    )


def main() -> None:
    """Describe a repository."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifacts", type=Path, help="folder that the repository was filled from")
    parser.add_argument("repository", type=Path)
    parser.add_argument("--hardware", choices=profile_names(), default="cpu")
    parser.add_argument("--server", choices=server_names(), default="embedded")
    arguments = parser.parse_args()
    describe(
        arguments.artifacts,
        arguments.repository,
        read_profile(arguments.hardware),
        arguments.server,
    )


if __name__ == "__main__":
    run_command(main)
