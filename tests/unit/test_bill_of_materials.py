"""utils/bill_of_materials.py and utils/vulnerabilities.py."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.unit.commands import ROOT, error_line, run_utility
from tests.unit.reports import make_report
from utils.artifacts import write_report
from utils.bill_of_materials import Image, bill_of_materials
from utils.targets.servers import read_server
from utils.vulnerabilities import note, read_vulnerabilities, summary

SYSTEM = """\
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
VERSION_ID="12"
ID=debian
Package: tini
Status: install ok installed
Architecture: amd64
Version: 0.19.0-1+b3
Description: small init
 with a second line
 .
 Package: none

Package: left-over
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2:2.36-9
"""


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """Of a server with one library and one package, and of a repository with one file more."""
    files, repository = tmp_path / "files", tmp_path / "repository"
    home = files / "opt" / "tritonserver"
    package = home / "python" / "site-packages" / "Some_Package-1.5.dist-info"
    for folder in (home / "bin", home / "lib", package, repository / "model_onnx" / "1"):
        folder.mkdir(parents=True)
    (home / "bin" / "tritonserver").write_bytes(b"server")
    (home / "lib" / "libcurl-75a2bf80.so.4.7.0").write_bytes(b"library")
    (package / "METADATA").write_text("Name: Some_Package\nVersion: 1.5\nLicense: MIT\n")
    (repository / "model_onnx" / "1" / "model.onnx").write_bytes(b"graph")
    write_report(repository, make_report())
    return Image("cls", "0.1.0", read_server("embedded"), "", SYSTEM, files, repository)


def bill(image: Image) -> dict[str, Any]:
    return dict(json.loads(bill_of_materials(image)))


def parts(bill: Mapping[str, Any]) -> dict[str, Any]:
    """Components by reference, those within others too."""
    found: dict[str, Any] = {}
    left = list(bill["components"])
    while left:
        part = left.pop()
        assert part["bom-ref"] not in found
        found[part["bom-ref"]] = part
        left += part.get("components", [])
    return found


def sha256(data: bytes) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": hashlib.sha256(data).hexdigest()}]


def test_a_bill_is_cyclonedx(image: Image) -> None:
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill_of_materials(image))
    assert problem is None


def test_a_bill_names_the_server_with_its_digest_and_libraries(image: Image) -> None:
    found = parts(bill(image))
    assert found["tritonserver"]["version"] == "2.51.0"
    assert found["tritonserver"]["hashes"] == sha256(b"server")
    assert found["tritonserver"]["cpe"].startswith(
        "cpe:2.3:a:nvidia:triton_inference_server:24.10:"
    )
    assert found["library/libcurl-75a2bf80.so.4.7.0"]["hashes"] == sha256(b"library")


def test_a_bill_names_python_packages_as_their_index_does(image: Image) -> None:
    package = parts(bill(image))["pypi/Some_Package"]
    assert package["purl"] == "pkg:pypi/some-package@1.5"
    assert package["licenses"] == [{"license": {"id": "MIT"}}]


def test_a_bill_names_the_packages_that_are_installed_and_no_others(image: Image) -> None:
    found = parts(bill(image))
    names = {name for name in found if name.startswith("deb/")}
    assert names == {"deb/tini:amd64", "deb/libc6:amd64"}
    assert found["deb/tini:amd64"]["purl"] == (
        "pkg:deb/debian/tini@0.19.0-1%2Bb3?arch=amd64&distro=debian-12"
    )
    assert found["distribution"]["name"] == "debian"
    assert found["distribution"]["version"] == "12"


def test_a_bill_has_the_digest_of_every_file_of_the_repository(image: Image) -> None:
    found = parts(bill(image))
    assert found["file/model_onnx/1/model.onnx"]["hashes"] == sha256(b"graph")
    report = (image.repository / "report.json").read_bytes()
    assert found["file/report.json"]["hashes"] == sha256(report)


def test_a_bill_tells_what_the_model_was_made_of(image: Image) -> None:
    properties = {item["name"]: item["value"] for item in parts(bill(image))["model"]["properties"]}
    assert properties["triton-image.model.source"] == "/models/отзывы"
    assert properties["triton-image.model.revision"] == "0123abcd"
    assert properties["triton-image.sha256.model/config.json"] == "ab" * 32


def test_everything_in_a_bill_is_a_part_of_the_image(image: Image) -> None:
    written = bill(image)
    needed = {item["ref"]: item.get("dependsOn", []) for item in written["dependencies"]}
    assert written["metadata"]["component"]["bom-ref"] == "image"
    assert set(needed["image"]) == {part["bom-ref"] for part in written["components"]}


def test_the_same_image_has_the_same_bill_and_another_one_another_number(image: Image) -> None:
    assert bill_of_materials(image) == bill_of_materials(image)
    other = bill(replace(image, model_name="other"))
    assert other["serialNumber"] != bill(image)["serialNumber"]
    assert re.fullmatch("urn:uuid:[0-9a-f-]{36}", other["serialNumber"])


def test_a_bill_has_every_known_vulnerability_of_the_embedded_server(image: Image) -> None:
    found = {item["id"]: item for item in bill(image)["vulnerabilities"]}
    assert len(found) == 52
    one = found["CVE-2025-23321"]
    assert one["affects"] == [{"ref": "tritonserver"}]
    assert one["analysis"]["state"] == "not_affected"
    assert one["analysis"]["justification"] == "protected_at_perimeter"
    assert one["analysis"]["detail"].endswith("Not so with FRONT=off or GRPC=on.")
    assert (one["ratings"][0]["score"], one["ratings"][0]["severity"]) == (7.5, "high")


def test_of_nvidias_images_the_bill_has_the_release_and_none_of_their_vulnerabilities(
    image: Image,
) -> None:
    written = bill(replace(image, server=read_server("ngc"), release="26.08"))
    assert parts(written)["tritonserver"]["version"] == "26.08"
    assert "vulnerabilities" not in written


def test_an_image_without_packages_that_could_be_listed_is_an_error(
    image: Image, tmp_path: Path
) -> None:
    system = tmp_path / "system"
    system.write_text("ID=alpine\n")
    result = run_utility(
        "bill_of_materials.py", system, image.files, image.repository, "cls", "0.1.0"
    )
    assert error_line(result) == (
        "error: image: has no packages of Debian's or Ubuntu's that could be listed"
    )


def test_known_vulnerabilities_are_as_many_and_as_grave_as_published() -> None:
    rows = read_vulnerabilities(read_server("embedded"))
    scores = [score for row in rows for score in row.scores.values()]
    names = {name for row in rows for name in row.scores}
    assert len(scores) == len(names) == 52
    assert sum(score >= 9 for score in scores) == 6
    assert sum(7 <= score < 9 for score in scores) == 35
    assert max(row.fixed for row in rows) == "26.06"


def test_what_is_said_not_to_apply_says_why_and_what_protects_says_until_when() -> None:
    for row in read_vulnerabilities(read_server("embedded")):
        assert (row.state == "not_affected") == bool(row.justification), row
        if row.justification == "protected_at_perimeter":
            assert "FRONT=off" in row.condition, row


def test_one_line_tells_how_many_there_are_and_where_to_go() -> None:
    line = summary(read_vulnerabilities(read_server("embedded")), "24.10")
    assert line.startswith("52 CVEs since Triton 24.10: ")
    assert line.endswith("Triton 26.06 and later have all fixes: --server ngc")


def test_the_document_of_vulnerabilities_is_the_one_of_the_data() -> None:
    document = (ROOT / "docs" / "vulnerabilities.md").read_text(encoding="utf-8")
    assert document == note(read_server("embedded"))


def test_the_release_that_is_named_has_a_newer_default_on_nvidias_images() -> None:
    newest = max(row.fixed for row in read_vulnerabilities(read_server("embedded")))
    assert newest <= read_server("ngc").release
    assert newest <= read_server("ngc-slim").release
