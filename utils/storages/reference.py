"""References: where a model, a tokenizer or a label file lives."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from utils.errors import UserError

SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<name>.+)", re.DOTALL)

# Scheme of what is on this machine.
LOCAL = "local"

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True)
class Reference:
    """A scheme and what it means by a name.

    Attributes:
        scheme: as in the table of storages.
        name: what stands behind `scheme://`, or a path for LOCAL.
    """

    scheme: str
    name: str

    def __str__(self) -> str:
        """As a user would write it."""
        return self.name if self.scheme == LOCAL else f"{self.scheme}://{self.name}"


def parse_reference(text: str, where: str | None = None) -> Reference:
    """Read a path, a URI, or, with `where`, a name of that scheme.

    Raises:
        UserError: a reference with a password in it, or one that contradicts `where`.
    """
    found = SCHEME.fullmatch(text)
    if found is None:
        return Reference(where or LOCAL, text)
    scheme, name = found["scheme"], found["name"]
    if where not in (None, scheme):
        raise UserError(text, f"is not of the storage {where}")
    if "@" in urlsplit(f"//{name}").netloc and scheme in ("http", "https", "s3", "ftp"):
        raise UserError(
            f"{scheme}://…", "has credentials in it", "use the client's environment or files"
        )
    return Reference(scheme, name)


def is_path(reference: Reference) -> bool:
    """Whether nothing needs to be fetched: a folder or a file of the user's that is no archive."""
    return reference.scheme == LOCAL and not reference.name.endswith(ARCHIVES)
