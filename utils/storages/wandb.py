"""Artifacts of Weights & Biases."""

import os
import re
import tempfile
from pathlib import Path
from typing import Any

from utils.errors import first_line
from utils.storages.contract import RemoteFile, StorageError
from utils.storages.refusals import causes, http_status, is_unreachable, server_of
from utils.storages.refusing import DENIED, Refusing

# Read when wandb is imported or used: it is to say nothing of its own, to the user or its makers.
for _variable, _value in {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}.items():
    os.environ.setdefault(_variable, _value)

import wandb
from wandb.errors import AuthenticationError
from wandb.sdk.lib import wbauth
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

NAME = re.compile(r"[^/:]+/[^/:]+/[^/:]+(:[^/:]+)?")
LOGIN = "wandb login, or WANDB_API_KEY"

# Seconds for an answer; wandb's own is 19, and it asks more than once.
TIMEOUT = 15


class WandbStorage(Refusing):
    """An artifact: entity/project/name:alias or :version; :latest if there is neither."""

    scheme = "wandb"
    login = LOGIN

    def __init__(self, name: str) -> None:
        """See `Storage`."""
        super().__init__(name)
        if not NAME.fullmatch(name):
            raise self.refused("is no name of an artifact", "wandb://entity/project/name:alias")
        self._artifact: Any = None
        self._revision = ""

    def resolve(self) -> str:
        """The version and the digest of its content."""
        with self.refusals():
            # Asked for here: wandb.Api would ask the user.
            if not wbauth.authenticate_session(host=_server(), source=__name__, prompt=False):
                raise self.refused("no credentials", LOGIN)
            name = self._name if ":" in self._name else f"{self._name}:latest"
            self._artifact = wandb.Api(timeout=TIMEOUT).artifact(name)
        self._revision = f"{self._artifact.version}-{self._artifact.digest}"
        return self._revision

    def files(self, revision: str) -> list[RemoteFile]:
        """See `Storage`."""
        with self.refusals():
            entries = self._of(revision).manifest.entries
        return [RemoteFile(name, entries[name].size) for name in sorted(entries)]

    def download(self, revision: str, file: RemoteFile, target: Path) -> None:
        """Fetch all of a file again: wandb's client goes on with nothing."""
        with tempfile.TemporaryDirectory(prefix=".wandb-", dir=target.parent) as draft:
            with self.refusals():
                entry = self._of(revision).get_entry(file.name)
                # A reference may lead anywhere, to files of this machine too.
                if entry.ref is not None:
                    raise self.refused(f"has {file.name} elsewhere", f"fetch it from {entry.ref}")
                came = entry.download(root=draft, skip_cache=True)
            Path(came).replace(target)

    def _of(self, revision: str) -> Any:
        if (self._revision or self.resolve()) != revision:
            raise self.changed()
        return self._artifact

    def refusal(self, error: BaseException) -> StorageError:
        """See `Refusing`."""
        said, status, server = first_line(error), http_status(error), server_of(_server())
        silent = any(
            isinstance(cause, WandbApiFailedError) and not status for cause in causes(error)
        )
        if silent or is_unreachable(error):
            return self.refused(f"{server} cannot be reached", "is WANDB_BASE_URL right?")
        if status in DENIED or isinstance(error, AuthenticationError):
            return self.refused(f"no access to {server}: {said}", LOGIN)
        return self.refused(f"{server} answered: {said}")


def _server() -> str:
    return str(wandb.setup().settings.base_url)
