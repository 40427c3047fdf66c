"""Where tests of the parts lie, for scripts/test.sh, which names these folders."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent

FOLDERS = {
    "storages": {"storages"},
    "server": {"server", "storages", "unit"},
    "architectures": {"architectures"},
    "optimum": {"server"},
    "image": {"image"},
    "arm64": {"image"},
    "reliability": {"reliability"},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that is marked for a part and lies elsewhere would never run."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        for part, folders in FOLDERS.items():
            if item.get_closest_marker(part) and folder not in folders:
                raise pytest.UsageError(f"{item.nodeid}: tests of {part} lie in {sorted(folders)}")
