"""utils/set_precision.py: what it keeps, and what it tells."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.in_process import call
from tests.unit.commands import ROOT, error_line, run_utility, usage_error
from utils import set_precision
from utils.errors import UserError
from utils.precision.choose import DETAILS_FILE, Wanted
from utils.targets.machine import this_machine


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """The files of a conversion."""
    folder = tmp_path / "model"
    (folder / "warmup").mkdir(parents=True)
    (folder / "model.onnx").write_text("graph")
    (folder / "warmup" / "input_ids").write_text("ids")
    return folder


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Wanted]:
    """What a choice was asked for; it writes a graph and what is told of it."""
    asked: list[Wanted] = []

    def choose_graph(wanted: Wanted, source: Path, target: Path) -> None:
        asked.append(wanted)
        if "bf16" in wanted.precisions:
            raise UserError("precision", "not enough")
        (target / "model.onnx").write_text(f"{(source / 'model.onnx').read_text()} in int8")
        (target / DETAILS_FILE).write_text("a table")

    monkeypatch.setattr(set_precision, "choose_graph", choose_graph)
    return asked


def run(artifacts: Path, *words: str | Path, precisions: tuple[str, ...] = ("int8",)) -> Path:
    """Run the command; the folder that it wrote."""
    folder = artifacts.parent
    target = folder / f"out{len(list(folder.iterdir()))}"
    options = ("--precisions", *precisions, "--cache", folder / "cache", *words)
    call(set_precision.main, *options, "--", artifacts, target)
    return target


def test_the_chosen_files_appear_and_what_was_tried_is_told(
    artifacts: Path, tmp_path: Path
) -> None:
    target = run(artifacts, "--details", tmp_path / "details")
    assert (target / "model.onnx").read_text() == "graph in int8"
    assert (tmp_path / "details").read_text() == "a table"


def test_the_same_choice_is_made_once_and_told_each_time(
    artifacts: Path, asked: list[Wanted], tmp_path: Path
) -> None:
    run(artifacts)
    target = run(artifacts, "--details", tmp_path / "details")
    assert len(asked) == 1
    assert (target / "model.onnx").read_text() == "graph in int8"
    assert (tmp_path / "details").read_text() == "a table"


@pytest.mark.parametrize(
    "words",
    [
        ("--hardware", "cuda"),
        ("--max-batch-size", "5"),
        ("--lacks", "a GPU"),
        ("--labelled", Path(__file__).with_name("labelled.csv")),
    ],
)
def test_another_wish_is_another_choice(
    words: tuple[str | Path, ...], artifacts: Path, asked: list[Wanted]
) -> None:
    run(artifacts)
    run(artifacts, *words)
    assert len(asked) == 2


def test_another_model_is_another_choice(artifacts: Path, asked: list[Wanted]) -> None:
    run(artifacts)
    (artifacts / "model.onnx").write_text("another")
    assert (run(artifacts) / "model.onnx").read_text() == "another in int8"
    (artifacts / "warmup" / "input_ids").write_text("others")
    run(artifacts)
    assert len(asked) == 3


def test_a_choice_on_another_cpu_is_another_one(
    artifacts: Path, asked: list[Wanted], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(artifacts)
    other = replace(this_machine(), cpu_flags=frozenset({"abacus"}))
    monkeypatch.setattr(set_precision, "this_machine", lambda: other)
    run(artifacts)
    assert len(asked) == 2


def test_a_choice_with_another_number_of_cpus_is_another_one(
    artifacts: Path, asked: list[Wanted], monkeypatch: pytest.MonkeyPatch
) -> None:
    for count in (2, 3, 2):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, count=count: set(range(count)))
        run(artifacts)
    assert len(asked) == 2


@pytest.mark.parametrize("name", ["shared/served_graph.py", "openvino/deep/er.py"])
def test_a_choice_with_another_engine_is_another_one(
    name: str,
    artifacts: Path,
    asked: list[Wanted],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(set_precision, "ROOT", tmp_path / "root")
    source = tmp_path / "root" / "backends" / name
    source.parent.mkdir(parents=True)
    for text in ("one", "two"):
        source.write_text(text)
        run(artifacts)
        run(artifacts)
    assert len(asked) == 2
    source.with_suffix(".pyc").write_text("compiled")
    run(artifacts)
    assert len(asked) == 2


def test_the_engines_of_a_choice_are_those_that_are_served_with(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[Path] = set()

    def file_digest(path: Path) -> str:
        seen.add(path)
        return "a digest"

    monkeypatch.setattr(set_precision, "file_digest", file_digest)
    run(artifacts)
    engines = set((ROOT / "backends").glob("*/*.py"))
    assert ROOT / "backends" / "onnxruntime" / "onnxruntime_engine.py" in engines
    assert engines <= seen


def test_a_refusal_leaves_nothing_and_is_not_remembered(
    artifacts: Path, asked: list[Wanted]
) -> None:
    for _ in range(2):
        with pytest.raises(UserError, match="not enough"):
            run(artifacts, precisions=("bf16",))
    assert len(asked) == 2
    assert sorted(path.name for path in artifacts.parent.iterdir()) == ["cache", "model"]
    assert list((artifacts.parent / "cache" / "precisions").iterdir()) == []


def test_the_command_passes_on_what_it_was_told(artifacts: Path, asked: list[Wanted]) -> None:
    words = ("--hardware", "cuda", "--max-batch-size", "9", "--lacks", "a GPU")
    run(artifacts, *words, precisions=("int8", "fp32"))
    (wanted,) = asked
    assert (wanted.profile.name, list(wanted.precisions)) == ("cuda", ["int8", "fp32"])
    assert (wanted.max_batch_size, wanted.lacks, wanted.labelled) == (9, "a GPU", None)
    assert wanted.cache.is_absolute()


def test_a_folder_that_is_no_conversion_is_one_line(tmp_path: Path) -> None:
    words = ("--precisions", "fp32", "--cache", tmp_path / "cache", "--")
    line = error_line(run_utility("set_precision.py", *words, tmp_path / "absent", tmp_path / "b"))
    assert "report.json: absent or damaged" in line


def test_without_precisions_there_is_nothing_to_choose(tmp_path: Path) -> None:
    result = run_utility("set_precision.py", tmp_path / "a", tmp_path / "b")
    assert "--precisions" in usage_error(result)
