"""The main command, for the benchmarks that measure what comes out of it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def make_triton_image(*words: str | Path) -> str:
    """Run it and show its progress; "" or, where it failed, its error line."""
    done = subprocess.run(
        [ROOT / "make_triton_image.sh", *words],
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    print(done.stderr, file=sys.stderr)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""
