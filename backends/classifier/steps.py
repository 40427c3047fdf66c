"""The steps of an ensemble, each by its own code and files, to be run in one go."""

import hashlib
import importlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from cpu_budget import cpu_budget
from own_modules import modules_of

Config = Mapping[str, Any]

BACKENDS = Path(__file__).resolve().parents[1]

# Triton overlooks others, such as 01.
VERSION = re.compile("[1-9][0-9]*")

# A graph's file may be as large for a second engine, which has its own copy of the weights.
MOST_COPIED_BYTES = 150_000_000

# Of a text that is alone: a classifier's matrices are small, and each thread has to be woken up.
LONE_THREADS = 4


@dataclass(frozen=True)
class Steps:
    """What the three steps do.

    Attributes:
        tokenization: Tokenization of text_preprocessing.
        decoded: the texts of a BYTES tensor.
        engine: the graph, opened; `run` may be called from `callers` threads at once.
        lone_engine: the graph for one call that has several CPUs to itself, if it may be had.
        scoring: Scoring of post_processing.
        on_gpu: where the graph runs.
        shared_runs: whether texts of several requests may be run together: the graph's
            configuration has dynamic_batching, as Triton's own scheduler wants it.
        delay_ns: how long a text waits for company, its max_queue_delay_microseconds.
    """

    tokenization: Any
    decoded: Callable[[str, Any], list[str]]
    engine: Any
    scoring: Any
    lone_engine: Any = None
    on_gpu: bool = False
    shared_runs: bool = True
    delay_ns: int = 0


def open_steps(repository: Path, file: Path) -> Steps:
    """Read a repository's steps and load its graph.

    Args:
        repository: folder of the models.
        file: what utils/join_steps.py wrote: the steps' configurations by what they do.

    Raises:
        ValueError: a step cannot be opened, or its configuration is not what it was; names it.
    """
    content = json.loads(file.read_text(encoding="utf-8"))
    for name, digest in content["sha256"].items():
        if hashlib.sha256((repository / name).read_bytes()).hexdigest() != digest:
            raise ValueError(
                f"{name} has changed since the steps were joined (run utils/join_steps.py,"
                " or serve with --separate-steps)"
            )
    graph = content["graph"]
    batching = graph.get("dynamic_batching")
    tokenization, decoded = _opened(repository, content["tokenizer"], _tokenization)
    engine, lone_engine = _opened(repository, graph, _engines)
    return Steps(
        tokenization,
        decoded,
        engine=engine,
        lone_engine=lone_engine,
        scoring=_opened(repository, content["scorer"], _scoring),
        on_gpu=_kind(graph) == "GPU",
        # A model of one text at a time may be one whose answers change with padding.
        shared_runs=batching is not None and int(graph["max_batch_size"]) > 1,
        delay_ns=int((batching or {}).get("max_queue_delay_microseconds", 0)) * 1000,
    )


def _opened(repository: Path, config: Config, opener: Callable[[Path, Config], Any]) -> Any:
    try:
        return opener(_version_folder(repository / config["name"]), config)
    except Exception as error:
        raise ValueError(f"{config['name']}: {error}") from error


def _tokenization(folder: Path, config: Config) -> tuple[Any, Any]:
    module = _module(folder, "tokenization")
    return module.read_tokenization(folder, config), module.decoded


def _scoring(folder: Path, config: Config) -> Any:
    return _module(folder, "scoring").Scoring(folder, config)


def _engines(folder: Path, config: Config) -> tuple[Any, Any]:
    """For calls at once, and for one that is alone or None."""
    backend = config["backend"]
    module = _module(BACKENDS / backend, f"{backend}_engine")
    arguments = {
        "model_instance_kind": _kind(config),
        "model_instance_device_id": str((_group(config).get("gpus") or [0])[0]),
    }
    path = folder / (config.get("default_model_filename") or "model.onnx")
    try:
        engine = module.Engine(path, config, arguments)
        lone_engine = None
        if _copied(path, config) and engine.callers > 1:
            threads = min(cpu_budget(), LONE_THREADS)
            config = module.Engine.for_one_caller(config, threads)
            lone_engine = module.Engine(path, config, arguments)
    except Exception as error:
        raise ValueError(f"{path.name}: {error}") from error
    return engine, lone_engine


def _copied(graph: Path, config: Config) -> bool:
    """Whether there may be a second copy of the weights, in ordinary memory."""
    return _kind(config) != "GPU" and graph.stat().st_size <= MOST_COPIED_BYTES


def _group(config: Config) -> Config:
    groups: list[Config] = config.get("instance_group") or [{}]
    return groups[0]


def _kind(config: Config) -> str:
    return str(_group(config).get("kind", "KIND_CPU")).removeprefix("KIND_")


def _version_folder(model: Path) -> Path:
    """The newest version, as Triton serves it by default."""
    versions = [path for path in model.iterdir() if VERSION.fullmatch(path.name)]
    return max(versions, key=lambda path: int(path.name))


def _module(folder: Path, name: str) -> ModuleType:
    with modules_of(folder):
        return importlib.import_module(name)
