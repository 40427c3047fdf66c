"""What every storage keeps: three questions, one kind of error.

Everything else is the same for all and lies elsewhere: which files are wanted (`wanted.py`), what
is kept and how a transfer goes on (`cache.py`), archives (`archives.py`), checks of what came
(`utils/snapshot.py`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from utils.errors import UserError
from utils.storages.reference import Reference
from utils.storages.refusals import without_secrets


@dataclass(frozen=True)
class RemoteFile:
    """A file of a model as its storage knows it.

    Attributes:
        name: path inside the model, with slashes.
        size: bytes; None where the storage does not say.
    """

    name: str
    size: int | None


class Storage(Protocol):
    """A place that models live in, asked for one reference.

    Clients are imported by a storage's own module, which is imported only when its scheme is used.
    Credentials come from the client's own environment and files, never from the reference.
    """

    def __init__(self, name: str) -> None:
        """Take the part of a reference behind `scheme://`.

        Raises:
            StorageError: no name can look like that here.
        """

    def resolve(self) -> str:
        """An id of what the name stands for now, that will never stand for anything else.

        A commit, a version's number and digest, an ETag.

        Raises:
            StorageError: nothing of that name, no access, no network.
        """

    def files(self, revision: str) -> list[RemoteFile]:
        """All files of a revision.

        Raises:
            StorageError: as `resolve`.
        """

    def download(self, revision: str, file: RemoteFile, target: Path) -> None:
        """Write one file to `target`, whose folder exists.

        Where `target` exists already it holds the first bytes of this very file, left by a call
        that was interrupted: a storage that can fetch ranges goes on behind them, another begins
        again. Names beginning with a dot in the same folder are the storage's to use.

        Raises:
            StorageError: as `resolve`, or the transfer broke; what came stays for the next call.
        """


class StorageError(UserError):
    """What a storage answered, in one line: which reference, what was said, what to do."""

    def __init__(self, scheme: str, name: str, answer: str, hint: str = "") -> None:
        subject = without_secrets(str(Reference(scheme, name)))
        super().__init__(subject, without_secrets(answer), without_secrets(hint))
