"""Weights beside an ONNX graph: only where they have to be, and only plain files in its own folder.

onnx and ONNX Runtime had holes here (CVE-2026-27489, CVE-2026-34446, onnxruntime#26776): a graph's
`location` could name any file of the machine that loads it.
"""

from collections.abc import Iterator
from pathlib import Path

import onnx

from utils.artifacts import WEIGHTS_FILE
from utils.errors import UserError

# Protobuf cannot hold more than 2 GiB; above this the weights go to a file of their own.
LARGEST_SINGLE_FILE = 2_000_000_000


def save_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph whose weights are in memory; more than 2 GB of them go to a file beside it."""
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) <= LARGEST_SINGLE_FILE:
        onnx.save_model(model, str(path))
        return
    copied = onnx.ModelProto()
    # Saving leaves such a model without its weights.
    copied.CopyFrom(model)
    onnx.save_model(copied, str(path), save_as_external_data=True, location=WEIGHTS_FILE)


def check_external_data(graph_file: Path, model: onnx.ModelProto) -> None:
    """Look at every location before anything reads it.

    Args:
        graph_file: where the model was read from, without its external data.
        model: the parsed graph.

    Raises:
        UserError: a location that is not the name of a plain file beside the graph, with one name.
    """
    for tensor in _tensors(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((item.value for item in tensor.external_data if item.key == "location"), "")
        path = graph_file.parent / location
        plain = location == path.name and location not in ("", ".", "..") and "\\" not in location
        if not plain:
            raise UserError(graph_file, f"has weights outside of its folder: {location[:80]!r}")
        if path.is_symlink() or not path.is_file() or path.stat().st_nlink != 1:
            raise UserError(graph_file, f"has weights that are no plain file: {location[:80]!r}")


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)
