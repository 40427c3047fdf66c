"""Prometheus' own checks of what it is to read."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Where make setup-dev puts it unless it is there already.
PROMTOOL = shutil.which("promtool") or ROOT / ".venv" / "bin" / "promtool"


def assert_passes(*words: str | Path, given: str = "", folder: Path = ROOT) -> None:
    """Run promtool in a folder, with a text on stdin; it finds nothing wrong."""
    done = subprocess.run(
        [PROMTOOL, *words], cwd=folder, input=given, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
