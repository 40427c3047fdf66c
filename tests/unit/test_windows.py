"""utils/windows.py: a graph of rows becomes a graph of texts in windows."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.unit.graphs import write_graph
from utils.errors import UserError
from utils.windows import merge_windows

CLASSES = 3
# A row of numbers for each of 20 tokens; some logits are below zero, where a merge with the zeros
# of windows that are not there would show.
TABLE = np.random.default_rng(3).normal(-2, 3, (20, CLASSES)).astype(np.float32)
MERGES: dict[str, Any] = {"mean": np.mean, "max": np.max}
OPSETS = [17, 18, 20]


def write_classifier(path: Path, opset: int = 17) -> Path:
    """A graph [batch, tokens]: logits are the tanh of the sum of TABLE's rows that the mask shows.

    It names its dimensions inside too, as the dynamo exporter does.
    """
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"], axis=0),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["shown"]),
        helper.make_node("ReduceSum", ["shown", "middle"], ["sums"], keepdims=0),
        helper.make_node("Tanh", ["sums"], ["bent"]),
        helper.make_node("Mul", ["bent", "ten"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        [
            numpy_helper.from_array(TABLE, "table"),
            numpy_helper.from_array(np.array([2], np.int64), "last"),
            numpy_helper.from_array(np.array([1], np.int64), "middle"),
            numpy_helper.from_array(np.array(10, np.float32), "ten"),
        ],
        value_info=[
            helper.make_tensor_value_info("shown", TensorProto.FLOAT, ["batch", "tokens", CLASSES]),
            helper.make_tensor_value_info("sums", TensorProto.FLOAT, ["batch", CLASSES]),
            helper.make_tensor_value_info("bent", TensorProto.FLOAT, ["batch", CLASSES]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save_model(model, str(path))
    return path


def row_logits(ids: Any, mask: Any) -> Any:
    """What the classifier says to one row."""
    return 10 * np.tanh((TABLE[ids] * mask[:, None]).sum(axis=0))


def reference(merge: str, ids: Any, mask: Any) -> Any:
    """Merged logits: only windows that have tokens count."""
    return np.array(
        [
            MERGES[merge](
                [row_logits(*window) for window in zip(*text, strict=True) if window[1].any()],
                axis=0,
            )
            for text in zip(ids, mask, strict=True)
        ]
    )


def tensors(counts: list[int], tokens: int = 4) -> tuple[Any, Any]:
    """Ids and mask of texts with so many windows, the rest padding; the last window is short."""
    shape = (len(counts), max(counts), tokens)
    ids = np.random.default_rng(len(counts)).integers(1, 20, shape)
    mask = np.zeros(shape, np.int64)
    for text, count in enumerate(counts):
        mask[text, :count] = 1
        mask[text, count - 1, tokens // 2 + 1 :] = 0
    return ids, mask


def run(graph: Path, ids: Any, mask: Any) -> Any:
    """Logits by ONNX Runtime."""
    session = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Any]:
    """Merge and opset to the session of a graph."""
    folder = tmp_path_factory.mktemp("windows")
    made = {}
    for merge in MERGES:
        for opset in OPSETS:
            path = write_classifier(folder / f"{merge}{opset}.onnx", opset)
            merge_windows(path, merge)
            onnx.checker.check_model(str(path), full_check=True)
            made[merge, opset] = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return made


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("merge", MERGES)
def test_a_text_of_one_window_beside_one_of_three_gets_the_logits_of_its_own_windows(
    merge: str, opset: int, sessions: dict[tuple[str, int], Any]
) -> None:
    ids, mask = tensors([1, 3])
    (logits,) = sessions[merge, opset].run(None, {"input_ids": ids, "attention_mask": mask})
    np.testing.assert_allclose(logits, reference(merge, ids, mask), atol=1e-5)
    np.testing.assert_allclose(logits[0], row_logits(ids[0, 0], mask[0, 0]), atol=1e-5)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("merge", MERGES)
@settings(max_examples=30)
@given(counts=st.lists(st.integers(1, 5), min_size=1, max_size=5), tokens=st.integers(1, 6))
def test_any_texts_get_the_merged_logits_of_their_windows(
    merge: str,
    opset: int,
    counts: list[int],
    tokens: int,
    sessions: dict[tuple[str, int], Any],
) -> None:
    ids, mask = tensors(counts, tokens)
    # The same session with other shapes each time: memory must not be planned for one of them.
    (logits,) = sessions[merge, opset].run(None, {"input_ids": ids, "attention_mask": mask})
    np.testing.assert_allclose(logits, reference(merge, ids, mask), atol=1e-5)


def test_windows_in_a_batch_are_those_of_texts_alone(tmp_path: Path) -> None:
    graph = write_classifier(tmp_path / "model.onnx")
    merge_windows(graph, "mean")
    ids, mask = tensors([2, 1, 4, 3])
    together = run(graph, ids, mask)
    alone = [
        run(graph, ids[text : text + 1, :count], mask[text : text + 1, :count])[0]
        for text, count in enumerate([2, 1, 4, 3])
    ]
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("merge", MERGES)
def test_tokens_of_windows_that_are_not_there_change_nothing(merge: str, tmp_path: Path) -> None:
    graph = write_classifier(tmp_path / "model.onnx")
    merge_windows(graph, merge)
    ids, mask = tensors([1, 3])
    other = ids.copy()
    other[0, 1:] = 19
    np.testing.assert_array_equal(run(graph, ids, mask), run(graph, other, mask))


@pytest.mark.parametrize("merge", MERGES)
def test_a_text_without_any_token_still_has_logits(merge: str, tmp_path: Path) -> None:
    graph = write_classifier(tmp_path / "model.onnx")
    merge_windows(graph, merge)
    zeros = np.zeros((2, 3, 4), np.int64)
    # As the server's warm-up sends it.
    assert run(graph, zeros, zeros).tolist() == [[0.0] * CLASSES] * 2


def test_inputs_and_output_keep_names_types_and_order(tmp_path: Path) -> None:
    names = ("input_ids", "token_type_ids", "attention_mask")
    path = write_graph(tmp_path / "model.onnx", names, classes=7, input_type=TensorProto.INT32)
    merge_windows(path, "mean")
    graph = onnx.load(str(path)).graph
    assert tuple(value.name for value in graph.input) == names
    for value in graph.input:
        assert value.type.tensor_type.elem_type == TensorProto.INT32
        dims = [dim.dim_param for dim in value.type.tensor_type.shape.dim]
        assert dims == ["batch", "windows", "tokens"]
    (output,) = graph.output
    assert output.name == "logits"
    first, last = output.type.tensor_type.shape.dim
    assert (first.dim_param, last.dim_value) == ("batch", 7)


@pytest.mark.parametrize("merge", MERGES)
def test_weights_in_a_file_of_their_own_stay_there(merge: str, tmp_path: Path) -> None:
    graph = write_classifier(tmp_path / "model.onnx")
    onnx.save_model(
        onnx.load(str(graph)),
        str(graph),
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=100,
    )
    weights = (tmp_path / "model.onnx.data").read_bytes()
    assert TABLE.tobytes() in weights
    merge_windows(graph, merge)
    assert (tmp_path / "model.onnx.data").read_bytes() == weights
    assert TABLE.tobytes() not in graph.read_bytes()
    ids, mask = tensors([1, 3])
    np.testing.assert_allclose(run(graph, ids, mask), reference(merge, ids, mask), atol=1e-5)


def test_a_graph_that_takes_no_attention_mask_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.onnx", ("input_ids",))
    before = graph.read_bytes()
    with pytest.raises(UserError, match=r"--long-text window: needs .* takes attention_mask"):
        merge_windows(graph, "mean")
    assert graph.read_bytes() == before
