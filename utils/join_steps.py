#!/usr/bin/env python3
"""Let the embedded server serve the steps of a repository's ensemble as one model.

Writes a repository of one model into the ensemble's folder, joined/NAME/: the same inputs and
outputs on the backend `classifier`, and in its version folder steps.json, the configurations of the
steps and the digests of their files, so that one that was changed afterwards is not overlooked.
Where model_onnx has another configuration as its fallback, so has this. Any other server
overlooks the folder, and serves the ensemble.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from google.protobuf import json_format, text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from utils.errors import UserError, run_command
from utils.lint_repository import JOINED, parse_config
from utils.snapshot import file_digest
from utils.targets.machine import FALLBACK

# The steps by what they do; the template names them.
PARTS = {"tokenizer": "text_preprocessing", "graph": "model_onnx", "scorer": "post_processing"}

ENSEMBLE = "ensemble"

FALLBACK_FILE = f"{FALLBACK}.pbtxt"


def ensemble_folder(repository: Path) -> Path:
    """The folder of the repository's one ensemble.

    Raises:
        UserError: there is none, or several.
    """
    found = [
        path.parent
        for path in sorted(repository.glob("*/config.pbtxt"))
        if parse_config(path).platform == ENSEMBLE
    ]
    if len(found) != 1:
        raise UserError(repository, f"has {len(found)} ensembles", "one is what can be joined")
    return found[0]


def joined_config(ensemble: ModelConfig, steps_file: str) -> str:
    """A configuration of the same inputs and outputs on the backend `classifier`."""
    config = ModelConfig()
    config.CopyFrom(ensemble)
    for field in ("platform", "ensemble_scheduling"):
        config.ClearField(field)
    config.backend = "classifier"
    config.parameters["steps"].string_value = steps_file
    return str(text_format.MessageToString(config, as_utf8=True))


def steps(repository: Path, graph_config: Path) -> str:
    """What steps.json says: each step's configuration as Triton gives it to models.

    Args:
        repository: folder of the models.
        graph_config: the graph's; its own or its fallback's.
    """
    paths = {part: repository / name / "config.pbtxt" for part, name in PARTS.items()}
    paths["graph"] = graph_config
    content: dict[str, Any] = {
        part: json_format.MessageToDict(parse_config(path), preserving_proto_field_name=True)
        for part, path in paths.items()
    }
    content["sha256"] = {
        str(path.relative_to(repository)): file_digest(path) for path in paths.values()
    }
    # Maps of a message have no order of their own.
    return json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def join(repository: Path) -> None:
    """Write everything."""
    folder = ensemble_folder(repository)
    ensemble = parse_config(folder / "config.pbtxt")
    graph = repository / PARTS["graph"]
    joined = folder / JOINED / folder.name
    for config, name, steps_file in (
        (graph / "config.pbtxt", "config.pbtxt", "steps.json"),
        (graph / "configs" / FALLBACK_FILE, f"configs/{FALLBACK_FILE}", f"steps-{FALLBACK}.json"),
    ):
        if config.is_file():
            write(joined / "1" / steps_file, steps(repository, config))
            write(joined / name, joined_config(ensemble, steps_file))


def write(path: Path, text: str) -> None:
    """Write a file, its folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """Join the steps of a repository."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repository", type=Path)
    join(parser.parse_args().repository)


if __name__ == "__main__":
    run_command(main)
