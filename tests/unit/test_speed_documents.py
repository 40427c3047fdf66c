"""The blocks of the documents that say how fast the product is are those of the results."""

import json
from pathlib import Path

import pytest

from benchmarks.report import RESULTS, read_block
from benchmarks.speed.documents import BLOCKS, PAGE, Block
from benchmarks.speed.plots import plots
from benchmarks.speed.sections import stage_of
from benchmarks.speed.tables import document

EVERY = pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)


@EVERY
def test_a_block_is_the_one_of_the_results(block: Block) -> None:
    assert read_block(block.document, block.name) == block.current()


def test_every_block_of_the_page_is_made_of_results() -> None:
    marked = {
        line[5:-4] for line in PAGE.read_text("utf-8").splitlines() if line.startswith("<!-- ")
    }
    assert {name for name in marked if not name.startswith("/")} == {
        block.name for block in BLOCKS if block.document == PAGE
    }


def test_the_tables_beside_the_results_are_theirs() -> None:
    results = json.loads((RESULTS / "speed.json").read_text("utf-8"))
    assert (RESULTS / "speed.md").read_text("utf-8") == document(results) + "\n"


def test_plots_are_those_of_the_results() -> None:
    wanted = set(plots(json.loads((RESULTS / "speed.json").read_text("utf-8"))))
    for kind in ("png", "svg"):
        assert {Path(path).stem for path in RESULTS.glob(f"speed-*.{kind}")} == wanted


def test_a_stage_is_found_by_model_and_processors() -> None:
    stages = [{"model": "minilm", "cpus": 2}, {"model": "minilm", "cpus": 1}]
    assert stage_of({"stages": stages}, "minilm") == stages[0]
    assert stage_of({"stages": stages}, "minilm", most_cpus=False) == stages[1]
    assert stage_of({"stages": stages[:1]}, "minilm", most_cpus=False) is None
    assert stage_of({"stages": stages}, "bert-base") is None
