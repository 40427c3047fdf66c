"""Processes that obtain a model of the Hugging Face Hub, killed or at the same time."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.storages.contract import CONTENT, MODEL_FILES
from tests.storages.contract import secrets as secrets
from tests.storages.hub_state import Fault, Hub
from tests.storages.hub_tests import NAME, WEIGHTS, HubTests
from utils.folders import ROOT

OBTAIN = """
import sys
from pathlib import Path
from utils.storages.cache import Cache
from utils.storages.obtain import obtain
from utils.storages.reference import Reference
from utils.storages.wanted import WANTED
cache = Cache(Path(sys.argv[2]))
print(obtain(Reference("hf", sys.argv[1]), WANTED["model"], cache, offline=False).folder)
"""
WHOLE = {name: len(CONTENT[name]) for name in MODEL_FILES}


class TestProcesses(HubTests):
    # Few bytes, too: they must not wait in memory for more.
    @pytest.mark.parametrize("arrived", [1_000, 350_000])
    def test_a_killed_process_leaves_what_the_next_one_goes_on_from(
        self, arrived: int, hub: Hub, tmp_path: Path
    ) -> None:
        dead = threading.Event()
        hub.faults[WEIGHTS] = [Fault(after=arrived, until=dead)]
        first = self.obtaining(tmp_path)
        _wait(lambda: _arrived(tmp_path) == arrived)
        first.kill()
        assert first.wait() == -9
        dead.set()
        assert _files(self.obtaining(tmp_path)) == {name: CONTENT[name] for name in MODEL_FILES}
        assert dict(hub.served) == WHOLE

    def test_two_processes_that_want_the_same_at_once_fetch_it_once(
        self, hub: Hub, tmp_path: Path
    ) -> None:
        both = threading.Event()
        hub.faults[WEIGHTS] = [Fault(after=100_000, until=both, ends=False)]
        processes = [self.obtaining(tmp_path) for _ in range(2)]
        _wait(lambda: sum("/revision/main" in path for path, _ in hub.asked) == 2)
        both.set()
        for process in processes:
            assert _files(process) == {name: CONTENT[name] for name in MODEL_FILES}
        assert dict(hub.served) == WHOLE

    def obtaining(self, folder: Path) -> subprocess.Popen[str]:
        """A process that obtains the model into the cache in a folder."""
        command = [sys.executable, "-c", OBTAIN, NAME, str(folder / "cache")]
        # A read that times out would end the try, and with it what the tests look for.
        patient = {**os.environ, "HF_HUB_DOWNLOAD_TIMEOUT": "60"}
        return subprocess.Popen(command, cwd=ROOT, env=patient, stdout=subprocess.PIPE, text=True)


def _files(process: subprocess.Popen[str]) -> dict[str, bytes]:
    """What a process obtained."""
    folder = Path(process.communicate(timeout=60)[0].strip())
    assert process.returncode == 0
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _arrived(folder: Path) -> int:
    """Bytes of the weights in the cache's unfinished transfer."""
    return sum(path.stat().st_size for path in folder.glob(f"cache/partial/*/{WEIGHTS}"))


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
