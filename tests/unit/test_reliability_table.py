"""The table in docs/reliability.md, and the tests that it is made of."""

import json
import re
from typing import Any

import pytest

from benchmarks.reliability import DOCUMENT, table
from benchmarks.report import read_block
from tests.reliability.rows import ROWS
from tests.unit.commands import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "reliability.json"


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """Of the last long run."""
    return dict(json.loads(RESULTS.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def marked() -> set[str]:
    """The rows that tests name."""
    files = (ROOT / "tests" / "reliability").glob("test_*.py")
    marks = (
        mark
        for file in files
        for mark in re.findall(r"mark\.row\(([^)]*)\)", file.read_text(encoding="utf-8"))
    )
    return {row for mark in marks for row in re.findall(r'"([A-Z][0-9]+)"', mark)}


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_a_test(row: str, marked: set[str]) -> None:
    assert row in marked


def test_the_table_is_the_one_of_the_results(results: dict[str, Any]) -> None:
    assert read_block(DOCUMENT, "reliability") == table(results)


def test_the_results_are_of_all_rows_and_within_their_limits(results: dict[str, Any]) -> None:
    assert results["tests"].keys() == ROWS.keys()
    for name, figure in results["figures"].items():
        assert name.partition(": ")[0] in ROWS, name
        assert figure["limit"] is None or figure["value"] <= figure["limit"], name


def test_a_figure_stands_in_its_row_with_its_unit_and_limit() -> None:
    figures = {
        "F1: killed: not ready after": {"value": 0.4123, "unit": "s", "limit": 3},
        "F1: longest call": {"value": 1.0, "unit": "s", "limit": None},
        "L2: requests": {"value": 100_000, "unit": "", "limit": None},
    }
    lines = table({"tests": dict.fromkeys(ROWS, 2), "figures": figures}).splitlines()
    found = {line.split(" | ")[0].strip("| "): line for line in lines}
    assert found["F1"] == (
        f"| F1 | {ROWS['F1']} | 2 | killed: not ready after 0.41 s (3); longest call 1 s |"
    )
    assert found["L2"].endswith("| 2 | requests 100,000 |")
    assert found["P1"].endswith("| 2 |  |")
