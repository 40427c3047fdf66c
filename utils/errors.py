"""The one error that users see, and how commands end with it."""

import sys
from collections.abc import Callable
from pathlib import Path


class UserError(Exception):
    """A mistake or circumstance that the user can do something about.

    Printed as one line: `error: subject: problem (hint)`.
    """

    def __init__(self, subject: str | Path, problem: str, hint: str = "") -> None:
        line = f"{subject}: {problem}" + (f" ({hint})" if hint else "")
        super().__init__(" ".join(line.split()))


class UsageError(UserError):
    """Arguments that cannot be, alone or together; ends a command with 2 instead of 1."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, short enough for one line of our own."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def run_command(main: Callable[[], None]) -> None:
    """Run a command's main and exit: 0, 1 or 2 after a UserError, 130 after Ctrl-C."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except OSError as error:
        # A full disk, a read-only folder, a file taken away: the user's to mend, not ours to trace.
        line = f"{error.filename or 'system'}: {error.strerror or error}"
        print(f"error: {' '.join(line.split())}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
