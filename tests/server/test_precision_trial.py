"""utils/precision/trial.py: graphs on the ONNX Runtime of the embedded server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.serving import ROOT
from utils.errors import UserError
from utils.precision.trial import Graph, Outcome, run_graphs
from utils.targets.profiles import read_profile

pytestmark = pytest.mark.server

CPU = read_profile("cpu")
CONFIG: dict[str, Any] = {
    "backend": "onnxruntime",
    "max_batch_size": 4,
    "input": [{"name": "input_ids", "data_type": "TYPE_INT64", "dims": ["-1"]}],
    "output": [{"name": "logits", "data_type": "TYPE_FP32", "dims": ["2"]}],
    "instance_group": [{"kind": "KIND_CPU", "count": 1}],
    "parameters": {
        "caller_threads": {"string_value": "2"},
        "intra_op_thread_count": {"string_value": "1"},
    },
}
ROWS = [{"input_ids": np.arange(1, length + 1, dtype=np.int64)[None]} for length in (1, 5, 3)]


def write_graph(path: Path, factor: float, cast: str = "Cast") -> Path:
    """A graph whose two logits are the sum of token ids and `factor` times it."""
    nodes = [
        helper.make_node(cast, ["input_ids"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["numbers", "axes"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "factors"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "sums",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
        [
            numpy_helper.from_array(np.array([1], np.int64), "axes"),
            numpy_helper.from_array(np.array([1, factor], np.float32), "factors"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(model, str(path))
    return path


def run(
    graphs: Sequence[Graph], rows: Sequence[dict[str, npt.NDArray[Any]]] = ROWS
) -> list[Outcome]:
    """What the CPU profile's engine says."""
    return run_graphs(CPU, graphs, rows, ROOT / ".cache")


def test_every_row_goes_through_every_graph_and_is_timed(tmp_path: Path) -> None:
    graphs = [
        Graph(write_graph(tmp_path / f"{factor}.onnx", factor), CONFIG) for factor in (2.0, -3.0)
    ]
    outcomes = run(graphs)
    assert len(outcomes) == 2
    for outcome, factor in zip(outcomes, (2.0, -3.0), strict=True):
        assert [logits.tolist() for logits in outcome.logits] == [
            [[total, factor * total]] for total in (1.0, 15.0, 6.0)
        ]
        assert outcome.seconds.shape == (5,)
        assert (outcome.seconds > 0).all()
        assert outcome.engine.startswith("onnxruntime 1.")
        assert "2 caller threads x 1 intra-op threads, CPUExecutionProvider" in outcome.engine


def test_rows_may_be_batches(tmp_path: Path) -> None:
    batch = {"input_ids": np.array([[1, 2], [3, 4]], np.int64)}
    (outcome,) = run([Graph(write_graph(tmp_path / "sums.onnx", 2.0), CONFIG)], [batch])
    assert outcome.logits[0].tolist() == [[3.0, 6.0], [7.0, 14.0]]


def test_a_graph_that_the_engine_cannot_load_is_one_line_with_its_reason(tmp_path: Path) -> None:
    fine = Graph(write_graph(tmp_path / "fine.onnx", 2.0), CONFIG)
    broken = Graph(write_graph(tmp_path / "broken.onnx", 2.0, cast="Nonesuch"), CONFIG)
    with pytest.raises(UserError, match=r"^precision: the engine of cpu fails: .*Nonesuch"):
        run([fine, broken])


def test_a_configuration_that_the_graph_contradicts_is_one_line(tmp_path: Path) -> None:
    config = {**CONFIG, "output": [{"name": "logits", "data_type": "TYPE_FP32", "dims": ["3"]}]}
    with pytest.raises(UserError, match="output 'logits': the configuration says"):
        run([Graph(write_graph(tmp_path / "sums.onnx", 2.0), config)])


def test_a_row_that_the_graph_cannot_take_is_one_line(tmp_path: Path) -> None:
    graph = Graph(write_graph(tmp_path / "sums.onnx", 2.0), CONFIG)
    with pytest.raises(UserError, match=r"^precision: the engine of cpu fails: .*float"):
        run([graph], [{"input_ids": np.ones((1, 2), np.float32)}])
