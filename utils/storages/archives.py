"""Archives unpacked by us, because they come from strangers."""

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from utils.errors import UserError, first_line
from utils.storages.wanted import Wanted

MOST_FILES = 10_000
MOST_BYTES = 200 * 10**9
# Of unpacked to packed bytes; weights hardly shrink at all.
LARGEST_RATIO = 100
# Below this a ratio says nothing: a config.json shrinks well.
SMALLEST_SUSPECT = 10_000_000


@dataclass(frozen=True)
class Member:
    """An entry of an archive.

    Attributes:
        name: as the archive has it.
        size: bytes, unpacked.
        kind: file, folder, or what is refused.
        open: its content.
    """

    name: str
    size: int
    kind: str
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path, wanted: Wanted, subject: str) -> None:
    """Write the wanted files of a .zip, .tar, .tar.gz or .tgz below `folder`.

    Args:
        archive: its name says which it is.
        folder: an existing folder.
        wanted: which files.
        subject: what to call the archive in errors.

    Raises:
        UserError: not an archive; nothing wanted in it; a name that leads outside, a link, a
            device, too many files, too large, or a ratio over LARGEST_RATIO, whether wanted or not.
    """
    try:
        with _members(archive) as members:
            found = list(members)
            _check(archive, found, subject)
            files = {member.name: member for member in found if member.kind == "file"}
            for name in wanted.choose(list(files), subject):
                _write(files[name], folder / PurePosixPath(name))
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError) as error:
        raise UserError(
            archive.name, f"not an archive that can be read: {first_line(error)}"
        ) from error


def _check(archive: Path, members: list[Member], subject: str) -> None:
    if len(members) > MOST_FILES:
        raise UserError(subject, f"has more than {MOST_FILES} files")
    for member in members:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in path.parts[0]:
            raise UserError(subject, f"has a file outside of itself: {member.name!r}")
        if member.kind not in ("file", "folder"):
            raise UserError(subject, f"has a {member.kind}: {member.name!r}")
    total = sum(member.size for member in members)
    if total > MOST_BYTES:
        raise UserError(subject, f"unpacks to more than {MOST_BYTES // 10**9} GB")
    if total > SMALLEST_SUSPECT and total > LARGEST_RATIO * archive.stat().st_size:
        raise UserError(subject, f"unpacks to more than {LARGEST_RATIO} times its size")


def _write(member: Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
    # An archive may say one size and hold another.
    if target.stat().st_size != member.size:
        raise UserError(member.name, "has another size than its archive says")


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[Member]]:
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive) as file:
            yield (_zip_member(file, info) for info in file.infolist())
    else:
        with tarfile.open(archive) as file:
            yield (_tar_member(file, info) for info in file)


def _zip_member(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    mode = info.external_attr >> 16
    kind = "file"
    if info.is_dir():
        kind = "folder"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        kind = "link" if stat.S_ISLNK(mode) else "device"
    return Member(info.filename, info.file_size, kind, lambda: file.open(info))


def _tar_member(file: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    kind = "device"
    if info.isreg():
        kind = "file"
    elif info.isdir():
        kind = "folder"
    elif info.issym() or info.islnk():
        kind = "link"

    def content() -> IO[bytes]:
        opened = file.extractfile(info)
        if opened is None:
            raise tarfile.ReadError(info.name)
        return opened

    return Member(info.name, info.size, kind, content)
