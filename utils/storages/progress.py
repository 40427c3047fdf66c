"""How far a transfer is: bytes on disk against bytes announced, whatever the storage."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

POLL_SECONDS = 0.25

# Called with bytes so far and bytes in all.
Show = Callable[[int, int], None]


@contextlib.contextmanager
def watched(folder: Path, total: int, show: Show | None) -> Iterator[None]:
    """Tell `show` of the bytes below `folder` until the block ends."""
    if show is None:
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(POLL_SECONDS):
            show(bytes_below(folder), total)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    show(bytes_below(folder), total)


def bytes_below(folder: Path) -> int:
    """Bytes of all files below a folder, while they change."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def to_file(path: Path) -> Show:
    """Keep a file with one short line, for whoever shows progress in our place."""

    def show(arrived: int, total: int) -> None:
        path.write_text(f"{arrived / 1e6:.0f} of {total / 1e6:.0f} MB\n")

    return show


@contextlib.contextmanager
def on_terminal() -> Iterator[Show | None]:
    """A bar on stderr while the block lasts; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    # Not in the environment of --exporter optimum, whose conversions import this module too.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("fetching", total=None)
        yield lambda arrived, total: progress.update(task, completed=arrived, total=total)
