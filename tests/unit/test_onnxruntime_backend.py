"""backends/onnxruntime/model.py, outside Triton, on a graph that gives zeros."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.unit.commands import ROOT
from tests.unit.graphs import DISTILBERT_INPUTS, write_graph
from tests.unit.triton_stub import Request, TritonModelException, load_model_file

CONFIG: dict[str, Any] = {
    "max_batch_size": 4,
    "input": [
        {"name": name, "data_type": "TYPE_INT64", "dims": ["-1"]} for name in DISTILBERT_INPUTS
    ],
    "output": [{"name": "logits", "data_type": "TYPE_FP32", "dims": ["3"]}],
    "instance_group": [{"count": 1}],
    "parameters": {"caller_threads": {"string_value": "2"}},
}


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """The backend."""
    return load_model_file(ROOT / "backends" / "onnxruntime" / "model.py")


def load(module: ModuleType, folder: Path, **changes: Any) -> Any:
    """A model that was initialized with the graph in FOLDER/1."""
    model = module.TritonPythonModel()
    model.initialize(
        {
            "model_config": json.dumps(CONFIG | changes),
            "model_repository": str(folder),
            "model_version": "1",
            "model_name": "model_onnx",
            "model_instance_kind": "CPU",
        }
    )
    return model


@pytest.fixture
def model(module: ModuleType, tmp_path: Path) -> Iterator[Any]:
    """A loaded model."""
    write_graph(tmp_path / "1" / "model.onnx", DISTILBERT_INPUTS)
    model = load(module, tmp_path)
    yield model
    model.finalize()


def request(rows: int, columns: int = 5) -> Request:
    """A request for the logits of some tokens."""
    ids = np.ones((rows, columns), dtype=np.int64)
    return Request(dict.fromkeys(DISTILBERT_INPUTS, ids), ["logits"])


def test_each_request_gets_one_final_response_with_its_own_rows(model: Any) -> None:
    requests = [request(rows, columns) for rows, columns in ((1, 5), (4, 2), (2, 9))]
    assert model.execute(requests) is None
    model.finalize()
    for item, rows in zip(requests, (1, 4, 2), strict=True):
        ((response, flags),) = item.sent
        assert flags == 1
        assert response.outputs()["logits"].shape == (rows, 3)


def test_a_request_that_fails_gets_an_error_and_the_next_an_answer(model: Any) -> None:
    wrong = Request(dict.fromkeys(DISTILBERT_INPUTS, np.ones((1, 5), np.float32)), ["logits"])
    right = request(1)
    model.execute([wrong, right])
    model.finalize()
    ((response, flags),) = wrong.sent
    assert flags == 1
    assert response.error is not None
    assert "float" in response.error.text
    assert right.sent[0][0].outputs()["logits"].shape == (1, 3)


def test_a_graph_that_cannot_be_read_is_refused_naming_its_file(
    module: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(TritonModelException, match=r"^model\.onnx: "):
        load(module, tmp_path)


def test_a_configuration_that_the_graph_contradicts_is_refused(
    module: ModuleType, tmp_path: Path
) -> None:
    write_graph(tmp_path / "1" / "model.onnx", DISTILBERT_INPUTS, classes=2)
    with pytest.raises(TritonModelException, match=r"output 'logits'"):
        load(module, tmp_path)


def test_the_file_that_the_configuration_names_is_loaded(
    module: ModuleType, tmp_path: Path
) -> None:
    write_graph(tmp_path / "1" / "other.onnx", DISTILBERT_INPUTS)
    load(module, tmp_path, default_model_filename="other.onnx").finalize()
