"""Exporters: from a transformers model to model.onnx.

`torchscript` with plain ("eager") attention comes first because its graphs run fastest in ONNX
Runtime and take a fifth of the time to export (benchmarks/results/export.json); `dynamo` takes
what the tracer cannot.
"""

import contextlib
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx

from utils.artifacts import GRAPH_FILE, Behaviour
from utils.checkpoint import Classifier
from utils.encoding import encode
from utils.errors import UserError, first_line
from utils.experts import all_experts
from utils.external_data import save_graph
from utils.frameworks import torch
from utils.samples import Example
from utils.tokenizer_export import plain_tokenization

# Newest opset of the tracing exporter; every ONNX Runtime since 1.12 reads it.
TORCHSCRIPT_OPSET = 17
DYNAMO_OPSET = 20

# Of unequal length, so that the traced graph has seen padding.
TRACED = [
    Example("a text to trace the graph with", "and its second one"),
    Example("short", "too"),
]


class _Logits(torch.nn.Module):  # type: ignore[misc]
    """The model as a function of positional tensors, which is what exporters understand."""

    def __init__(self, model: Any, names: list[str]) -> None:
        super().__init__()
        self.model = model
        self.names = names
        # As the pipeline does: a cache is of no use here, and not every exporter understands one.
        takes = inspect.signature(model.forward).parameters
        self.options = {"use_cache": False} if "use_cache" in takes else {}

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(
            **dict(zip(self.names, tensors, strict=True)), **self.options, return_dict=True
        ).logits
        return logits


def export_torchscript(classifier: Classifier, behaviour: Behaviour, folder: Path) -> None:
    """Trace the model with torch.onnx's TorchScript exporter."""
    inputs = _inputs(classifier, behaviour)
    names = list(inputs)
    torch.onnx.export(
        _Logits(classifier.model, names).eval(),
        tuple(inputs.values()),
        str(folder / GRAPH_FILE),
        dynamo=False,
        input_names=names,
        output_names=["logits"],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names} | {"logits": {0: "batch"}},
        opset_version=TORCHSCRIPT_OPSET,
    )


def export_dynamo(classifier: Classifier, behaviour: Behaviour, folder: Path) -> None:
    """Export the model with torch.export and torch.onnx's dynamo exporter."""
    inputs = _inputs(classifier, behaviour)
    names = list(inputs)
    batch = torch.export.Dim("batch", min=1, max=4096)
    tokens = torch.export.Dim("tokens", min=2, max=behaviour.max_length)
    program = torch.onnx.export(
        _Logits(classifier.model, names).eval(),
        tuple(inputs.values()),
        dynamo=True,
        input_names=names,
        output_names=["logits"],
        dynamic_shapes=(tuple({0: batch, 1: tokens} for _ in names),),
        opset_version=DYNAMO_OPSET,
        # Its optimizer takes an epsilon of 1e-8 for zero and drops it; ONNX Runtime has its own.
        optimize=False,
        verbose=False,
    )
    program.save(str(folder / GRAPH_FILE), external_data=True)


def export_optimum(classifier: Classifier, _: Behaviour, folder: Path) -> None:
    """Export with Hugging Face's optimum-onnx (requirements-optimum.txt)."""
    try:
        from optimum.exporters.onnx import onnx_export_from_model
    except ImportError as error:
        raise UserError(
            "--exporter optimum",
            "optimum-onnx is not installed",
            "it needs an environment of its own: pip install -r requirements-optimum.txt",
        ) from error
    onnx_export_from_model(
        classifier.model,
        output=folder,
        task="text-classification",
        do_validation=False,
        no_post_process=True,
    )


EXPORTERS: dict[str, Callable[[Classifier, Behaviour, Path], None]] = {
    "torchscript": export_torchscript,
    "dynamo": export_dynamo,
    "optimum": export_optimum,
}

# What `auto` tries, in this order.
AUTOMATIC = ("torchscript", "dynamo")


def export_onnx(classifier: Classifier, behaviour: Behaviour, folder: Path, exporter: str) -> None:
    """Write model.onnx, and model.onnx.data beside it when the weights exceed 2 GB, to `folder`.

    Args:
        classifier: a loaded checkpoint.
        behaviour: how texts are treated; windows are not the exporter's business.
        folder: an empty folder.
        exporter: a key of EXPORTERS.

    Raises:
        UserError: the exporter failed; the reason is in the message.
    """
    try:
        with _silenced(), all_experts(classifier.model):
            EXPORTERS[exporter](classifier, behaviour, folder)
        _gather_weights(folder)
        onnx.checker.check_model(str(folder / GRAPH_FILE))
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"exporter {exporter}", f"failed: {first_line(_innermost(error))}"
        ) from error
    finally:
        # The tracing exporter leaves the module in training mode, also when it fails.
        classifier.model.eval()


def _innermost(error: Exception) -> Exception:
    """What an error was first: exporters wrap reasons in advice on their own stages."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def _inputs(classifier: Classifier, behaviour: Behaviour) -> dict[str, torch.Tensor]:
    """Tensors [2, tokens] of the texts to trace with, by name."""
    tokenization = plain_tokenization(classifier, behaviour, behaviour.padding)
    tensors = tokenization.tensors(encode(tokenization, TRACED).rows)
    return {name: torch.from_numpy(tensors[name]) for name in classifier.input_names}


def _gather_weights(folder: Path) -> None:
    """Leave model.onnx alone, or model.onnx and one weights file, whatever the exporter wrote."""
    graph_file = folder / GRAPH_FILE
    others = [path for path in folder.iterdir() if path != graph_file]
    if not others:
        return
    model = onnx.load(str(graph_file))
    for path in [*others, graph_file]:
        path.unlink()
    save_graph(model, graph_file)


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Exporters talk of passes, of graphs, of missing operators; users need none of it."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    # The tracer prints the whole graph from C++ when it fails, past Python's sys.stdout.
    sys.stdout.flush()
    stdout = os.dup(1)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)
