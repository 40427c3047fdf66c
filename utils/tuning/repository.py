"""A rendered repository, and copies of it that have other settings."""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from tritonclient.grpc.model_config_pb2 import ModelConfig

from utils.artifacts import REPORT_FILE
from utils.describe_hardware import HARDWARE_FILE
from utils.errors import UserError, first_line
from utils.join_steps import PARTS, join
from utils.lint_repository import JOINED, lint, parse_config
from utils.targets.machine import Machine, missing
from utils.targets.profiles import PLAIN
from utils.tuning.config_text import changed_text
from utils.tuning.settings import Settings

GRAPH_CONFIG = Path(PARTS["graph"]) / "config.pbtxt"

MEASURED_SERVER = "embedded"


def graph_config(repository: Path) -> ModelConfig:
    """What the graph's model is configured as.

    Raises:
        UserError: it cannot be parsed.
    """
    return parse_config(repository / GRAPH_CONFIG)


def check_measurable(repository: Path, machine: Machine) -> None:
    """Refuse what would be measured on another server or machine than it is for.

    Raises:
        UserError: says what is lacking.
    """
    lint(repository)
    path = repository / HARDWARE_FILE
    if not path.is_file():
        return
    hardware = _read_json(path)
    server = hardware.get("server", MEASURED_SERVER)
    if server != MEASURED_SERVER:
        raise UserError(
            repository,
            f"is for --server {server}, and what is best for that cannot be measured on this"
            " project's own",
            "docs/tuning.md",
        )
    lacks = missing(machine, hardware.get("needs", {}))
    if lacks:
        raise UserError(
            repository, f"cannot be measured here: {lacks}", "tune it where it will run"
        )


def precision(repository: Path) -> str:
    """Of the graph, as hardware.json has it."""
    path = repository / HARDWARE_FILE
    return str(_read_json(path).get("precision", PLAIN)) if path.is_file() else PLAIN


def candidate(repository: Path, target: Path, settings: Settings) -> None:
    """A copy with other settings; files are links to the repository's where that can be.

    Raises:
        UserError: the configuration cannot be given these settings.
    """

    def joined(folder: str, names: list[str]) -> set[str]:
        return {JOINED} & set(names) if Path(folder).parent == repository else set()

    shutil.copytree(repository, target, copy_function=_link, ignore=joined)
    give(target, settings)


def give(repository: Path, settings: Settings) -> None:
    """Write settings into a repository, and join its steps anew.

    Raises:
        UserError: the configuration cannot be given these settings.
    """
    path = repository / GRAPH_CONFIG
    text = path.read_text(encoding="utf-8")
    _replace(path, changed_text(text, settings, path))
    join(repository)
    lint(repository)


def record(repository: Path, tuning: dict[str, Any]) -> None:
    """Write what was measured and chosen into report.json, if the repository has one.

    Raises:
        UserError: the file is damaged.
    """
    path = repository / REPORT_FILE
    if path.is_file():
        report = _read_json(path) | {"tuning": tuning}
        _replace(path, json.dumps(report, ensure_ascii=False, indent=2) + "\n")


def _replace(path: Path, text: str) -> None:
    """Write a file in one step; a file that is linked from elsewhere stays as it is there."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_text(text, encoding="utf-8")
        shutil.copymode(path, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _link(source: str, target: str) -> None:
    with suppress(OSError):
        # Another user's files, or another file system's, cannot be linked.
        os.link(Path(source).resolve(), target)
        return
    shutil.copy2(source, target)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(path, first_line(error), "render the repository again") from error
    return content
