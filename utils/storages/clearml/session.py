"""ClearML's API, asked through its own SDK, without what the SDK does besides.

Neither Task nor InputModel is used: the first registers this machine with the server, the second
asks on for ever when nobody answers and turns every refusal into a line of its log.
"""

from dataclasses import dataclass
from typing import Any

import requests
from clearml.backend_api import Session
from clearml.backend_api.services import models
from clearml.backend_api.session.defs import ENV_OFFLINE_MODE
from clearml.backend_api.utils import get_http_session_with_retry

from utils.storages.clearml.errors import SCHEME, answered
from utils.storages.contract import StorageError
from utils.storages.refusals import without_secrets

# Of the SDK's 240: a build should not wait for a day.
RETRIES: dict[str, Any] = {
    "total": 3,
    "connect": 3,
    "read": 3,
    "redirect": 10,
    "status": 3,
    "backoff_factor": 0.2,
}
# Seconds to connect, and between two bytes.
TIMEOUT = (10, 60)
PACKAGE_TAG = "package"

_NO_MODEL = "the id is on the model's page in ClearML, next to its name"
_NO_ACCESS = "clearml-init writes the credentials of another account or workspace"
HINTS = {400: _NO_MODEL, 401: _NO_ACCESS, 403: _NO_ACCESS, 404: _NO_MODEL}


@dataclass(frozen=True)
class Model:
    """What the server knows of a model.

    Attributes:
        uri: where its weights are.
        package: whether they are a .zip that the SDK made of a folder.
        changed: when anything of it was last changed.
    """

    uri: str
    package: bool
    changed: str


@dataclass(frozen=True)
class Entry:
    """A file of a model.

    Attributes:
        name: path below the model's URI; of a URI that is one file, its name.
        size: bytes; None where the place does not say.
        mark: what is another when the content is; "" where nothing known is.
        url: where it is.
    """

    name: str
    size: int | None
    mark: str
    url: str


class _Session(Session):
    """Looks first whether the server answers: the SDK repeats a failed TLS handshake for ever."""

    def _do_refresh_token(self, old_token: str, exp: int | None = None) -> str:
        http_session().get(f"{self.host}/debug.ping", timeout=TIMEOUT)
        return super()._do_refresh_token(old_token, exp)


def http_session() -> requests.Session:
    """A session with the certificates that clearml.conf names, and no credentials."""
    return get_http_session_with_retry(**RETRIES)


def connect(name: str) -> Session:
    """Log in with what clearml.conf or the environment says.

    Raises:
        StorageError: not configured, refused, or nobody there.
    """
    if ENV_OFFLINE_MODE.get():
        raise StorageError(SCHEME, name, "clearml is told not to ask", "unset CLEARML_OFFLINE_MODE")
    with answered(name, "the API server"):
        return _Session(http_retries_config=dict(RETRIES))


def ask_model(session: Session, name: str, model_id: str) -> Model:
    """Ask for a model by its id.

    Raises:
        StorageError: no such model, no access, nothing uploaded, nobody there.
    """
    with answered(name, "the API server"):
        request = models.GetByIdRequest(model=model_id)
        result: Any = session.send(request)
        if result.meta.result_code == requests.codes.unauthorized:
            # The SDK has renewed the token by now, but has sent the old one once more.
            result = session.send(request)
    if result.meta.result_code != requests.codes.ok:
        said = without_secrets(str(result.meta.result_msg))
        hint = HINTS.get(result.meta.result_code, "the server's log may say more")
        raise StorageError(
            SCHEME, name, f"the API server answered {result.meta.result_code}: {said}", hint
        )
    found = result.response.model
    if not found.uri:
        raise StorageError(
            SCHEME, name, "has no weights", "OutputModel.update_weights_package uploads them"
        )
    return Model(found.uri, PACKAGE_TAG in (found.system_tags or []), str(found.last_update))
