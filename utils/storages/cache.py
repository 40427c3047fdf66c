"""Fetched files, kept by content, so that nothing is fetched twice and nothing half.

    objects/<sha256>           every file once
    snapshots/<key>/<name>     hard links to objects: the wanted files of a revision, complete
    partial/<key>/<name>       what has come of a transfer that is not over
    revisions/<key>            what a reference stood for when it was last asked
    locks/<key>                two builds that want the same wait for each other

A snapshot appears by one rename, after all its files. Nothing in it is written to again.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from utils.folders import make_folder
from utils.snapshot import file_digest


@dataclass(frozen=True)
class StoodFor:
    """What a reference meant at one moment.

    Attributes:
        revision: the storage's immutable id.
        names: of all files of the revision.
    """

    revision: str
    names: list[str]


class Cache:
    """A cache in a folder that any number of builds may share at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def snapshot(self, ingredients: tuple[str, ...], fetch: Callable[[Path], None]) -> Path:
        """The folder that was made of these ingredients, made now if it is not here yet.

        Args:
            ingredients: whatever decides what is in it.
            fetch: writes files to a folder, which may hold what an earlier, interrupted call
                wrote there. Names that begin with a dot are not kept.
        """
        key = _key(*ingredients)
        entry = self._folder / "snapshots" / key
        with self._lock(key):
            if not entry.is_dir():
                partial = self._folder / "partial" / key
                partial.mkdir(parents=True, exist_ok=True)
                fetch(partial)
                make_folder(entry, lambda draft: self._keep(partial, draft))
                shutil.rmtree(partial)
        return entry

    def has_snapshot(self, ingredients: tuple[str, ...]) -> bool:
        """Whether `snapshot` would have nothing to fetch."""
        return (self._folder / "snapshots" / _key(*ingredients)).is_dir()

    def remember(self, reference: str, stood_for: StoodFor) -> None:
        """Note what a reference stands for, for `last`."""
        path = self._folder / "revisions" / _key(reference)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        # Without the reference: an address may be signed.
        draft.write_text(json.dumps(asdict(stood_for)))
        draft.replace(path)

    def last(self, reference: str) -> StoodFor | None:
        """What a reference stood for when it was last asked; None if it never was."""
        path = self._folder / "revisions" / _key(reference)
        if not path.is_file():
            return None
        noted = json.loads(path.read_text())
        return StoodFor(noted["revision"], noted["names"])

    def _keep(self, partial: Path, draft: Path) -> None:
        """Move files into objects/ and link them into the draft of a snapshot."""
        objects = self._folder / "objects"
        objects.mkdir(exist_ok=True)
        for path in sorted(partial.rglob("*")):
            name = path.relative_to(partial)
            if not path.is_file() or any(part.startswith(".") for part in name.parts):
                continue
            stored = objects / file_digest(path)
            if not stored.exists():
                path.replace(stored)
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(stored, draft / name)

    @contextlib.contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        path = self._folder / "locks" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not removed: a second build may be waiting for this very file. The system lets go of the
        # lock when the process ends, however it ends.
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
