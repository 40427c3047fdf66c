"""utils/tune.py and what it does with files: refusals, copies, report, table, plot."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.unit.commands import error_line, run_utility, usage_error
from tests.unit.repositories import filled_repository
from tests.unit.tuning import contender
from utils.errors import UserError
from utils.targets.machine import Machine
from utils.tune import numbers, positive
from utils.tuning.choice import choose
from utils.tuning.measure import Point
from utils.tuning.plot import draw
from utils.tuning.repository import candidate, check_measurable, give, precision, record
from utils.tuning.results import Result, report, table
from utils.tuning.settings import Settings

TWO_THREADS = Settings(
    "1 x 2", (("caller_threads", "0"), ("intra_op_thread_count", "2")), together=True, delay=500
)
CHANGED = {
    "model_onnx/config.pbtxt",
    "ratings/joined/ratings/1/steps.json",
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered repository; not to be written to."""
    return filled_repository(tmp_path_factory.mktemp("filled"))


@pytest.fixture
def repository(filled: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    copy = tmp_path / "repository"
    shutil.copytree(filled, copy)
    return copy


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def changed_files(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def result(budget: float | None = None) -> Result:
    now = contender("2 x 1", *[{1: (50.0, 20.0), 8: (100.0, 90.0)}] * 3)
    best = contender("1 x 2", *[{1: (70.0, 15.0), 8: (130.0, 60.0)}] * 3)
    early = contender("early", {1: (9.0, 99.0), 8: (9.0, 999.0)})
    early.out = "given up"
    late = contender("late")
    late.out = "no time"
    contenders = [now, best, early, late]
    return Result(
        contenders=contenders,
        choice=choose(contenders, budget),
        clients=(1, 8),
        texts=26,
        precision="fp32",
        cpus=2,
        budget=budget,
        confirmed=Point(100.0, {"p50": 10.0, "p95": 61.5, "p99": 70.0}),
        rate=104.0,
    )


def test_settings_are_written_and_all_other_files_stay_byte_by_byte(repository: Path) -> None:
    before = digests(repository)
    give(repository, TWO_THREADS)
    assert changed_files(before, digests(repository)) == CHANGED
    graph = json.loads((repository / "ratings/joined/ratings/1/steps.json").read_text())["graph"]
    assert graph["parameters"]["intra_op_thread_count"]["string_value"] == "2"
    assert graph["dynamic_batching"]["max_queue_delay_microseconds"] == "500"


def test_a_candidate_is_a_copy_of_links_and_the_repository_stays(
    repository: Path, tmp_path: Path
) -> None:
    before = digests(repository)
    candidate(repository, tmp_path / "copy", TWO_THREADS)
    assert digests(repository) == before
    assert changed_files(before, digests(tmp_path / "copy")) == CHANGED
    model = "model_onnx/1/model.onnx"
    assert (tmp_path / "copy" / model).samefile(repository / model)


def test_a_candidate_is_a_plain_copy_where_nothing_can_be_linked(
    repository: Path, tmp_path: Path
) -> None:
    with mock.patch("os.link", side_effect=OSError):
        candidate(repository, tmp_path / "copy", TWO_THREADS)
    assert changed_files(digests(repository), digests(tmp_path / "copy")) == CHANGED


def test_an_ensemble_that_is_called_joined_is_copied_too(filled: Path, tmp_path: Path) -> None:
    copy = tmp_path / "repository"
    shutil.copytree(filled, copy)
    shutil.rmtree(copy / "ratings" / "joined")
    config = (copy / "ratings" / "config.pbtxt").read_text()
    (copy / "ratings" / "config.pbtxt").write_text(config.replace('"ratings"', '"joined"'))
    (copy / "ratings").rename(copy / "joined")
    candidate(copy, tmp_path / "copy", TWO_THREADS)
    assert (tmp_path / "copy/joined/joined/joined/1/steps.json").is_file()


def test_what_was_found_is_added_to_the_report(repository: Path) -> None:
    (repository / "report.json").write_text('{"model_type": "bert", "текст": 1}')
    record(repository, report(result()))
    written = json.loads((repository / "report.json").read_text("utf-8"))
    assert (written["model_type"], written["текст"]) == ("bert", 1)
    tuning = written["tuning"]
    assert tuning["chosen"]["settings"] == "1 x 2, alone"
    assert tuning["before"]["settings"] == "2 x 1, alone"
    assert tuning["machine"]["cpus"] == 2
    assert tuning["open_loop"]["ms"]["p95"] == 61.5
    assert tuning["measured"][1]["clients"]["8"] == {"texts/s": 130.0, "p95 ms": 60.0}
    assert [item["out"] for item in tuning["measured"]] == ["", "", "given up", "no time"]
    assert tuning["measured"][3]["clients"] == {}


def test_a_repository_without_a_report_gets_none(repository: Path) -> None:
    (repository / "report.json").unlink(missing_ok=True)
    record(repository, {})
    assert not (repository / "report.json").exists()


def test_the_table_shows_all_candidates_and_the_choice_under_them() -> None:
    text = """\
| texts at once x threads | 1 client: texts/s, p95 ms |   8 clients | rounds |           |
|-------------------------|---------------------------|-------------|--------|-----------|
| 2 x 1, alone            |                50.0, 20.0 | 100.0, 90.0 |      3 | as it was |
| 1 x 2, alone            |                70.0, 15.0 | 130.0, 60.0 |      3 | chosen    |
| early, alone            |                 9.0, 99.0 |  9.0, 999.0 |      1 | given up  |
| late, alone             |                           |             |      0 | no time   |

chosen: 1 x 2, alone: the highest rate: +30% in 3 rounds, spread 0%
130.0 texts/s, p95 60.0 ms with 8 clients
104.0 requests/s at random times: p50 / p95 / p99 10.0 / 61.5 / 70.0 ms
measured on the embedded server in fp32, 26 texts, one a request, 2 CPUs shared with the clients
"""
    assert table(result()) == text


def test_a_budget_that_random_arrivals_exceed_is_told() -> None:
    last = table(result(budget=61.0)).splitlines()[-1]
    assert last == "at random times p95 is over 61 ms: count on less than 104.0 requests/s"
    assert "at random times p95" not in table(result(budget=62.0))


def test_the_plot_is_drawn_as_png_and_svg_whichever_is_named(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("plot.svg", "plot.png", "plot"):
        files = draw(result(budget=61.0), tmp_path / name)
        assert files == [tmp_path / "plot.png", tmp_path / "plot.svg"]
    assert "chosen: 1 x 2, alone, 8 clients" in (tmp_path / "plot.svg").read_text()
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_it_is_told_how_to_get_it(tmp_path: Path) -> None:
    with (
        mock.patch.dict("sys.modules", {"matplotlib": None}),
        pytest.raises(UserError, match=r"not installed \(.*utils/tuning/requirements\.txt\)$"),
    ):
        draw(result(), tmp_path / "plot.png")
    assert list(tmp_path.iterdir()) == []


def hardware(repository: Path, **fields: Any) -> None:
    content = {"server": "embedded", "precision": "int8", "needs": {}} | fields
    (repository / "hardware.json").write_text(json.dumps(content))


def test_the_precision_is_the_repositorys(repository: Path) -> None:
    hardware(repository)
    assert precision(repository) == "int8"
    (repository / "hardware.json").unlink()
    assert precision(repository) == "fp32"


def test_a_repository_of_another_server_is_refused(repository: Path) -> None:
    hardware(repository, server="ngc")
    line = error_line(run_utility("tune.py", repository))
    assert "is for --server ngc" in line
    assert line.endswith("(docs/tuning.md)")


def test_a_machine_without_the_hardware_is_refused(repository: Path) -> None:
    machine = Machine("x86_64", frozenset(), gpus=0, cuda=None, gpu_shown=False)
    hardware(repository, needs={"gpu": True, "cuda": "13.0", "cpu_flags": []})
    with pytest.raises(UserError, match="cannot be measured here: "):
        check_measurable(repository, machine)
    hardware(repository)
    check_measurable(repository, machine)


def test_a_folder_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    assert "has no models" in error_line(run_utility("tune.py", tmp_path))
    assert "no such folder" in error_line(run_utility("tune.py", tmp_path / "none"))


@pytest.mark.parametrize(
    "words",
    [
        ("--latency-budget-ms", "0"),
        ("--latency-budget-ms", "nan"),
        ("--budget-s", "-1"),
        ("--budget-s", "inf"),
        ("--clients", "1,0"),
        ("--clients", "many"),
    ],
)
def test_values_that_cannot_be_are_refused(tmp_path: Path, words: tuple[str, str]) -> None:
    assert words[0] in usage_error(run_utility("tune.py", tmp_path, *words))


def test_values_that_can_be_are_read() -> None:
    assert positive("0.5") == 0.5
    assert numbers("8,1,8") == (1, 8)
