"""What ClearML's SDK and its servers answer, in one line, with what to do about it."""

import contextlib
import sys
from collections.abc import Iterator

import requests
from clearml.backend_api.session.defs import MissingConfigError
from clearml.backend_api.session.session import LoginError
from clearml.backend_config import ConfigurationError

from utils.errors import first_line
from utils.storages.contract import StorageError
from utils.storages.refusals import causes, without_secrets

SCHEME = "clearml"
LOGIN = "clearml-init, or CLEARML_API_ACCESS_KEY and CLEARML_API_SECRET_KEY"


@contextlib.contextmanager
def answered(name: str, what: str) -> Iterator[None]:
    """Turn what the SDK and requests raise into one line, and keep the SDK off stdout.

    Args:
        name: of the model.
        what: is asked.
    """
    try:
        # The SDK prints, and its log goes to what is stdout when it first has something to say.
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (requests.RequestException, LoginError, ConfigurationError, ValueError) as error:
        raise StorageError(SCHEME, name, *_refusal(what, error)) from error


def _refusal(what: str, error: Exception) -> tuple[str, str]:
    """What was answered and what to do."""
    # LoginError is also what the SDK makes of a connection that breaks.
    network = [cause for cause in causes(error) if isinstance(cause, requests.RequestException)]
    if any(isinstance(cause, requests.exceptions.SSLError) for cause in network):
        hint = "api.verify_certificate in clearml.conf may name the file of a CA"
        return f"{what} cannot be reached: TLS fails", hint
    if network:
        # Not the text, in which there is the URL, which may be signed.
        answer = f"{what} cannot be reached: {type(network[0]).__name__}"
        return answer, "is it up, and is its address in clearml.conf or CLEARML_*_HOST right?"
    if isinstance(error, MissingConfigError):
        return "clearml is not configured", LOGIN
    if isinstance(error, LoginError):
        return without_secrets(first_line(error)), LOGIN
    return without_secrets(first_line(error)), "look at clearml.conf"
