"""utils/external_data.py, through the command that reads graphs."""

import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from tests.unit.graphs import write_graph
from utils.errors import UserError
from utils.graph import graph_tensors


def graph_with(folder: Path, location: str) -> Path:
    """A graph whose one weight lies at a location."""
    path = write_graph(folder / "model.onnx")
    model = onnx.load(str(path))
    tensor = model.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "length": "4"}.items():
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_in_a_plain_file_beside_the_graph_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "model.onnx.data").write_bytes(bytes(4))
    inputs, _ = graph_tensors(graph_with(tmp_path, "model.onnx.data"))
    assert len(inputs) == 3


@pytest.mark.parametrize(
    "location", ["../canary", "/etc/hostname", "sub/../../canary", "", ".", "..", "a\\b"]
)
def test_weights_outside_of_the_folder_are_refused(location: str, tmp_path: Path) -> None:
    (tmp_path / "canary").write_bytes(bytes(4))
    (tmp_path / "model").mkdir()
    with pytest.raises(UserError, match="weights outside of its folder"):
        graph_tensors(graph_with(tmp_path / "model", location))


@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_weights_that_are_a_link_are_refused(
    make: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    (tmp_path / "canary").write_bytes(bytes(4))
    (tmp_path / "model").mkdir()
    make(tmp_path / "canary", tmp_path / "model" / "model.onnx.data")
    with pytest.raises(UserError, match="no plain file"):
        graph_tensors(graph_with(tmp_path / "model", "model.onnx.data"))


def test_weights_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no plain file"):
        graph_tensors(graph_with(tmp_path, "model.onnx.data"))
