"""utils/tune.py on the real server: a bad configuration, and how it ends."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.serving import ROOT, Rendered, base_environment
from utils import join_steps
from utils.lint_repository import lint, parse_config
from utils.tuning.choice import LEAST_GAIN

pytestmark = pytest.mark.server

BUDGET_SECONDS = 40

# Servers end, Python starts.
SLACK_SECONDS = 25

GRAPH = "model_onnx/config.pbtxt"

ALLOWED = {GRAPH, "cls_model/joined/cls_model/1/steps.json", "report.json"}

BAD = (
    ('key: "caller_threads" value { string_value: "0" }',
     'key: "caller_threads" value { string_value: "1" }'),
    ('key: "intra_op_thread_count" value { string_value: "0" }',
     'key: "intra_op_thread_count" value { string_value: "1" }'),
    ("dynamic_batching { }\n", ""),
)  # fmt: skip


def command(repository: Path, *options: str | Path) -> list[str]:
    words = [sys.executable, ROOT / "utils" / "tune.py", repository, *options]
    return [str(word) for word in words]


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def own_processes(marker: str) -> list[str]:
    """Command lines of what was started with an environment of ours."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"TUNE_TEST={marker}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.fixture
def badly_configured(rendered: Rendered, tmp_path: Path) -> Path:
    """A repository that runs one text at a time on one thread, whatever the machine has."""
    repository = tmp_path / "place" / "models"
    shutil.copytree(rendered.repository, repository)
    text = (repository / GRAPH).read_text(encoding="utf-8")
    for old, new in BAD:
        assert old in text
        text = text.replace(old, new)
    (repository / GRAPH).write_text(text, encoding="utf-8")
    join_steps.join(repository)
    return repository


def test_a_bad_configuration_is_improved_or_kept_for_a_reason_that_is_told(
    badly_configured: Path, tmp_path: Path
) -> None:
    before = digests(badly_configured)
    text = (badly_configured / GRAPH).read_text(encoding="utf-8")
    started = time.monotonic()
    done = subprocess.run(
        command(
            badly_configured,
            *("--budget-s", str(BUDGET_SECONDS), "--clients", "1,8"),
            *("--plot", tmp_path / "plot.png"),
        ),
        check=False, capture_output=True, text=True,
        env={**base_environment(), "TUNE_TEST": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < BUDGET_SECONDS + SLACK_SECONDS
    assert own_processes(str(tmp_path)) == []
    # Nor a copy of the repository.
    assert list(badly_configured.parent.iterdir()) == [badly_configured]

    after = digests(badly_configured)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    tuning = json.loads((badly_configured / "report.json").read_text(encoding="utf-8"))["tuning"]
    chosen, reason = tuning["chosen"], tuning["reason"]
    assert f"chosen: {chosen['settings']}: {reason}" in done.stdout
    assert tuning["before"]["settings"] == "1 x 1, alone"
    assert tuning["measured"][0]["settings"] == "1 x 1, alone"
    measured = [item for item in tuning["measured"] if item["rounds"]]
    assert len(measured) >= 2
    assert all(item["clients"]["8"]["texts/s"] > 0 for item in measured)
    if chosen == tuning["before"]:
        assert changed == {"report.json"}
        assert reason.startswith(("the current settings: none is surely better (", "the highest"))
    else:
        assert changed == ALLOWED
        gain = int(reason.partition("the highest rate: +")[2].partition("%")[0]) / 100
        assert gain >= LEAST_GAIN
        config = parse_config(badly_configured / GRAPH)
        assert config.HasField("dynamic_batching") == chosen["dynamic_batching"]
        for name, value in chosen["parameters"].items():
            assert config.parameters[name].string_value == value
        kept = [line for line in text.splitlines() if "parameters" not in line]
        assert set(kept) <= set((badly_configured / GRAPH).read_text().splitlines())
    lint(badly_configured)


def test_a_dry_run_writes_nothing(badly_configured: Path, tmp_path: Path) -> None:
    before = digests(badly_configured)
    done = subprocess.run(
        command(badly_configured, "--budget-s", "25", "--clients", "4", "--dry-run",
                "--table", tmp_path / "table.txt"),
        check=False, capture_output=True, text=True, env=base_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "\nchosen: " in (tmp_path / "table.txt").read_text()
    assert digests(badly_configured) == before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_interrupted_it_leaves_neither_process_nor_copy_and_changes_nothing(
    badly_configured: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    before = digests(badly_configured)
    process = subprocess.Popen(
        command(badly_configured, "--budget-s", "90", "--clients", "4"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**base_environment(), "TUNE_TEST": str(tmp_path)},
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        # One server stands still by now, another one starts or runs.
        if line.startswith("round 1, 3 of "):
            break
    time.sleep(0.5)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == status
    deadline = time.monotonic() + 10
    while own_processes(str(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert own_processes(str(tmp_path)) == []
    assert list(badly_configured.parent.iterdir()) == [badly_configured]
    assert digests(badly_configured) == before
