"""What the Hugging Face Hub answers, in one line, with what to do about it."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    OIDCError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from utils.errors import first_line
from utils.storages.contract import StorageError

SCHEME = "hf"
LOGIN = "hf auth login, or HF_TOKEN"


@dataclass(frozen=True)
class Asked:
    """What is asked for.

    Attributes:
        name: as the user wrote it.
        repository: user/name.
        revision: branch, tag or commit.
    """

    name: str
    repository: str
    revision: str

    @property
    def endpoint(self) -> str:
        """Address of the hub; the library's constant is what it was at import."""
        told = os.environ.get("HF_ENDPOINT") or constants.HUGGINGFACE_CO_URL_HOME
        return told.rstrip("/")

    @property
    def host(self) -> str:
        """The hub's host, without what else may stand in its address."""
        return urlsplit(self.endpoint).hostname or "HF_ENDPOINT"

    @property
    def page(self) -> str:
        """Address of the repository's page, likewise."""
        parts = urlsplit(self.endpoint)
        netloc = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{netloc}{parts.path}/{self.repository}"


@contextlib.contextmanager
def one_line(asked: Asked, broken: type[Exception] | tuple[()] = ()) -> Iterator[None]:
    """Turn what the library raises into a StorageError, save for the errors in `broken`.

    Exceptions are quoted only where neither a token nor a signed address can be in them.
    """

    def told(answer: str, hint: str) -> StorageError:
        return StorageError(SCHEME, asked.name, answer, hint)

    try:
        yield
    except OfflineModeIsEnabled as error:
        raise told("HF_HUB_OFFLINE forbids to reach the hub", "unset it") from error
    except HfHubHTTPError as error:
        raise told(*_refusal(asked, error)) from error
    except (httpx2.LocalProtocolError, UnicodeEncodeError) as error:
        raise told("the token has characters that no token has", LOGIN) from error
    except OIDCError as error:
        raise told("HF_OIDC_RESOURCE is set and no token comes of it", "unset it") from error
    except broken:
        raise
    except httpx2.TransportError as error:
        raise told(
            f"cannot reach {asked.host}: {first_line(error)}", "check the network and HF_ENDPOINT"
        ) from error
    except (httpx2.HTTPError, httpx2.InvalidURL, KeyError, TypeError, ValueError) as error:
        raise told(f"{asked.host} does not answer like a hub", "check HF_ENDPOINT") from error


def _refusal(asked: Asked, error: HfHubHTTPError) -> tuple[str, str]:
    """What was answered and what to do."""
    status = error.response.status_code
    said = _said(error)
    if isinstance(error, GatedRepoError):
        hint = f"ask for access at {asked.page}"
        if status == 401:
            hint += f", then {LOGIN}"
        return f"is gated ({status}): {said}", hint
    if isinstance(error, RevisionNotFoundError):
        return f"the repository has no revision {asked.revision!r}", "a branch, a tag or a commit"
    if isinstance(error, EntryNotFoundError):
        return f"the repository lacks a file ({status}): {said}", f"see {asked.page}"
    if status == 401 and "credentials" in said:
        return f"the token was refused ({status}): {said}", LOGIN
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
        return (
            f"no such model, or one that is private ({status}): {said}",
            f"check the name; if it is private, {LOGIN}",
        )
    if status == 403:
        return f"access was refused ({status}): {said}", "a token that may read it"
    if status == 429:
        return f"too many requests ({status}): {said}", f"wait, or {LOGIN}"
    return f"{asked.host} answered {status}: {said}", "try again later"


def _said(error: HfHubHTTPError) -> str:
    """The hub's own words; not bodies, in which servers that store files repeat signatures."""
    response = error.response
    said = str(response.headers.get("X-Error-Message") or response.reason_phrase)
    token = response.request.headers.get("authorization", "").partition(" ")[2]
    return (said.replace(token, "…") if token else said)[:300]
