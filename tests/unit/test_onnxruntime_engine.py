"""backends/onnxruntime/onnxruntime_engine.py: what is served with and compared with."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime_engine
import pytest
from onnxruntime_engine import Engine

from tests.unit.graphs import DISTILBERT_INPUTS, write_graph

CONFIG: dict[str, Any] = {
    "max_batch_size": 4,
    "input": [
        {"name": name, "data_type": "TYPE_INT64", "dims": ["-1"]} for name in DISTILBERT_INPUTS
    ],
    "output": [{"name": "logits", "data_type": "TYPE_FP32", "dims": ["3"]}],
    "instance_group": [{"kind": "KIND_CPU", "count": 1}],
    "parameters": {
        "caller_threads": {"string_value": "0"},
        "intra_op_thread_count": {"string_value": "1"},
    },
}
ON_CPU = {"model_instance_kind": "CPU"}


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A graph that gives zeros."""
    return write_graph(tmp_path / "model.onnx", DISTILBERT_INPUTS)


def test_an_engine_gives_the_outputs_that_are_wanted_or_all(graph: Path) -> None:
    opened = Engine(graph, CONFIG, ON_CPU)
    assert opened.inputs == list(DISTILBERT_INPUTS)
    feeds = dict.fromkeys(DISTILBERT_INPUTS, np.ones((2, 5), np.int64))
    for wanted in (None, ["logits"]):
        (logits,) = opened.run(wanted, feeds)
        assert logits.tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize(("counts", "callers"), [([1], 8), ([2], 4), ([2, 2], 2), ([], 8)])
def test_instances_share_the_cpus(
    counts: list[int], callers: int, graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime_engine, "cpu_budget", lambda: 8)
    groups = [{"kind": "KIND_CPU", "count": count} for count in counts]
    opened = Engine(graph, CONFIG | {"instance_group": groups}, ON_CPU)
    assert opened.callers == callers
    assert f"{callers} caller threads x 1 intra-op threads" in opened.description
    assert opened.description.endswith("CPUExecutionProvider")


def test_a_graph_that_contradicts_its_configuration_is_refused(graph: Path) -> None:
    output = {"name": "logits", "data_type": "TYPE_FP32", "dims": ["7"]}
    with pytest.raises(ValueError, match="output 'logits'"):
        Engine(graph, CONFIG | {"output": [output]}, ON_CPU)


def test_an_accelerator_that_is_not_there_is_refused_and_not_replaced(graph: Path) -> None:
    accelerators = {"cpu_execution_accelerator": [{"name": "openvino"}]}
    config = CONFIG | {"optimization": {"execution_accelerators": accelerators}}
    with pytest.raises(ValueError, match="this onnxruntime has no OpenVINOExecutionProvider"):
        Engine(graph, config, ON_CPU)
