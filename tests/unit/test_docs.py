"""The documents say what the commands and the results say."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from benchmarks import accuracy, build, export
from benchmarks.report import read_block
from utils.artifacts import Accuracy

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_option_of_the_main_command_is_in_the_readmes_table() -> None:
    usage = subprocess.run(
        [ROOT / "make_triton_image.sh", "--help"], capture_output=True, text=True, check=True
    ).stdout
    options = set(re.findall(r"^  (?:-h, )?(--[a-z-]+)", usage, re.MULTILINE))
    rows = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if "`--" in line]
    listed = {
        option for row in rows if row.startswith("|") for option in re.findall(r"`(--[a-z-]+)", row)
    }
    assert options <= listed, options - listed


def test_the_table_of_build_figures_is_the_one_of_the_results() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "build.json").read_text())
    assert read_block(ROOT / "README.md", "bench-build") == build.table(results)


def test_the_table_of_exporters_is_the_one_of_the_results() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "export.json").read_text())
    for times in results["milliseconds"].values():
        for tokens in list(times):
            times[int(tokens)] = times.pop(tokens)
    assert read_block(ROOT / "docs" / "export.md", "bench-export") == export.table(results)


def test_the_table_of_accuracy_is_the_one_of_the_results() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "accuracy.json").read_text())
    assert read_block(ROOT / "README.md", "bench-accuracy") == accuracy.block(
        Accuracy(**results["accuracy"])
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_paths_in_the_documents_lead_somewhere(document: Path) -> None:
    text = document.read_text("utf-8")
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", text)
    paths = re.findall(
        r"`(?:\./)?((?:utils|lib|scripts|docs|backends|hardware|tests)/[\w./-]+)`", text
    )
    missing = [item for item in links if not (document.parent / item).exists()]
    missing += [item for item in paths if not (ROOT / item).exists()]
    assert missing == []
