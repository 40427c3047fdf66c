"""utils/storages/cache.py."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from utils.storages.cache import Cache, StoodFor

INGREDIENTS = ("hf://user/name", "1234", "*.json")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def write(folder: Path) -> None:
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "config.json").write_text("{}")
    (folder / ".state").write_text("the storage's own")


def test_a_snapshot_has_the_files_without_those_of_the_storage(cache: Cache) -> None:
    folder = cache.snapshot(INGREDIENTS, write)
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["config.json"]


def test_a_snapshot_is_fetched_once(cache: Cache) -> None:
    first = cache.snapshot(INGREDIENTS, write)
    assert cache.snapshot(INGREDIENTS, lambda _: pytest.fail("fetched again")) == first


def test_equal_files_of_two_snapshots_are_one_file(cache: Cache) -> None:
    one = cache.snapshot(INGREDIENTS, write)
    other = cache.snapshot((*INGREDIENTS, "other"), write)
    assert (one / "model/config.json").samefile(other / "model/config.json")


def test_what_an_interrupted_fetch_left_is_there_for_the_next(cache: Cache) -> None:
    def interrupted(folder: Path) -> None:
        (folder / "half").write_text("ha")
        raise OSError

    with pytest.raises(OSError):
        cache.snapshot(INGREDIENTS, interrupted)
    assert not cache.has_snapshot(INGREDIENTS)

    def finished(folder: Path) -> None:
        assert (folder / "half").read_text() == "ha"
        (folder / "half").write_text("half")

    assert (cache.snapshot(INGREDIENTS, finished) / "half").read_text() == "half"


def test_a_revision_is_remembered_for_its_reference(cache: Cache) -> None:
    cache.remember("hf://user/name", StoodFor("1", ["a"]))
    cache.remember("hf://user/name", StoodFor("2", ["a", "b"]))
    assert cache.last("hf://user/name") == StoodFor("2", ["a", "b"])
    assert cache.last("hf://user/other") is None


def fetch_slowly(folder: Path, log: Path) -> None:
    def slowly(target: Path) -> None:
        with log.open("a") as file:
            file.write("fetched\n")
        time.sleep(0.5)
        write(target)

    Cache(folder).snapshot(INGREDIENTS, slowly)


def test_two_builds_that_want_the_same_fetch_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    log = tmp_path / "log"
    processes = [
        context.Process(target=fetch_slowly, args=(tmp_path / "cache", log)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=20)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert log.read_text() == "fetched\n"


def test_a_build_that_is_killed_lets_go_of_its_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    log = tmp_path / "log"
    process = context.Process(target=fetch_slowly, args=(tmp_path / "cache", log))
    process.start()
    while not log.exists():
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(timeout=20)
    cache = Cache(tmp_path / "cache")
    assert not cache.has_snapshot(INGREDIENTS)
    assert (cache.snapshot(INGREDIENTS, write) / "model/config.json").is_file()
