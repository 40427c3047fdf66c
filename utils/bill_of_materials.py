#!/usr/bin/env python3
"""Write the bill of materials of an image: CycloneDX 1.6, as JSON.

Lists the server, the Python packages and libraries beside it, the packages of the base image, every
file of the model repository with its digest and what it was made of, and, of the embedded server,
the known vulnerabilities with what protects from each. The same image has the same bill.
"""

import argparse
import importlib.metadata
import json
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from email.parser import Parser
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.contrib.vulnerability.cvss import vs_from_cvss_scores
from cyclonedx.model import HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.impact_analysis import ImpactAnalysisJustification, ImpactAnalysisState
from cyclonedx.model.tool import ToolRepository
from cyclonedx.model.vulnerability import (
    BomTarget,
    Vulnerability,
    VulnerabilityAnalysis,
    VulnerabilityRating,
    VulnerabilityScoreSource,
    VulnerabilitySource,
)
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.artifacts import Report, read_report
from utils.errors import UserError, run_command
from utils.image_labels import PREFIX
from utils.output import write_result
from utils.snapshot import file_digest
from utils.targets.servers import ServerKind, read_server, server_names
from utils.vulnerabilities import read_vulnerabilities

SERVER_REF = "tritonserver"
NVD = VulnerabilitySource(name="NVD", url=XsUri("https://nvd.nist.gov/"))


@dataclass(frozen=True)
class Image:
    """What a bill is made of.

    Attributes:
        model_name: of the ensemble.
        builder_version: of make_triton_image.sh.
        server: what it is built on.
        release: of the server; "" where there is only one.
        system: os-release and dpkg's status, one behind the other, of the image.
        files: what was added to the base image, by where it lies: the server's, or what NVIDIA's
            lacks.
        repository: the rendered model repository.
    """

    model_name: str
    builder_version: str
    server: ServerKind
    release: str
    system: str
    files: Path
    repository: Path


def bill_of_materials(image: Image) -> str:
    """JSON; the serial number is a digest of the rest, and no time is in it.

    Raises:
        UserError: `system` is not of the form above.
    """
    whole = _whole(image)
    bom = Bom(metadata=BomMetaData(component=whole, tools=ToolRepository()))
    bom.metadata.tools.components.add(
        Component(
            name="make_triton_image.sh",
            type=ComponentType.APPLICATION,
            version=image.builder_version,
        )
    )
    parts = [
        _server(image),
        *_python_packages(image.files),
        *_system(image.system),
        _model(image),
    ]
    bom.components.update(parts)
    bom.register_dependency(whole, parts)
    bom.vulnerabilities.update(_vulnerabilities(image.server))
    written: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    del written["metadata"]["timestamp"]
    written["serialNumber"] = ""
    content = json.dumps(written, sort_keys=True)
    written["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_OID, content).urn
    return json.dumps(written, indent=1, ensure_ascii=False) + "\n"


def _whole(image: Image) -> Component:
    return Component(
        name=image.model_name,
        type=ComponentType.CONTAINER,
        bom_ref="image",
        description="Text classifier on Triton Inference Server",
    )


def _server(image: Image) -> Component:
    release = image.release or image.server.triton_release
    root = image.files / "opt" / "tritonserver"
    binary = root / "bin" / "tritonserver"
    return Component(
        name="tritonserver",
        type=ComponentType.APPLICATION,
        bom_ref=SERVER_REF,
        version=image.server.triton_version or release,
        cpe=f"cpe:2.3:a:nvidia:triton_inference_server:{release}:*:*:*:*:*:*:*",
        hashes=[_hash(file_digest(binary))] if binary.is_file() else [],
        properties=[Property(name=f"{PREFIX}.triton.release", value=release)],
        components=[
            _file(path, path.name, ComponentType.LIBRARY)
            for path in sorted((root / "lib").glob("*.so*"))
        ],
    )


def _python_packages(files: Path) -> Iterator[Component]:
    """Those whose metadata lie among the files that were added."""
    folders = {path.parent for path in files.rglob("*.dist-info")}
    for package in importlib.metadata.distributions(path=[str(folder) for folder in folders]):
        name = package.metadata["Name"]
        about = package.metadata.json
        stated = str(about.get("license_expression") or about.get("license") or "")
        yield Component(
            name=name,
            version=package.version,
            purl=PackageURL("pypi", None, name.lower().replace("_", "-"), package.version),
            bom_ref=f"pypi/{name}",
            # Some put the whole text there.
            licenses=[LicenseFactory().make_from_string(stated)] if 0 < len(stated) < 100 else [],
        )


def _system(text: str) -> Iterator[Component]:
    """The distribution and its packages."""
    release, found, status = text.partition("Package:")
    about = dict(
        line.replace('"', "").split("=", 1) for line in release.splitlines() if "=" in line
    )
    if not found or "ID" not in about:
        raise UserError("image", "has no packages of Debian's or Ubuntu's that could be listed")
    name, version = about["ID"], about.get("VERSION_ID", "")
    yield Component(
        name=name, type=ComponentType.OPERATING_SYSTEM, version=version, bom_ref="distribution"
    )
    for stanza in (found + status).strip().split("\n\n"):
        fields = Parser().parsestr(stanza)
        if not (fields["Status"] or "").endswith(" installed"):
            continue
        where = {"arch": fields["Architecture"], "distro": f"{name}-{version}"}
        yield Component(
            name=fields["Package"],
            version=fields["Version"],
            purl=PackageURL("deb", name, fields["Package"], fields["Version"], where),
            bom_ref=f"deb/{fields['Package']}:{fields['Architecture']}",
        )


def _model(image: Image) -> Component:
    report = read_report(image.repository)
    return Component(
        name=image.model_name,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref="model",
        description=f"{report.model_type} for text classification",
        properties=_origin(report),
        components=[
            _file(path, str(path.relative_to(image.repository)), ComponentType.FILE)
            for path in sorted(image.repository.rglob("*"))
            if path.is_file()
        ],
    )


def _origin(report: Report) -> list[Property]:
    """Where the model came from: references, what they stood for, and what was read of it."""
    facts = {
        **{f"{part}.source": source for part, source in report.sources.items()},
        **{f"{part}.revision": revision for part, revision in report.revisions.items()},
        **{f"sha256.{file}": digest for file, digest in report.digests.items()},
    }
    return [Property(name=f"{PREFIX}.{name}", value=value) for name, value in facts.items()]


def _vulnerabilities(server: ServerKind) -> Iterator[Vulnerability]:
    for row in read_vulnerabilities(server):
        protected = f" Not so with {row.condition}." if row.condition else ""
        for name, score in row.scores.items():
            yield Vulnerability(
                id=name,
                bom_ref=name,
                source=NVD,
                description=row.problem,
                recommendation=f"--server ngc:{row.fixed} or later has the fix",
                ratings=[
                    VulnerabilityRating(
                        source=NVD,
                        score=Decimal(str(score)),
                        severity=vs_from_cvss_scores(score),
                        method=VulnerabilityScoreSource.CVSS_V3_1,
                    )
                ],
                analysis=VulnerabilityAnalysis(
                    state=ImpactAnalysisState(row.state),
                    justification=(
                        ImpactAnalysisJustification(row.justification)
                        if row.justification
                        else None
                    ),
                    detail=row.detail + protected,
                ),
                affects=[BomTarget(ref=SERVER_REF)],
            )


def _file(path: Path, name: str, kind: ComponentType) -> Component:
    return Component(
        name=name, type=kind, bom_ref=f"{kind.value}/{name}", hashes=[_hash(file_digest(path))]
    )


def _hash(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)


def main() -> None:
    """Print or write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("system", type=Path, help="the image's os-release and dpkg's status, one behind the other")
    add("files", type=Path, help="what was added to the base image")
    add("repository", type=Path, help="a rendered model repository")
    add("model_name")
    add("builder_version", help="version of make_triton_image.sh")
    add("--server", choices=server_names(), default="embedded")
    add("--release", default="", help="of the server")
    add("-o", "--output", type=Path, help="write here instead of stdout")
    arguments = parser.parse_args()
    image = Image(
        arguments.model_name,
        arguments.builder_version,
        read_server(arguments.server),
        arguments.release,
        arguments.system.read_text(encoding="utf-8"),
        arguments.files,
        arguments.repository,
    )
    write_result(bill_of_materials(image), arguments.output)


if __name__ == "__main__":
    run_command(main)
