"""Modules of a folder, for whoever imports them there and for nobody else."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Triton loads models in several threads, but there is one sys.path.
_importing = threading.RLock()


@contextmanager
def modules_of(folder: Path) -> Iterator[None]:
    """The folder's modules can be imported, and are forgotten afterwards.

    Modules elsewhere may have the same names: those that were imported before are there again
    afterwards. Whoever imported the folder's has them still.
    """
    with _importing:
        names = [path.stem for path in folder.glob("*.py")]
        others = {name: sys.modules.pop(name) for name in names if name in sys.modules}
        sys.path.insert(0, str(folder))
        try:
            yield
        finally:
            sys.path.remove(str(folder))
            for name in names:
                sys.modules.pop(name, None)
            sys.modules.update(others)
