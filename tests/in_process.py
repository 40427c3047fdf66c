"""Commands of the repository inside the tests' own process, where torch is loaded already."""

import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock


def call(main: Callable[[], None], *arguments: str | Path) -> None:
    """Run a command's main with a command line; its UserError is the caller's."""
    with mock.patch.object(sys, "argv", ["command", *map(str, arguments)]):
        main()
