"""Every text classifier of transformers does what docs/supported-models.md says of it."""

from importlib.metadata import version
from pathlib import Path

import pytest

from benchmarks.report import read_block
from tests.architectures.walk import (
    DOCUMENT,
    FEW,
    README,
    Row,
    model_types,
    read_rows,
    short_table,
    table,
    walk,
)


def test_the_recorded_rows_are_the_types_of_the_installed_transformers() -> None:
    transformers, rows = read_rows()
    assert transformers == version("transformers")
    assert sorted(rows) == model_types()


@pytest.mark.parametrize(
    ("document", "name"), [(DOCUMENT, "supported-models"), (README, "supported-models-short")]
)
def test_the_tables_of_types_are_the_ones_of_the_results(document: Path, name: str) -> None:
    transformers, rows = read_rows()
    ordered = [rows[model_type] for model_type in sorted(rows)]
    made = {
        "supported-models": table(transformers, ordered),
        "supported-models-short": short_table(ordered),
    }
    assert read_block(document, name) == made[name]


@pytest.fixture(scope="module")
def walked() -> dict[str, Row]:
    """The rows of all types, made here and now."""
    # Backwards: the slowest begin with q and z, and at the end one is waited for alone.
    return {row.model_type: row for row in walk(model_types()[::-1], FEW)}


@pytest.mark.architectures
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("model_type", model_types())
def test_a_type_does_what_its_row_says(model_type: str, walked: dict[str, Row]) -> None:
    assert walked[model_type] == read_rows()[1][model_type]
