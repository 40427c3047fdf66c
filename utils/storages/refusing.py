"""What storages have in common when a service says no."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import ClassVar

from utils.errors import first_line
from utils.storages.contract import StorageError
from utils.storages.refusals import http_status, is_unreachable, lacks_credentials

DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class Refusing:
    """A storage that turns what its client raises into one line.

    Attributes:
        scheme: of references.
        login: what to do without credentials.
    """

    scheme: ClassVar[str]
    login: ClassVar[str] = ""

    def __init__(self, name: str) -> None:
        """See `Storage`."""
        self._name = name

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Turn whatever a client raises into the one line that users see."""
        try:
            yield
        except StorageError:
            raise
        except Exception as error:
            raise self.refusal(error) from error

    def refusal(self, error: BaseException) -> StorageError:
        """What a client's exception comes to."""
        status, said = http_status(error), first_line(error)
        if is_unreachable(error):
            return self.refused(f"cannot be reached: {said}", "is the network there?")
        if lacks_credentials(error):
            return self.refused(f"no credentials: {said}", self.login)
        if status in DENIED or isinstance(error, PermissionError):
            return self.refused(f"no access: {said}", self.login)
        if status == HTTPStatus.PRECONDITION_FAILED:
            return self.changed()
        missing = status is None and isinstance(error, FileNotFoundError)
        if missing or status == HTTPStatus.NOT_FOUND:
            return self.absent()
        return self.refused(f"answered {said}")

    def refused(self, answer: str, hint: str = "") -> StorageError:
        """The error with the name in it."""
        return StorageError(self.scheme, self._name, answer, hint)

    def absent(self) -> StorageError:
        """The error for a name of nothing."""
        return self.refused("there is nothing of that name")

    def changed(self) -> StorageError:
        """The error for content that is not the one that was asked for."""
        return self.refused("changed while it was fetched", "run the command again")
