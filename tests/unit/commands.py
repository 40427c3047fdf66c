"""Running a command of utils/ as users do, and what a refusal looks like."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

Result = subprocess.CompletedProcess[str]


def run_utility(name: str, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Result:
    """`python utils/NAME ARGUMENTS`, from a folder that is not the repository's."""
    return subprocess.run(
        [sys.executable, ROOT / "utils" / name, *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        cwd=ROOT.parent,
        env={**os.environ, **(env or {})},
    )


def error_line(result: Result) -> str:
    """The one line of a command that refused: exit status 1, nothing on stdout, no traceback."""
    assert result.returncode == 1, result
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def usage_error(result: Result) -> str:
    """The last line of a command that was called wrongly: exit status 2, one error."""
    assert result.returncode == 2, result
    assert result.stdout == ""
    assert result.stderr.count("error: ") == 1
    assert "Traceback" not in result.stderr
    return result.stderr.splitlines()[-1]


def read_by_shell(assignments: str, names: Sequence[str]) -> dict[str, str]:
    """The variables that a POSIX shell has after it has read assignments."""
    printing = "".join(f'printf "%s\\0" "${name}"\n' for name in names)
    shell = subprocess.run(
        ["/bin/sh", "-eu"],
        input=assignments + printing,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return dict(zip(names, shell.stdout.split("\0")[:-1], strict=True))
