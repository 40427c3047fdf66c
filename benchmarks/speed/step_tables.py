"""Where a request's time goes, from Triton's statistics and the client's clock."""

from benchmarks.report import markdown_table
from benchmarks.speed.columns import ABSENT
from benchmarks.speed.matrix import BASE_CLIENTS, WORKLOADS
from benchmarks.speed.outcome import Results, find

PARTS = {
    "queue, ms": "waiting",
    "compute_input, ms": "tokenising",
    "compute_infer, ms": "graph",
    "compute_output, ms": "scoring, response",
}

STEPS = ("text_preprocessing", "model_onnx", "post_processing")


def joined_table(stage: Results) -> str:
    """Mean milliseconds of a request to the product, by part."""
    rows = []
    for name, item in stage["contenders"].items():
        if item["group"] != "product":
            continue
        for clients in (1, BASE_CLIENTS):
            for workload in WORKLOADS:
                cell = find(stage, name, workload=workload, clients=clients)
                if cell and len(cell["steps"]) == 1:
                    rows.append([f"{item['precision']}, {workload}, {clients}", *_parts(cell)])
    header = ["ms of a request", *PARTS.values(), "HTTP, JSON, client", "whole", "texts a run"]
    return markdown_table(header, rows)


def separate_table(stage: Results) -> str:
    """Mean milliseconds of a request in each model of the separate steps; "" if not measured."""
    rows = []
    for name, item in stage["contenders"].items():
        cell = find(stage, name, workload="mixed", clients=BASE_CLIENTS)
        if item["group"] != "variant" or not cell:
            continue
        for step in sorted(cell["steps"], key=_place):
            parts = cell["steps"][step]
            figures = [f"{parts[part]:.2f}" for part in (*PARTS, "total, ms")]
            rows.append([f"{item['precision']}, {step}", *figures])
    header = ["ms of a request", "waiting", "input", "run", "output", "whole"]
    return markdown_table(header, rows) if rows else ""


def _place(step: str) -> int:
    """The ensemble, whatever its name, comes after its steps."""
    return STEPS.index(step) if step in STEPS else len(STEPS)


def _parts(cell: Results) -> list[str]:
    (parts,) = cell["steps"].values()
    mean = cell["mean, ms"]
    around = f"{mean - parts['total, ms']:.2f}" if mean else ABSENT
    whole = f"{mean:.2f}" if mean else ABSENT
    figures = [f"{parts[part]:.2f}" for part in PARTS]
    return [*figures, around, whole, f"{parts['texts a run']:.2f}"]
