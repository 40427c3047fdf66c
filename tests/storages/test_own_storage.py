"""The storage that docs/storages.md shows keeps the contract, and is found by its entry point."""

import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.storages.contract import CONTENT, StorageContract
from utils.errors import UserError
from utils.storages import table

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "storages.md"


def example() -> str:
    """The code of the document's storage."""
    found = re.search(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert found
    return found[1]


def test_the_example_is_under_40_lines() -> None:
    assert len(example().splitlines()) < 40


class TestShelf(StorageContract):
    """A storage from another package."""

    scheme = "shelf"

    @pytest.fixture(autouse=True)
    def shelf(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Two places on a shelf, one of them empty, and a package that knows it."""
        module = ModuleType("shelf")
        exec(compile(example(), "docs/storages.md", "exec"), vars(module))  # noqa: S102
        folder = tmp_path / "shelf"
        vars(module)["SHELF"] = folder
        for name, content in CONTENT.items():
            (folder / "ours" / "1" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "ours" / "1" / name).write_bytes(content)
        monkeypatch.setitem(sys.modules, "shelf", module)
        point = EntryPoint("shelf", "shelf:ShelfStorage", table.ENTRY_POINTS)

        def entry_points(**selected: Any) -> list[EntryPoint]:
            assert selected["group"] == table.ENTRY_POINTS
            return [point] if selected.get("name", "shelf") == "shelf" else []

        monkeypatch.setattr(table, "entry_points", entry_points)
        return folder

    @pytest.fixture
    def name(self) -> str:
        return "ours/1"

    @pytest.fixture
    def absent_name(self) -> str:
        return "ours/2"

    @pytest.fixture
    def changed(self, shelf: Path) -> AbstractContextManager[None]:
        @contextmanager
        def change() -> Iterator[None]:
            (shelf / "ours" / "1" / "config.json").write_bytes(b'{"model_type": "roberta"}')
            yield

        return change()

    @pytest.fixture
    def unreachable(self, shelf: Path) -> AbstractContextManager[None]:
        @contextmanager
        def unmount() -> Iterator[None]:
            shelf.rename(shelf.with_name("away"))
            yield
            shelf.with_name("away").rename(shelf)

        return unmount()

    def test_an_unknown_scheme_is_refused_with_the_known_ones(self) -> None:
        with pytest.raises(UserError, match=r"nowhere://: is no known storage.*hf.*shelf"):
            table.storage_class("nowhere")
