#!/usr/bin/env python3
"""Render the template repository for each case and keep the configs as the expected ones.

`python tests/golden/update.py` rewrites tests/golden/expected/; look at the difference before it
is committed.
"""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = Path(__file__).with_name("expected")


@dataclass(frozen=True)
class Case:
    """A converted model and the arguments it is rendered with.

    Attributes:
        inputs: names of the graph's inputs.
        classes: number of classes.
        model_name: name of the ensemble.
        max_batch_size: most texts in one request.
        behaviour: what the model's Behaviour has otherwise than the tests' usual one.
        hardware: profile.
        precision: in which the graph computes.
        server: by which it is served.
        release: of that server.
    """

    inputs: tuple[str, ...]
    classes: int
    model_name: str
    max_batch_size: int
    behaviour: dict[str, object] = field(default_factory=dict)
    hardware: str = "cpu"
    precision: str = "fp32"
    server: str = "embedded"
    release: str = ""


# What belongs to the model and what tells its labels.
LEFT_OUT = ("id2label.json", "openapi.json")

BERT = ("input_ids", "token_type_ids", "attention_mask")
DISTILBERT = ("input_ids", "attention_mask")
MULTI_LABEL = {"problem_type": "multi_label_classification", "function": "sigmoid"}
WINDOWS = {"long_text": "window", "max_windows": 12}

CASES = {
    "bert": Case(BERT, 3, "ratings", 4),
    "distilbert": Case(DISTILBERT, 2, "ensemble_model", 1, {"function": "sigmoid", "top_k": 2}),
    "multi_label": Case(DISTILBERT, 5, "tags", 8, {**MULTI_LABEL, "top_k": 5}),
    "pairs": Case(BERT, 3, "entailment", 4, {"pairs": True, "top_k": 1}),
    "regression": Case(
        DISTILBERT,
        1,
        "stars",
        16,
        {"problem_type": "regression", "function": "none", "top_k": 1, "long_text": "head-tail"},
    ),
    "windows": Case(BERT, 3, "documents", 4, WINDOWS),
    "cpu_int8": Case(DISTILBERT, 3, "small", 4, precision="int8"),
    "openvino_fp32": Case(DISTILBERT, 3, "intel", 4, hardware="openvino"),
    "openvino_bf16": Case(BERT, 3, "intel", 4, hardware="openvino", precision="bf16"),
    "cuda_fp16": Case(BERT, 3, "fast", 32, hardware="cuda", precision="fp16"),
    "cuda_fp32": Case(
        DISTILBERT, 3, "exact", 32, hardware="cuda", server="ngc-slim", release="26.08"
    ),
    "tensorrt": Case(BERT, 3, "engines", 8, {}, "tensorrt", "fp16", server="ngc", release="26.08"),
    "tensorrt_windows": Case(
        DISTILBERT, 3, "documents", 2, WINDOWS, "tensorrt", server="ngc", release="26.07"
    ),
}


def render(case: Case, folder: Path) -> Path:
    """Write what a conversion would, render it as make_triton_image.sh does, return the result."""
    from tests.in_process import call
    from tests.unit.graphs import write_graph, write_warmup
    from tests.unit.reports import make_behaviour, make_precision, make_report
    from utils import describe_api, describe_hardware, join_steps, template_variables
    from utils.artifacts import GRAPH_FILE, LABELS_FILE, WARMUP_FOLDER, write_report
    from utils.labels import dump_labels

    artifacts, variables, repository = (folder / name for name in ("artifacts", "env", "models"))
    behaviour = make_behaviour(**case.behaviour)
    dims = (
        ["batch", "windows", "tokens"] if behaviour.long_text == "window" else ["batch", "tokens"]
    )
    write_graph(
        artifacts / GRAPH_FILE,
        case.inputs,
        classes=case.classes,
        shapes=dict.fromkeys(case.inputs, dims),
    )
    write_warmup(artifacts / WARMUP_FOLDER, case.inputs)
    precision = None if case.precision == "fp32" else make_precision(case.precision)
    write_report(
        artifacts, make_report(classes=case.classes, behaviour=behaviour, precision=precision)
    )
    call(
        template_variables.main,
        *("--output", variables, "--hardware", case.hardware, "--release", case.release),
        *(artifacts, case.model_name, str(case.max_batch_size)),
    )
    subprocess.run(
        [
            *(ROOT / "process_template.sh", "--variables", variables),
            *(ROOT / "model_repository", repository),
        ],
        check=True,
    )
    call(
        describe_hardware.main,
        *("--hardware", case.hardware, "--server", case.server, artifacts, repository),
    )
    call(join_steps.main, repository)
    labels = dump_labels({number: f"label {number}" for number in range(case.classes)})
    (repository / "post_processing" / "1" / LABELS_FILE).write_text(labels, encoding="utf-8")
    call(describe_api.main, repository)
    return repository


def written(repository: Path) -> dict[str, str]:
    """Path inside the repository to text, of every configuration and description.

    Without openapi.json: what that has of a model is in tests/unit/test_describe_api.py.
    """
    return {
        str(path.relative_to(repository)): path.read_text(encoding="utf-8")
        for path in sorted([*repository.rglob("*.pbtxt"), *repository.rglob("*.json")])
        if "warmup" not in path.parts and path.name not in LEFT_OUT
    }


def main() -> None:
    """Rewrite all that is expected."""
    shutil.rmtree(EXPECTED, ignore_errors=True)
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            for path, text in written(render(case, Path(folder))).items():
                target = EXPECTED / name / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
