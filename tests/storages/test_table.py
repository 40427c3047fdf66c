"""utils/storages/table.py: the rows agree with the modules and the pinned packages."""

import re
from pathlib import Path

import pytest

from utils.errors import UserError
from utils.storages import table
from utils.storages.table import STORAGES, listed, storage_class

REQUIREMENTS = Path(table.__file__).with_name("requirements")


def pinned(extra: str) -> dict[str, str]:
    """Package to version of an extra."""
    lines = (REQUIREMENTS / f"{extra}.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines)


@pytest.mark.parametrize("scheme", STORAGES)
def test_a_row_leads_to_a_class_with_the_methods_of_the_contract(scheme: str) -> None:
    found = storage_class(scheme)
    assert all(callable(getattr(found, name)) for name in ("resolve", "files", "download"))


@pytest.mark.parametrize("scheme", [name for name, row in STORAGES.items() if row.extra])
def test_the_packages_of_an_extra_are_pinned_in_its_file(scheme: str) -> None:
    row = STORAGES[scheme]
    assert set(row.packages) == set(pinned(row.extra))


@pytest.mark.parametrize("scheme", [name for name, row in STORAGES.items() if row.extra])
def test_a_client_that_is_not_installed_is_told_with_the_command_that_installs_it(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "installed_version", lambda _: None)
    with pytest.raises(UserError) as caught:
        storage_class(scheme)
    assert re.fullmatch(
        rf"{scheme}://: needs .+ \(make setup-storage NAME={STORAGES[scheme].extra}\)",
        str(caught.value),
    )
    assert listed(scheme).installed == ""
