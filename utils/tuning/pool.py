"""The candidates' servers, each started once and standing still between its turns."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from utils.tuning.repository import candidate
from utils.tuning.server import Running, end, start
from utils.tuning.settings import Settings

PROC = Path("/proc")


class Pool:
    """Servers by settings. A context: all end with it, and the copies of the repository with them.

    Args:
        repository: rendered; it stays as it is.
        model: name of its ensemble.
        several: whether more than one may be loaded at a time, if there is memory for it.
    """

    def __init__(self, repository: Path, model: str, several: bool) -> None:
        self._repository = repository
        self._model = model
        self._several = several
        self._running: dict[Settings, Running] = {}
        # Links need the repository's file system.
        beside = repository.parent if os.access(repository.parent, os.W_OK) else None
        self._folder = tempfile.TemporaryDirectory(prefix=".tune-", dir=beside)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.retire(list(self._running))
        finally:
            self._folder.cleanup()

    @contextmanager
    def turn(self, settings: Settings) -> Iterator[tuple[str, int]]:
        """Host and port of the settings' server, which runs until the block ends.

        Raises:
            UserError: it does not start.
        """
        running = self._running.get(settings)
        if running is None:
            running = self._running[settings] = self._started(settings)
        else:
            running.resume()
        yield running.address
        # Not after an error: all are ended anyway.
        if self.keeps(settings):
            running.pause()
        else:
            self.retire([settings])

    def keeps(self, settings: Settings) -> bool:
        """Whether there is memory for another one like the settings' server."""
        running = self._running.get(settings)
        return (
            self._several
            and running is not None
            and _available() > 2 * _resident(running.process.pid)
        )

    def retire(self, losers: Iterable[Settings]) -> None:
        """End the servers of these."""
        end([self._running.pop(each) for each in losers if each in self._running])

    def _started(self, settings: Settings) -> Running:
        # The joined steps find the others by the names of their folders.
        folder = Path(tempfile.mkdtemp(dir=self._folder.name))
        copy = folder / self._repository.name
        candidate(self._repository, copy, settings)
        return start(copy, self._model, folder / "server.log")


def _available() -> int:
    """KiB of memory that can be taken without swapping."""
    return _kibibytes(PROC / "meminfo", "MemAvailable:")


def _resident(pid: int) -> int:
    """KiB that a process holds."""
    return _kibibytes(PROC / str(pid) / "status", "VmRSS:")


def _kibibytes(path: Path, name: str) -> int:
    """A line of the kernel's; 0 where it is not there."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)
