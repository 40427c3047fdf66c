#!/usr/bin/env python3
"""Print the labels of an image, one key=value a line: what is inside and where it came from.

Keys of the OCI image specification (annotations.md) where it has one, else under PREFIX.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.artifacts import Accuracy, PrecisionReport, Report, read_report
from utils.errors import run_command
from utils.output import write_result
from utils.targets.profiles import Profile, profile_names, read_profile
from utils.targets.servers import ServerKind, read_server, server_names
from utils.vulnerabilities import read_vulnerabilities, summary

PREFIX = "triton-image"

# In the image (utils/add_bill_of_materials.sh).
BILL_OF_MATERIALS = "/opt/tritonserver/sbom.cdx.json"

VERIFIED = "on this hardware"


@dataclass(frozen=True)
class Place:
    """Where an image is to run.

    Attributes:
        profile: the hardware.
        server: what it is built on.
        release: of the server; "" where there is only one.
        lacks: what the building machine had not of that; "" for nothing.
    """

    profile: Profile
    server: ServerKind
    release: str
    lacks: str


def image_labels(
    report: Report, model_name: str, builder_version: str, place: Place
) -> dict[str, str]:
    """All labels; nothing in them changes between two builds of the same model."""
    behaviour, parity = report.behaviour, report.parity
    return {
        "org.opencontainers.image.title": model_name,
        "org.opencontainers.image.version": builder_version,
        "org.opencontainers.image.description": "Text classifier on Triton Inference Server",
        f"{PREFIX}.model.source": report.sources["model"],
        **{f"{PREFIX}.{part}.revision": revision for part, revision in report.revisions.items()},
        f"{PREFIX}.model.type": report.model_type,
        f"{PREFIX}.tokenizer.source": report.sources["tokenizer"],
        f"{PREFIX}.labels.source": report.sources["labels"],
        **({f"{PREFIX}.pickle.scanner": report.pickle_scanner} if report.pickle_scanner else {}),
        f"{PREFIX}.digests": _compact(report.digests),
        f"{PREFIX}.hardware": place.profile.name,
        f"{PREFIX}.precision": report.precision.name if report.precision else "fp32",
        **_precision_labels(report.precision),
        f"{PREFIX}.verified": (
            f"not verified on target: {place.lacks}" if place.lacks else VERIFIED
        ),
        f"{PREFIX}.exporter": report.exporter,
        f"{PREFIX}.problem-type": behaviour.problem_type,
        f"{PREFIX}.function": behaviour.function,
        f"{PREFIX}.max-length": str(behaviour.max_length),
        f"{PREFIX}.long-text": behaviour.long_text,
        f"{PREFIX}.parity.largest-difference": f"{parity.largest_difference:.2g}",
        f"{PREFIX}.parity.tolerance": f"{parity.tolerance:g}",
        f"{PREFIX}.parity.changed-labels": str(parity.changed_labels),
        f"{PREFIX}.parity.texts": str(parity.texts),
        **_accuracy_labels(report.accuracy),
        f"{PREFIX}.server": place.server.name,
        f"{PREFIX}.triton.release": place.release or place.server.triton_release,
        f"{PREFIX}.versions.build": _compact(report.versions),
        f"{PREFIX}.sbom": BILL_OF_MATERIALS,
        **_server_labels(place),
    }


def _precision_labels(precision: PrecisionReport | None) -> dict[str, str]:
    if precision is None:
        return {}
    return {
        f"{PREFIX}.precision.recipe": precision.recipe or "none",
        f"{PREFIX}.precision.texts": str(precision.texts),
        f"{PREFIX}.precision.agreement": f"{precision.agreement:.4f}",
        f"{PREFIX}.precision.largest-difference": f"{precision.largest_difference:.2g}",
    }


def _server_labels(place: Place) -> dict[str, str]:
    if place.release:
        # What is in it, its own publisher tells.
        return {}
    return {
        f"{PREFIX}.versions.server": _compact(locked_versions(place.profile.lock_file)),
        f"{PREFIX}.vulnerabilities": summary(
            read_vulnerabilities(place.server), place.server.triton_release
        ),
    }


def _accuracy_labels(accuracy: Accuracy | None) -> dict[str, str]:
    if accuracy is None:
        return {}
    return {
        f"{PREFIX}.accuracy.examples": str(accuracy.examples),
        f"{PREFIX}.accuracy.before": _compact(accuracy.before),
        f"{PREFIX}.accuracy.after": _compact(accuracy.after),
    }


def locked_versions(lock_file: Path) -> dict[str, str]:
    """Package to version of a hash-locked requirements file."""
    lines = lock_file.read_text(encoding="utf-8").splitlines()
    pins = [line.split()[0] for line in lines if "==" in line and line[0].isalpha()]
    return dict(pin.split("==") for pin in pins)


def _compact(value: Mapping[str, object]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def main() -> None:
    """Print or write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifacts", type=Path, help="folder that convert_to_onnx.py wrote")
    parser.add_argument("model_name")
    parser.add_argument("builder_version", help="version of make_triton_image.sh")
    parser.add_argument("--hardware", choices=profile_names(), default="cpu")
    parser.add_argument("--server", choices=server_names(), default="embedded")
    parser.add_argument("--release", default="", help="of the server")
    parser.add_argument("--lacks", default="", help="what the building machine had not of that")
    parser.add_argument("-o", "--output", type=Path, help="write here instead of stdout")
    arguments = parser.parse_args()
    place = Place(
        read_profile(arguments.hardware),
        read_server(arguments.server),
        arguments.release,
        arguments.lacks,
    )
    labels = image_labels(
        read_report(arguments.artifacts), arguments.model_name, arguments.builder_version, place
    )
    # A label is one line in the file and one argument to the engine.
    text = "".join(f"{key}={' '.join(value.split())}\n" for key, value in labels.items())
    write_result(text, arguments.output)


if __name__ == "__main__":
    run_command(main)
