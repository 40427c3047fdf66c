"""What the tests measure, for the documents."""

import json
import os
from pathlib import Path

# The forms of hours; without it, of seconds.
LONG = os.environ.get("RELIABILITY") == "long"


def record(name: str, value: float, unit: str, limit: float | None = None) -> None:
    """Keep a figure in the file that RELIABILITY_RESULTS names, if it names one.

    Args:
        name: of the figure, as the documents show it; a later one takes its place.
        value: measured.
        unit: of value and limit.
        limit: that the test asserts.
    """
    target = os.environ.get("RELIABILITY_RESULTS")
    if not target:
        return
    path = Path(target)
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    results[name] = {
        "value": round(value, 4),
        "unit": unit,
        "limit": limit,
        "form": "long" if LONG else "short",
    }
    path.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
