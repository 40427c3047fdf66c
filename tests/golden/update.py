#!/usr/bin/env python3
"""Render the template repository for each case and keep the configs as the expected ones.

`python tests/golden/update.py` rewrites tests/golden/expected/; look at the difference before it
is committed.
"""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = Path(__file__).with_name("expected")


@dataclass(frozen=True)
class Case:
    """A converted model and the arguments it is rendered with."""

    inputs: tuple[str, ...]
    classes: int
    function: str
    model_name: str
    max_batch_size: int


CASES = {
    "bert": Case(("input_ids", "token_type_ids", "attention_mask"), 3, "softmax", "ratings", 4),
    "distilbert": Case(("input_ids", "attention_mask"), 2, "sigmoid", "ensemble_model", 1),
}


def render(case: Case, folder: Path) -> Path:
    """Write what a conversion would, render it as make_triton_image.sh does, return the result."""
    from tests.unit.graphs import write_graph
    from tests.unit.settings import make_settings
    from utils.artifacts import GRAPH_FILE, write_settings

    artifacts, variables, repository = (folder / name for name in ("artifacts", "env", "models"))
    write_graph(artifacts / GRAPH_FILE, case.inputs, classes=case.classes)
    write_settings(artifacts, make_settings(classes=case.classes, function=case.function))
    _run(
        *(sys.executable, ROOT / "utils" / "template_variables.py", "--output", variables),
        *(artifacts, case.model_name, str(case.max_batch_size)),
    )
    _run(
        *(ROOT / "process_template.sh", "--variables", variables),
        *(ROOT / "model_repository", repository),
    )
    return repository


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


def configs(repository: Path) -> dict[str, str]:
    """Path inside the repository to text, of every config.pbtxt."""
    return {
        str(path.relative_to(repository)): path.read_text(encoding="utf-8")
        for path in sorted(repository.rglob("config.pbtxt"))
    }


def main() -> None:
    """Rewrite all expected configs."""
    shutil.rmtree(EXPECTED, ignore_errors=True)
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            for path, text in configs(render(case, Path(folder))).items():
                target = EXPECTED / name / path
                target.parent.mkdir(parents=True)
                target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
