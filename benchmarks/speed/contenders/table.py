"""Which contenders there are: a folder with a `contender.py` is one."""

from importlib import import_module
from pathlib import Path

from benchmarks.speed.contenders.contract import Contender

FOLDER = Path(__file__).parent


def contenders() -> list[Contender]:
    """All of them, by name."""
    names = sorted(path.parent.name for path in FOLDER.glob("*/contender.py"))
    modules = [import_module(f"benchmarks.speed.contenders.{name}.contender") for name in names]
    return [module.CONTENDER for module in modules]


def folder(contender: Contender) -> Path:
    """Where a contender's files lie."""
    return FOLDER / contender.name
