"""What can be asked over HTTP: the product, at each precision, and its peers."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS
from benchmarks.speed.contenders.contract import Contender
from benchmarks.speed.contenders.environments import environment, size_mb, versions
from benchmarks.speed.contenders.table import contenders, folder
from utils.free_ports import free_ports
from utils.load.requests import infer_request, post

ROOT = Path(__file__).resolve().parents[2]

MODEL_NAME = "reviews"

# What a user of a classifier wants; a request without names gets all five.
OUTPUTS = ("predicts", "scores")

# benchmarks.imdb sets it for its own training.
NOT_INHERITED = ("OMP_WAIT_POLICY",)


@dataclass(frozen=True)
class Service:
    """A way to serve a model.

    Attributes:
        name: in the results.
        title: in tables.
        group: product, variant (the product, served another way) or peer.
        precision: of the graph.
        command: from a port to the command that serves on it until SIGTERM.
        ready_path: answers 200 once texts are answered.
        message: texts to a whole HTTP request.
        label: the first text's label in a reply, from its parsed JSON.
        repository: rendered, of the product.
        versions: of its packages.
        disk_mb: its size (10^6 bytes): of the product the image without the model, of a peer its
            Python packages.
        environment: variables of the process, beside the inherited.
        prepare: a command to run once before the first start, empty for none.
    """

    name: str
    title: str
    group: str
    precision: str
    command: Callable[[int], list[str]]
    ready_path: str
    message: Callable[[Sequence[str]], bytes]
    label: Callable[[Any], str]
    repository: Path | None = None
    versions: dict[str, str] = field(default_factory=dict)
    disk_mb: float = 0.0
    environment: dict[str, str] = field(default_factory=dict)
    prepare: tuple[str, ...] = ()


def ask(texts: Sequence[str], outputs: Sequence[str] = OUTPUTS) -> bytes:
    """A request of the product for texts and the outputs that are wanted, all for none."""
    return infer_request(MODEL_NAME, {"text_input": texts}, outputs)


def predicted(reply: Any) -> str:
    """The label of the first text in a reply of the V2 protocol."""
    (values,) = (item["data"] for item in reply["outputs"] if item["name"] == "predicts")
    return str(values[0])


def product(repository: Path, precision: str, separate_steps: bool = False) -> Service:
    """This project's server of a rendered repository.

    Args:
        repository: to serve.
        precision: of its graph.
        separate_steps: as three models instead of one, a variant.
    """
    options = ("--separate-steps",) if separate_steps else ()

    def command(port: int) -> list[str]:
        grpc, metrics = free_ports(2)
        return [
            str(ROOT / "run_triton.sh"),
            *("--repository", str(repository), "--address", "127.0.0.1"),
            *("--http-port", f"{port}", "--grpc-port", f"{grpc}", "--metrics-port", f"{metrics}"),
            *options,
        ]

    return Service(
        name=f"product_{precision}" + "_separate" * separate_steps,
        title=f"this project, {precision}" + ", separate steps" * separate_steps,
        group="variant" if separate_steps else "product",
        precision=precision,
        command=command,
        ready_path="/v2/health/ready",
        message=ask,
        label=predicted,
        repository=repository,
        disk_mb=_image_mb(),
    )


def peer(contender: Contender, python: Path, model: Path) -> Service:
    """A peer with the python of its environment; it takes one text a request."""
    return Service(
        name=contender.name,
        title=contender.title,
        group="peer",
        precision="fp32",
        command=lambda port: contender.command(python, model, port),
        ready_path=contender.ready_path,
        message=lambda texts: post(contender.path, contender.body(texts[0])),
        label=contender.label,
        versions=versions(python, contender.packages),
        disk_mb=round(size_mb(python, contender.unserved), 1),
        environment=contender.environment,
        prepare=tuple(contender.prepare(python, model)) if contender.prepare else (),
    )


def weights_mb(repository: Path) -> float:
    """The size of a rendered repository's graph with its weights."""
    (folder,) = (path.parent for path in repository.glob("*/1/model.onnx"))
    return round(sum(path.stat().st_size for path in folder.iterdir()) / 1e6, 1)


def peers(model: Path, cache: Path, only_present: bool) -> list[Service]:
    """All peers; with `only_present` those whose environment has been made before."""
    return [
        peer(contender, environment(folder(contender), cache), model)
        for contender in contenders()
        if not only_present or _is_present(contender, cache)
    ]


def variables(service: Service) -> dict[str, str]:
    """The environment of a service's process."""
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    return inherited | service.environment


def _image_mb() -> float:
    results = json.loads((RESULTS / "build.json").read_text(encoding="utf-8"))
    return float(results["image without the model, MB"])


def _is_present(contender: Contender, cache: Path) -> bool:
    return any((cache / "environments").glob(f"{contender.name}-*/complete"))


def pinned(command: list[str], cpus: Sequence[int]) -> list[str]:
    """The command on these processors only."""
    taskset = shutil.which("taskset") or "taskset"
    return [taskset, "--cpu-list", ",".join(map(str, cpus)), *command]
