"""From a reference to a folder on this machine."""

from dataclasses import dataclass
from pathlib import Path

from utils.errors import UserError
from utils.storages.archives import unpack
from utils.storages.cache import Cache, StoodFor
from utils.storages.contract import RemoteFile, Storage
from utils.storages.progress import Show, watched
from utils.storages.reference import ARCHIVES, LOCAL, Reference, is_path
from utils.storages.refusals import without_secrets
from utils.storages.table import storage_class
from utils.storages.wanted import Wanted


@dataclass(frozen=True)
class Obtained:
    """What a reference led to.

    Attributes:
        folder: where its files are; not to be written to.
        revision: immutable id of what it stood for; "" for a folder of the user's.
    """

    folder: Path
    revision: str


def obtain(
    reference: Reference, wanted: Wanted, cache: Cache, offline: bool, show: Show | None = None
) -> Obtained:
    """Fetch the wanted files of a reference, unless they are here.

    Args:
        reference: where the thing lives.
        wanted: which thing, which files.
        cache: where fetched files are kept.
        offline: take what is in the cache, ask nobody.
        show: told of bytes so far and bytes in all while files come.

    Raises:
        UserError: nothing there, nothing in the cache, or what came is not what was wanted.
    """
    if is_path(reference):
        return Obtained(Path(reference.name), "")
    key = str(reference)
    subject = without_secrets(key)
    # What is on this machine is there offline too.
    asks = reference.scheme == LOCAL or not offline
    storage = storage_class(reference.scheme)(reference.name) if asks else None
    files = _ask(storage, key, cache) if storage else []
    stood_for = cache.last(key)
    # By names, so that an archive with both model and tokenizer is fetched once.
    names = wanted.choose(stood_for.names, subject) if stood_for else []
    ingredients = (key, stood_for.revision if stood_for else "", *names)
    if stood_for is None or not (storage or cache.has_snapshot(ingredients)):
        raise UserError(subject, "is not in the cache", "without --offline it would be fetched")

    def fetch(folder: Path) -> None:
        chosen = [file for file in files if file.name in names]
        with watched(folder, sum(file.size or 0 for file in chosen), show):
            for file in chosen:
                if storage:
                    _download(storage, stood_for.revision, file, folder, subject)

    folder = cache.snapshot(ingredients, fetch)
    archive = _archive(folder)
    if archive:
        folder = cache.snapshot(
            (*ingredients, *wanted.patterns),
            lambda target: unpack(archive, target, wanted, subject),
        )
    return Obtained(wanted.root(folder, subject), stood_for.revision)


def _ask(storage: Storage, key: str, cache: Cache) -> list[RemoteFile]:
    revision = storage.resolve()
    files = storage.files(revision)
    cache.remember(key, StoodFor(revision, [file.name for file in files]))
    return files


def _download(
    storage: Storage, revision: str, file: RemoteFile, folder: Path, subject: str
) -> None:
    target = folder / file.name
    if folder.resolve() not in target.resolve().parents:
        raise UserError(subject, f"has a file outside of itself: {file.name!r}")
    if file.size is not None and target.is_file() and target.stat().st_size == file.size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    storage.download(revision, file, target)
    if file.size is not None and target.stat().st_size != file.size:
        target.unlink()
        raise UserError(subject, f"{file.name} came with another size than announced")


def _archive(folder: Path) -> Path | None:
    """The one file of a folder, if it is an archive."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return files[0] if len(files) == 1 and files[0].name.endswith(ARCHIVES) else None
