"""One file from the Hugging Face Hub, behind the bytes of it that are here.

Over plain HTTP: the library's own downloads begin again after an interruption, and its Xet
transfers keep a cache of their own.
"""

import re
import time
from pathlib import Path

import httpx2
from huggingface_hub import constants, hf_hub_url
from huggingface_hub.utils import (  # type: ignore[attr-defined] # documented, not in __all__
    build_hf_headers,
    hf_raise_for_status,
    http_stream_backoff,
)

from utils.errors import first_line
from utils.snapshot import file_digest
from utils.storages.contract import StorageError
from utils.storages.hub.errors import SCHEME, Asked, one_line

# Seconds between tries of a transfer that broke; after the last comes giving up. A try that brought
# bytes begins the list anew.
PAUSES: tuple[float, ...] = (1, 2, 4, 8)

SHA256 = re.compile(r"[0-9a-f]{64}")


def transfer(asked: Asked, revision: str, path: str, size: int | None, target: Path) -> None:
    """Write a file of a commit to `target`, which may hold its first bytes.

    Raises:
        StorageError: the hub refuses, or the transfer broke too often; what came stays.
    """
    pauses = iter(PAUSES)
    while True:
        arrived = _size(target)
        try:
            with one_line(asked, broken=httpx2.TransportError):
                _try(asked, revision, path, size, target)
                return
        except httpx2.TransportError as error:
            if _size(target) > arrived:
                pauses = iter(PAUSES)
            pause = next(pauses, None)
            if pause is None:
                raise StorageError(
                    SCHEME,
                    asked.name,
                    f"the hub cannot be reached any more, {_size(target)} bytes of {path} are here:"
                    f" {first_line(error)}",
                    "the same command goes on behind them",
                ) from error
            time.sleep(pause)


def _try(asked: Asked, revision: str, path: str, size: int | None, target: Path) -> None:
    """Fetch all that is missing, or raise a TransportError."""
    arrived = _size(target)
    if size is not None and arrived > size:
        target.unlink()
        arrived = 0
    if arrived and arrived == size:
        return
    # Ranges of compressed answers would be other bytes.
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if arrived:
        headers["Range"] = f"bytes={arrived}-"
    with http_stream_backoff(
        "GET",
        # Always the hub's own address: those that it redirects to are valid for minutes.
        hf_hub_url(asked.repository, path, revision=revision, endpoint=asked.endpoint),
        headers=headers,
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
        retry_on_exceptions=(),
    ) as response:
        hf_raise_for_status(response)
        # Not every server between here and there knows ranges.
        with target.open("ab" if response.status_code == 206 else "wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
                # There for the next try, even if this process is killed.
                file.flush()
    if size is not None and _size(target) < size:
        raise httpx2.ReadError("the answer ended early")
    _check(asked, path, response, target)


def _check(asked: Asked, path: str, response: httpx2.Response, target: Path) -> None:
    """Compare a large file with its digest, which the hub tells when it redirects."""
    for answer in (*response.history, response):
        digest = answer.headers.get(constants.HUGGINGFACE_HEADER_X_LINKED_ETAG, "").strip('"')
        if SHA256.fullmatch(digest) and file_digest(target) != digest:
            target.unlink()
            raise StorageError(
                SCHEME,
                asked.name,
                f"{path} came with another digest than announced",
                "what came is removed; the same command fetches it anew",
            )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
