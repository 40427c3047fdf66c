"""Models on the Hugging Face Hub, or on the server that HF_ENDPOINT names."""

import os
from pathlib import Path, PurePosixPath

# Read at import. The library would fetch a list of agents to name one in its User-Agent, and warn
# of every retry with the whole address, which may hold a password.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_VERBOSITY", "error")

from huggingface_hub import HfApi, ModelInfo, constants, parse_hf_uri
from huggingface_hub.errors import HfUriError

from utils.storages.contract import RemoteFile, StorageError
from utils.storages.hub.errors import SCHEME, Asked, one_line
from utils.storages.hub.transfer import transfer


class HubStorage:
    """`user/name`, `user/name@revision`, either with `/folder` or `/file` behind it."""

    def __init__(self, name: str) -> None:
        """Take what stands behind `hf://`.

        Raises:
            StorageError: no name of a model.
        """
        try:
            uri = parse_hf_uri(f"{SCHEME}://{name}")
        except HfUriError as error:
            raise _no_name(name) from error
        if uri.type != "model":
            raise _no_name(name)
        self._path = uri.path_in_repo.strip("/")
        self._asked = Asked(name, uri.id, uri.revision or constants.DEFAULT_REVISION)
        self._listings: dict[str, dict[str, RemoteFile]] = {}

    def resolve(self) -> str:
        """The commit that the name's branch or tag is at.

        Raises:
            StorageError: nothing of that name, no access, no network.
        """
        commit = self._info(self._asked.revision).sha
        if commit is None:
            raise StorageError(SCHEME, self._asked.name, "the hub told no commit of it")
        return commit

    def files(self, revision: str) -> list[RemoteFile]:
        """All files of a commit, named from the folder that the name leads to.

        Raises:
            StorageError: as `resolve`, or the commit has nothing at that path.
        """
        return [RemoteFile(name, file.size) for name, file in self._listing(revision).items()]

    def download(self, revision: str, file: RemoteFile, target: Path) -> None:
        """Write one file to `target`, behind the bytes that are there already.

        Raises:
            StorageError: as `resolve`, or the transfer broke; what came stays.
        """
        path = self._listing(revision)[file.name].name if self._path else file.name
        transfer(self._asked, revision, path, file.size, target)

    def _info(self, revision: str, sizes: bool = False) -> ModelInfo:
        with one_line(self._asked):
            return HfApi(self._asked.endpoint).model_info(
                self._asked.repository,
                revision=revision,
                files_metadata=sizes,
                timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
            )

    def _listing(self, revision: str) -> dict[str, RemoteFile]:
        """Files as the repository names them, by their names below the path asked for."""
        if revision not in self._listings:
            found = {}
            for sibling in self._info(revision, sizes=True).siblings or ():
                name = _below(self._path, sibling.rfilename)
                if name:
                    found[name] = RemoteFile(sibling.rfilename, sibling.size)
            if self._path and not found:
                raise StorageError(
                    SCHEME, self._asked.name, f"has no folder or file {self._path!r} in {revision}"
                )
            self._listings[revision] = found
        return self._listings[revision]


def _below(path: str, file: str) -> str:
    """Name of a file from a folder, "" if it is not in there; a file is in itself."""
    if file == path:
        return PurePosixPath(file).name
    folder = f"{path}/" if path else ""
    return file.removeprefix(folder) if file.startswith(folder) else ""


def _no_name(name: str) -> StorageError:
    return StorageError(
        SCHEME, name, "no model can have this name", "user/name, user/name@revision/folder"
    )
