#!/usr/bin/env python3
"""Print the labels of an image, one key=value a line: what is inside and where it came from.

Keys of the OCI image specification (annotations.md) where it has one, else under PREFIX.
"""

import argparse
import json
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.artifacts import Settings, read_settings
from utils.embedded_server import LOCK_FILE
from utils.errors import run_command
from utils.output import write_result

PREFIX = "triton-image"
TRITON_VERSION = "2.51.0"


def image_labels(settings: Settings, model_name: str, builder_version: str) -> dict[str, str]:
    """All labels; nothing in them changes between two builds of the same model."""
    return {
        "org.opencontainers.image.title": model_name,
        "org.opencontainers.image.version": builder_version,
        "org.opencontainers.image.description": "Text classifier on Triton Inference Server",
        f"{PREFIX}.model.source": settings.sources["model"],
        f"{PREFIX}.model.type": settings.model_type,
        f"{PREFIX}.tokenizer.source": settings.sources["tokenizer"],
        f"{PREFIX}.labels.source": settings.sources["labels"],
        f"{PREFIX}.digests": _compact(settings.digests),
        f"{PREFIX}.precision": "fp32",
        f"{PREFIX}.exporter": settings.exporter,
        f"{PREFIX}.parity.largest-difference": f"{settings.largest_difference:.2g}",
        f"{PREFIX}.parity.texts": str(settings.compared_texts),
        f"{PREFIX}.triton": TRITON_VERSION,
        f"{PREFIX}.versions.build": _compact(settings.versions),
        f"{PREFIX}.versions.server": _compact(locked_versions(LOCK_FILE)),
    }


def locked_versions(lock_file: Path) -> dict[str, str]:
    """Package to version of a hash-locked requirements file."""
    lines = lock_file.read_text(encoding="utf-8").splitlines()
    pins = [line.split()[0] for line in lines if "==" in line and line[0].isalpha()]
    return dict(pin.split("==") for pin in pins)


def _compact(value: dict[str, str]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def main() -> None:
    """Print or write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifacts", type=Path, help="folder that convert_to_onnx.py wrote")
    parser.add_argument("model_name")
    parser.add_argument("builder_version", help="version of make_triton_image.sh")
    parser.add_argument("-o", "--output", type=Path, help="write here instead of stdout")
    arguments = parser.parse_args()
    labels = image_labels(
        read_settings(arguments.artifacts), arguments.model_name, arguments.builder_version
    )
    # A label is one line in the file and one argument to the engine.
    text = "".join(f"{key}={' '.join(value.split())}\n" for key, value in labels.items())
    write_result(text, arguments.output)


if __name__ == "__main__":
    run_command(main)
