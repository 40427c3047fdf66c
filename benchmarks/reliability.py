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

from benchmarks.report import replace_block, write_results
from tests.reliability.rows import ROWS
from utils.errors import UserError, run_command

DOCUMENT = ROOT / "docs" / "reliability.md"


def table(results: Mapping[str, Any]) -> str:
    """A row for each promise.

    Args:
        results: `tests`, how many passed by row, and `figures` by name, their row first.
    """
    lines = ["| | | tests | measured (limit) |", "| --- | --- | ---: | --- |"]
    for row, what in ROWS.items():
        shown = [
            f"{name.partition(': ')[2]} {_figure(figure)}"
            for name, figure in results["figures"].items()
            if name.startswith(f"{row}: ")
        ]
        lines.append(f"| {row} | {what} | {results['tests'][row]} | {'; '.join(shown)} |")
    return "\n".join(lines)


def _figure(figure: Mapping[str, Any]) -> str:
    limit = "" if figure["limit"] is None else f" ({figure['limit']:.3g})"
    value = figure["value"]
    words = f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:.2g}"
    return f"{words} {figure['unit']}".strip() + limit


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
        found = json.loads(results.read_text(encoding="utf-8"))
    write_results("reliability", found)
    replace_block(DOCUMENT, "reliability", table(found))
    print(table(found))


if __name__ == "__main__":
    run_command(main)
