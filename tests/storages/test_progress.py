"""utils/storages/progress.py."""

import time
from pathlib import Path

from utils.storages.progress import bytes_below, to_file, watched


def test_bytes_on_disk_are_told_while_files_come_and_at_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with watched(tmp_path, 30, lambda arrived, total: told.append((arrived, total))):
        (tmp_path / "a").write_bytes(b"x" * 10)
        deadline = time.monotonic() + 10
        while (10, 30) not in told:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "b").write_bytes(b"x" * 20)
    assert told[-1] == (30, 30)


def test_nobody_is_told_where_nobody_wants_to_know(tmp_path: Path) -> None:
    with watched(tmp_path, 1, None):
        (tmp_path / "a").touch()
    assert bytes_below(tmp_path) == 0


def test_a_file_has_one_line_of_it(tmp_path: Path) -> None:
    show = to_file(tmp_path / "progress")
    show(1_500_000, 270_400_000)
    show(12_000_000, 270_400_000)
    assert (tmp_path / "progress").read_text() == "12 of 270 MB\n"
