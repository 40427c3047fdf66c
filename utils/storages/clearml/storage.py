"""Models of a ClearML server: clearml://<model id>, or clearml://<model id>/path/inside.

Archives come as they are: what unpacks them is archives.py, never clearml.
"""

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from clearml.storage import StorageManager

from utils.storages.clearml.errors import SCHEME, answered
from utils.storages.clearml.files import SdkFiles
from utils.storages.clearml.http import HttpFile
from utils.storages.clearml.session import Entry, Model, ask_model, connect
from utils.storages.contract import RemoteFile, StorageError
from utils.storages.reference import ARCHIVES

NAME = re.compile(r"(?P<id>[0-9A-Za-z_-]+)(?:/(?P<inside>.+?))?/*")


class ClearMLStorage:
    """Weights of models that a ClearML server knows, wherever they are."""

    def __init__(self, name: str) -> None:
        found = NAME.fullmatch(name)
        if found is None:
            raise StorageError(SCHEME, name, "is no model id", "clearml://<model id>")
        self._name = name
        self._id = found["id"]
        self._inside = found["inside"] or ""
        self._revision = ""
        self._place: HttpFile | SdkFiles | None = None
        self._entries: dict[str, Entry] = {}

    def resolve(self) -> str:
        """The id, and a digest of where the weights are and of what identifies their content."""
        session = connect(self._name)
        model = ask_model(session, self._name, self._id)
        uri = self._substituted(model.uri)
        web = urlsplit(uri).scheme in ("http", "https")
        self._place = HttpFile(session, self._name, uri) if web else SdkFiles(self._name, uri)
        found = self._place.entries()
        digest = hashlib.sha256(uri.encode())
        for entry in found:
            # Where nothing changes with the content, any change of the model may be one of it.
            digest.update(f"\0{entry.name}\0{entry.size}\0{entry.mark or model.changed}".encode())
        self._entries = self._named(found, model)
        self._revision = f"{self._id}-{digest.hexdigest()[:32]}"
        return self._revision

    def files(self, revision: str) -> list[RemoteFile]:
        """One archive, one file, or all files of a folder."""
        self._expect(revision)
        return [RemoteFile(name, entry.size) for name, entry in self._entries.items()]

    def download(self, revision: str, file: RemoteFile, target: Path) -> None:
        """Fetch a file; one behind http(s) is gone on with where `target` ends."""
        self._expect(revision)
        entry = self._entries.get(file.name)
        if entry is None or self._place is None:
            raise StorageError(SCHEME, self._name, f"has no file {file.name!r}")
        self._place.download(entry, target)

    def _expect(self, revision: str) -> None:
        if revision != self._revision and revision != self.resolve():
            raise StorageError(SCHEME, self._name, f"is {self._revision} by now, not {revision}")

    def _substituted(self, uri: str) -> str:
        """The URI after storage.path_substitution of clearml.conf."""
        with answered(self._name, "clearml.conf"):
            return str(StorageManager.storage_helper._canonize_url(uri))

    def _named(self, found: list[Entry], model: Model) -> dict[str, Entry]:
        """Entries by the names that they have for us, only those at or below the path inside."""
        if len(found) == 1 and model.package and not found[0].name.endswith(ARCHIVES):
            # A package is always a .zip; the SDK may put a framework's ending behind that.
            found = [replace(found[0], name=f"{found[0].name}.zip")]
        if not self._inside:
            return {entry.name: entry for entry in found}
        if len(found) == 1 and found[0].name.endswith(ARCHIVES):
            hint = f"clearml://{self._id} is all of it"
            raise StorageError(SCHEME, self._name, "is one archive: no path leads into it", hint)
        below = {
            entry.name.removeprefix(f"{self._inside}/"): entry
            for entry in found
            if entry.name.startswith(f"{self._inside}/")
        }
        exact = {Path(entry.name).name: entry for entry in found if entry.name == self._inside}
        if not below and not exact:
            raise StorageError(SCHEME, self._name, f"has nothing at {self._inside}")
        return below or exact
