"""List the storages: python -m utils.storages [--json]."""

import argparse
import json

from rich.console import Console
from rich.table import Table

from utils.storages.table import STORAGES, Listed, listed


def print_table(rows: list[Listed]) -> None:
    """One row for each storage."""
    table = Table("storage", "example", "installed")
    for row in rows:
        table.add_row(row.scheme, row.example, row.installed or f"no: {row.install}")
    Console().print(table)


def main() -> None:
    """Print what is there, installed or not."""
    parser = argparse.ArgumentParser(prog="python -m utils.storages", description=__doc__)
    parser.add_argument("--json", action="store_true", help="for machines")
    rows = [*map(listed, STORAGES)]
    if parser.parse_args().json:
        print(json.dumps([row.__dict__ for row in rows], indent=2))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
