"""A file behind an http(s) URL, fetched in ranges: the SDK begins again when a connection drops."""

from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import requests
import urllib3
from clearml.backend_api import Session
from clearml.storage.helper import _HttpDriver

from utils.storages.clearml.errors import SCHEME, answered
from utils.storages.clearml.session import TIMEOUT, Entry, http_session
from utils.storages.contract import StorageError
from utils.storages.refusals import server_of

BLOCK = 1 << 20
ATTEMPTS = 5
# Signed URLs are often good for GET alone.
NO_HEAD = (
    requests.codes.forbidden,
    requests.codes.method_not_allowed,
    requests.codes.not_implemented,
)


class HttpFile:
    """The one file at a URL, by the name of the model that it is of."""

    def __init__(self, session: Session, name: str, url: str) -> None:
        self._session = session
        self._http = http_session()
        self._name = name
        self._url = url
        self._what = f"the file server {server_of(url)}"

    def entries(self) -> list[Entry]:
        """Ask for all but the content.

        Raises:
            StorageError: not there, no access, nobody there.
        """
        if urlsplit(self._url).path.endswith("/"):
            hint = "OutputModel.update_weights_package makes one file of a folder"
            raise StorageError(SCHEME, self._name, "is a folder, which HTTP cannot list", hint)
        with answered(self._name, self._what):
            response = self._http.head(
                self._url, headers=self._headers(), timeout=TIMEOUT, allow_redirects=True
            )
            if response.status_code in NO_HEAD:
                response = self._get(0)
                response.close()
        self._check(response)
        return [self._entry(response)]

    def download(self, entry: Entry, target: Path) -> None:
        """Write the file, going on behind what `target` holds of it.

        Raises:
            StorageError: as `entries`, or it is another file by now, or the connection broke too
                often; what came stays.
        """
        for _ in range(ATTEMPTS):
            arrived = target.stat().st_size if target.exists() else 0
            if entry.size is not None and arrived == entry.size > 0:
                return
            try:
                self._receive(entry, target, arrived)
            except urllib3.exceptions.HTTPError:
                continue
            return
        raise StorageError(
            SCHEME,
            self._name,
            f"{self._what} broke off {ATTEMPTS} times",
            "another run goes on from there",
        )

    def _receive(self, entry: Entry, target: Path, arrived: int) -> None:
        with answered(self._name, self._what):
            response = self._get(arrived)
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                # `target` holds as much as there is or more, and so nothing to go on from.
                response.close()
                response = self._get(0)
        with response:
            self._check(response)
            came = self._entry(response)
            # A server may know the size only when it sends the file.
            if came.mark != entry.mark or entry.size not in (None, came.size):
                raise StorageError(
                    SCHEME, self._name, "was replaced while it was fetched", "try again"
                )
            goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {arrived}-")
            with target.open("ab" if goes_on else "wb") as file:
                # Not iter_content, which drops what a connection had brought before it broke.
                while block := response.raw.read1(BLOCK):
                    file.write(block)

    def _get(self, first: int) -> requests.Response:
        headers = self._headers()
        if first:
            headers["Range"] = f"bytes={first}-"
        return self._http.get(self._url, headers=headers, timeout=TIMEOUT, stream=True)

    def _headers(self) -> dict[str, str]:
        # ClearML's file server compresses on the fly where it may; ranges of that mean nothing.
        headers = {"Accept-Encoding": "identity"}
        if any(_is_below(self._url, host) for host in _HttpDriver.get_file_server_hosts()):
            self._session.add_auth_headers(headers)
        return headers

    def _check(self, response: requests.Response) -> None:
        if not response.ok:
            raise StorageError(
                SCHEME,
                self._name,
                f"{self._what} answered {response.status_code} {response.reason}",
                "are the weights still there, may this account read them?",
            )

    def _entry(self, response: requests.Response) -> Entry:
        said = response.headers
        size = said.get("Content-Range", "").rpartition("/")[2] or said.get("Content-Length", "")
        return Entry(
            unquote(PurePosixPath(urlsplit(self._url).path).name),
            int(size) if size.isdigit() else None,
            f"{said.get('ETag', '')} {said.get('Last-Modified', '')}".strip(),
            self._url,
        )


def _is_below(url: str, host: str) -> bool:
    asked, known = urlsplit(url), urlsplit(host)
    same = (asked.scheme, asked.netloc) == (known.scheme, known.netloc)
    return same and asked.path.startswith(f"{known.path.rstrip('/')}/")
