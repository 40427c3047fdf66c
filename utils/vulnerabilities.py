#!/usr/bin/env python3
"""Print what is known against the embedded server's release, and what it comes to in an image.

The same text is docs/vulnerabilities.md and, in images, /opt/tritonserver/vulnerabilities.md.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.errors import run_command
from utils.targets.profiles import read_fields, read_toml
from utils.targets.servers import SERVERS, ServerKind, read_server

# CycloneDX's name for what nobody can tell yet.
IN_TRIAGE = "in_triage"


@dataclass(frozen=True)
class Vulnerability:
    """CVEs of one kind.

    Attributes:
        scores: CVSS base score by the CVE's name.
        fixed: the release of Triton that has the fix.
        problem: in a few words.
        state: of CycloneDX's impact analysis.
        detail: what the state comes from.
        justification: of not_affected; "" otherwise.
        condition: settings of an image that take the protection away; "" for none.
    """

    scores: Mapping[str, float]
    fixed: str
    problem: str
    state: str
    detail: str
    justification: str = ""
    condition: str = ""


def read_vulnerabilities(server: ServerKind) -> list[Vulnerability]:
    """Of a server, in the order of its file; none where its publisher tells.

    Raises:
        UserError: the file is not of the form above.
    """
    file = SERVERS / server.name / "vulnerabilities.toml"
    if not file.is_file():
        return []
    return read_toml(
        file, lambda data: [read_fields(Vulnerability, row) for row in data["vulnerabilities"]]
    )


def summary(vulnerabilities: Sequence[Vulnerability], release: str) -> str:
    """One line for whoever looks at an image.

    Args:
        vulnerabilities: of a server.
        release: its own; releases are yy.mm.
    """
    count = _count(vulnerabilities)
    unclear = _count([row for row in vulnerabilities if row.state == IN_TRIAGE])
    return (
        f"{count} CVEs since Triton {release}: {count - unclear} do not apply while the front is on"
        f" and gRPC off, of {unclear} nothing is published that would tell; Triton"
        f" {max(row.fixed for row in vulnerabilities)} and later have all fixes: --server ngc"
    )


def note(server: ServerKind) -> str:
    """All of them, as Markdown."""
    vulnerabilities = read_vulnerabilities(server)
    return "\n".join(
        [
            f"# Known vulnerabilities of Triton {server.triton_version} ({server.triton_release})",
            "",
            f"{summary(vulnerabilities, server.triton_release)}.",
            "",
            "Ranges, scores and fixes are from NVIDIA's security bulletins; what each comes to in",
            "an image is this project's reading of Triton's source. Scanners find the same in the",
            "image's bill of materials (`/opt/tritonserver/sbom.cdx.json`). The last column is",
            "what takes the protection away.",
            "",
            "| CVE (score) | fixed in | what | in an image | but not with |",
            "| --- | --- | --- | --- | --- |",
            *(_line(row) for row in vulnerabilities),
            "",
        ]
    )


def _line(row: Vulnerability) -> str:
    names = ", ".join(f"{name} ({score})" for name, score in row.scores.items())
    state = (row.justification or row.state).replace("_", " ")
    condition = f"`{row.condition}`".replace(" or ", "` or `") if row.condition else ""
    return f"| {names} | {row.fixed} | {row.problem} | {state}: {row.detail} | {condition} |"


def _count(vulnerabilities: Sequence[Vulnerability]) -> int:
    return sum(len(row.scores) for row in vulnerabilities)


def main() -> None:
    """Print them."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    print(note(read_server("embedded")), end="")


if __name__ == "__main__":
    run_command(main)
