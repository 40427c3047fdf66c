"""What clients' exceptions say, whatever classes they have, and what of it may be shown."""

import os
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

# By name: a class can only be imported from a client that is installed, and there are many.
UNREACHABLE = {
    "ClientConnectionError",
    "ConnectTimeout",
    "ConnectTimeoutError",
    "ConnectError",
    "ConnectionError",
    "EndpointConnectionError",
    "FSTimeoutError",
    "MaxRetryError",
    "ReadTimeoutError",
    "ServiceRequestError",
    "TimeoutError",
    "gaierror",
}
NO_CREDENTIALS = {
    "ClientAuthenticationError",
    "DefaultCredentialsError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "RefreshError",
}

# Names of environment variables whose values are nobody's business.
SECRET_VARIABLE = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CONNECTION_STRING)$")
SHORTEST_SECRET = 6
ADDRESS = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://)[^\s/?#'\"]*@")
# Signed addresses have their signature behind the question mark.
QUERY = re.compile(r"(?P<before>://[^\s?'\"]*\?)[^\s'\"]+")


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that led to it."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def is_unreachable(error: BaseException) -> bool:
    """Whether a server was not there, as opposed to one that said no."""
    return _is_any(error, UNREACHABLE)


def lacks_credentials(error: BaseException) -> bool:
    """Whether a client found no credentials, or none that can be used."""
    return _is_any(error, NO_CREDENTIALS)


def http_status(error: BaseException) -> int | None:
    """The status of an HTTP answer, if that is what an exception is about."""
    for cause in causes(error):
        response = getattr(cause, "response", None)
        for thing in (cause, response):
            for name in ("status", "status_code", "http_status", "code"):
                found = getattr(thing, name, None)
                if isinstance(found, int) and 400 <= found < 600:
                    return found
    return None


def without_secrets(text: str) -> str:
    """A text without passwords and signatures in addresses, and without what variables hide."""
    text = QUERY.sub(r"\g<before>…", ADDRESS.sub(r"\g<before>", text))
    for variable, value in os.environ.items():
        if len(value) >= SHORTEST_SECRET and SECRET_VARIABLE.search(variable):
            text = text.replace(value, "…")
    return text


def server_of(address: str) -> str:
    """The part of an address that can be shown: host and port."""
    return urlsplit(address).netloc.rpartition("@")[2] or address


def _is_any(error: BaseException, names: set[str]) -> bool:
    return any(known.__name__ in names for cause in causes(error) for known in type(cause).__mro__)
