"""Where a command's result goes."""

import sys
from pathlib import Path


def write_result(text: str, output: Path | None) -> None:
    """Write to a file, or to stdout for None."""
    if output:
        output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
