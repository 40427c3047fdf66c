"""Weights that are not behind http(s): what the SDK's StorageManager reads, a file or a folder."""

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clearml.storage import StorageManager

from utils.storages.clearml.errors import SCHEME, answered
from utils.storages.clearml.session import Entry
from utils.storages.contract import StorageError
from utils.storages.refusals import server_of

# What the clients of buckets call the things that change with the content.
MARKS = ("e_tag", "etag", "generation", "md5_hash", "last_modified", "updated")


class SdkFiles:
    """The files at a URI, by the name of the model that they are of."""

    def __init__(self, name: str, uri: str) -> None:
        self._name = name
        self._uri = uri.rstrip("/")
        scheme = urlsplit(uri).scheme
        self._place = uri if scheme in ("", "file") else f"{scheme}://{server_of(uri)}"

    def entries(self) -> list[Entry]:
        """All files.

        Raises:
            StorageError: nothing there, or no access.
        """
        with answered(self._name, self._place):
            local = self._on_this_machine()
            found = _local_entries(local) if local else self._remote_entries()
        if not found:
            raise self._error("has nothing there that clearml can list")
        return found

    def download(self, entry: Entry, target: Path) -> None:
        """Write one file.

        Raises:
            StorageError: it did not come; clearml's log has said why.
        """
        if not urlsplit(entry.url).scheme:
            shutil.copyfile(entry.url, target)
            return
        draft = target.with_name(f".clearml.{target.name}")
        try:
            with answered(self._name, self._place):
                # Not get_local_copy: its cache goes by URL, and what is behind one may change.
                came = StorageManager.download_file(
                    entry.url, str(draft), overwrite=True, skip_zero_size_check=True
                )
            if came is None:
                raise self._error(f"did not give {entry.name}")
            Path(came).replace(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _helper(self) -> Any:
        helpers: Any = StorageManager.storage_helper
        helper = helpers.get(self._uri)
        if helper is None:
            raise self._error("cannot be opened by clearml")
        return helper

    def _on_this_machine(self) -> Path | None:
        try:
            path = self._helper().get_driver_direct_access(self._uri)
        except ValueError as error:
            raise self._error("is not on this machine") from error
        return Path(path) if path else None

    def _remote_entries(self) -> list[Entry]:
        helper = self._helper()
        base = helper.base_url.rstrip("/")
        root = self._uri.removeprefix(base).lstrip("/")
        entries = []
        listing: list[Any] = StorageManager.list(self._uri, with_metadata=True) or []
        for listed in listing:
            name = listed["name"]
            # A listing by prefix has bert-large/x under bert, too.
            if name.endswith("/") or not f"{name}/".startswith(f"{root}/"):
                continue
            url = f"{base}/{name}"
            known = helper.get_object(url)
            marks = (str(getattr(known, mark, None) or "") for mark in MARKS)
            path = name.removeprefix(f"{root}/") if name != root else Path(name).name
            entries.append(Entry(path, listed["size"], " ".join(filter(None, marks)), url))
        return entries

    def _error(self, answer: str) -> StorageError:
        hint = "output_uri uploads weights; keys and clients of buckets are clearml.conf's"
        return StorageError(SCHEME, self._name, f"{self._place} {answer}", hint)


def _local_entries(path: Path) -> list[Entry]:
    base = path.parent if path.is_file() else path
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return [_local_entry(file, base) for file in files if file.is_file()]


def _local_entry(file: Path, base: Path) -> Entry:
    told = file.stat()
    # Copies can keep the time of what they are copied from, but not the second one.
    mark = f"{told.st_mtime_ns} {told.st_ctime_ns}"
    return Entry(file.relative_to(base).as_posix(), told.st_size, mark, str(file))
