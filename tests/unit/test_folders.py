"""utils/folders.py and utils/keep_folder.py."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tests.unit.commands import error_line, run_utility
from utils import folders
from utils.folders import cache_key, cached_folder, make_folder


def names(folder: Path) -> list[str]:
    """What is in a folder, hidden entries too."""
    return sorted(path.name for path in folder.iterdir())


def write_one(folder: Path) -> None:
    """A fill that succeeds."""
    (folder / "file").write_text("content")


def write_half(folder: Path) -> None:
    """A fill that fails halfway."""
    write_one(folder)
    raise RuntimeError("halfway")


def test_a_filled_folder_appears_with_its_files_and_nothing_beside_it(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "target", write_one)
    assert names(tmp_path / "a") == ["target"]
    assert names(tmp_path / "a" / "target") == ["file"]


def test_a_filled_folder_is_readable_by_others(tmp_path: Path) -> None:
    make_folder(tmp_path / "target", write_one)
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o755


def test_the_target_does_not_exist_while_it_is_filled(tmp_path: Path) -> None:
    seen: list[bool] = []
    make_folder(tmp_path / "target", lambda _: seen.append((tmp_path / "target").exists()))
    assert seen == [False]


def test_nothing_is_left_when_filling_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="halfway"):
        make_folder(tmp_path / "target", write_half)
    assert names(tmp_path) == []


def test_nothing_is_left_when_filling_is_interrupted(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> None:
        write_one(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_folder(tmp_path / "target", interrupted)
    assert names(tmp_path) == []


def test_an_empty_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    make_folder(tmp_path / "target", write_one)
    assert names(tmp_path / "target") == ["file"]


def test_a_target_with_files_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "precious").touch()
    with pytest.raises(OSError, match="not empty"):
        make_folder(tmp_path / "target", write_one)
    assert names(tmp_path) == ["target"]
    assert names(tmp_path / "target") == ["precious"]


def test_a_cached_folder_is_filled_once(tmp_path: Path) -> None:
    calls: list[Path] = []

    def fill(folder: Path) -> None:
        calls.append(folder)
        write_one(folder)

    entries = [cached_folder(tmp_path, "key", fill) for _ in range(3)]
    assert entries == [tmp_path / "key"] * 3
    assert len(calls) == 1


def test_different_keys_are_different_cached_folders(tmp_path: Path) -> None:
    assert cached_folder(tmp_path, "a", write_one) != cached_folder(tmp_path, "b", write_one)


def test_a_failed_fill_is_not_cached(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        cached_folder(tmp_path, "key", write_half)
    assert names(tmp_path) == []
    assert names(cached_folder(tmp_path, "key", write_one)) == ["file"]


def test_an_oserror_of_the_fill_itself_is_not_swallowed(tmp_path: Path) -> None:
    def full_disk(_: Path) -> None:
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        cached_folder(tmp_path, "key", full_disk)


def test_runs_that_fill_a_cached_folder_at_once_all_get_the_first_whole_one(
    tmp_path: Path,
) -> None:
    runs = 4
    barrier = Barrier(runs)

    def fill_as(number: int) -> Callable[[Path], None]:
        def fill(folder: Path) -> None:
            (folder / "one").write_text(str(number))
            barrier.wait(timeout=10)
            (folder / "two").write_text(str(number))

        return fill

    with ThreadPoolExecutor(runs) as pool:
        entries = list(
            pool.map(lambda number: cached_folder(tmp_path, "key", fill_as(number)), range(runs))
        )
    assert entries == [tmp_path / "key"] * runs
    assert names(tmp_path) == ["key"]
    assert (entries[0] / "one").read_text() == (entries[0] / "two").read_text()


def test_a_cache_key_changes_with_every_ingredient() -> None:
    base: dict[str, object] = {"digests": {"a": "1"}, "options": [0, "auto"]}
    variants: list[dict[str, object]] = [
        base,
        {"digests": {"a": "2"}, "options": [0, "auto"]},
        {"digests": {"b": "1"}, "options": [0, "auto"]},
        {"digests": {"a": "1"}, "options": [1, "auto"]},
        {"digests": {"a": "1"}, "options": ["auto", 0]},
        {"digests": {"a": "1"}},
    ]
    assert len({cache_key(variant) for variant in variants}) == len(variants)


def test_a_cache_key_does_not_depend_on_the_order_of_ingredients() -> None:
    assert cache_key({"a": 1, "b": 2}) == cache_key({"b": 2, "a": 1})


def test_a_cache_key_is_fit_for_a_folder_name() -> None:
    key = cache_key({"a": "/../"})
    assert len(key) == 32
    assert set(key) <= set("0123456789abcdef")


def test_a_cache_key_changes_with_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "SOURCES", (tmp_path / "utils", tmp_path / "served"))
    for path in (tmp_path / "utils" / "labels.py", tmp_path / "served" / "a" / "1" / "model.py"):
        path.parent.mkdir(parents=True)
        path.write_text("old")
        before = cache_key({})
        path.write_text("new")
        assert cache_key({}) != before


def test_the_served_steps_are_sources_of_a_conversion_too() -> None:
    files = {path.name for folder in folders.SOURCES for path in folder.rglob("*.py")}
    assert {"folders.py", "tokenization.py", "scoring.py"} <= files


def test_keep_folder_copies_everything_and_prints_nothing(tmp_path: Path) -> None:
    (tmp_path / "source" / "inner").mkdir(parents=True)
    (tmp_path / "source" / "inner" / "файл").write_text("content")
    result = run_utility("keep_folder.py", tmp_path / "source", tmp_path / "target")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert (tmp_path / "target" / "inner" / "файл").read_text() == "content"


def test_keep_folder_does_not_touch_a_target_with_files(tmp_path: Path) -> None:
    for name in ("source", "target"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"of_{name}").touch()
    line = error_line(run_utility("keep_folder.py", tmp_path / "source", tmp_path / "target"))
    assert "Directory not empty" in line
    assert names(tmp_path / "target") == ["of_target"]


def test_keep_folder_leaves_nothing_when_the_source_is_absent(tmp_path: Path) -> None:
    line = error_line(run_utility("keep_folder.py", tmp_path / "absent", tmp_path / "target"))
    assert line == f"error: {tmp_path / 'absent'}: No such file or directory"
    assert names(tmp_path) == []
