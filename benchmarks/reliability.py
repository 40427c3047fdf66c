"""Runs the long form of tests/reliability and puts what it measured into docs/reliability.md.

    python -m benchmarks.reliability

Needs docker (scripts/with_docker.sh). The figures are in results/reliability.json.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):
    sys.path[0] = str(ROOT)

from benchmarks.report import markdown_table, replace_block, write_results
from utils.errors import UserError, run_command

DOCUMENT = ROOT / "docs" / "reliability.md"


def table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Of figures by name: what was measured, and what it may be at most."""
    rows = []
    for name, figure in figures.items():
        limit = "" if figure["limit"] is None else f"{figure['limit']:g}"
        rows.append([name, f"{figure['value']:g}", limit, figure["unit"]])
    return markdown_table(["", "measured", "limit", "unit"], rows)


def main() -> None:
    """Test, write, show.

    Raises:
        UserError: a test failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "reliability.json")
        environment = os.environ | {"RELIABILITY": "long", "RELIABILITY_RESULTS": str(results)}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-m", "reliability"],
            cwd=ROOT, check=False, env=environment,
        )  # fmt: skip
        if done.returncode:
            raise UserError("reliability", "tests failed, see above")
        figures = json.loads(results.read_text(encoding="utf-8"))
    write_results("reliability", {"figures": figures})
    replace_block(DOCUMENT, "reliability", table(figures))
    print(table(figures))


if __name__ == "__main__":
    run_command(main)
