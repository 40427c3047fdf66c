"""What the tests measure and show, for the documents."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The forms of hours; without it, of seconds.
LONG = os.environ.get("RELIABILITY") == "long"


def record(name: str, value: float, unit: str, limit: float | None = None) -> None:
    """Keep a figure in the file that RELIABILITY_RESULTS names, if it names one.

    Args:
        name: of the figure, its row (rows.py) first; a later one takes its place.
        value: measured.
        unit: of value and limit.
        limit: that the test asserts.
    """
    figure = {"value": round(value, 4), "unit": unit, "limit": limit}
    _change(lambda results: results.setdefault("figures", {}).update({name: figure}))


def count(row: str) -> None:
    """Keep in the same file that one more test of a row has passed."""

    def add(results: dict[str, Any]) -> None:
        tests = results.setdefault("tests", {})
        tests[row] = tests.get(row, 0) + 1

    _change(add)


def _change(change: Callable[[dict[str, Any]], None]) -> None:
    target = os.environ.get("RELIABILITY_RESULTS")
    if not target:
        return
    path = Path(target)
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    change(results)
    path.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
