"""Results as JSON, and the tables in the docs that are made of them."""

import json
import os
import platform
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")


def machine() -> dict[str, object]:
    """What the figures were measured on, as far as it matters to them."""
    model = next(
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    return {
        "date": date.today().isoformat(),
        "cpu": model,
        "cpus": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def write_results(name: str, results: dict[str, Any]) -> None:
    """Write results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine(), **results}, indent=2, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def replace_block(document: Path, name: str, text: str) -> None:
    """Put `text` between the markers `<!-- NAME -->` and `<!-- /NAME -->` of a document."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    content = document.read_text(encoding="utf-8")
    before, _, rest = content.partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{document}: no block {start} … {end}")
    document.write_text(f"{before}{start}\n{text}\n{end}{after}", encoding="utf-8")


def read_block(document: Path, name: str) -> str:
    """The text between the markers that `replace_block` writes.

    Raises:
        ValueError: the document has no such block.
    """
    found = re.search(
        rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", document.read_text("utf-8"), re.DOTALL
    )
    if found is None:
        raise ValueError(f"{document}: no block {name}")
    return found[1]
