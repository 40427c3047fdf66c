"""utils/precision/int8/weights.py: only the weights in 8 bits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from utils.errors import UserError
from utils.precision.int8.weights import LARGEST, quantise_weights

VOCABULARY, WIDTH, CLASSES = 20, 16, 3

# ONNX Runtime's optimisations of such a graph round activations too.
AS_WRITTEN = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
OPTIMISED = ort.GraphOptimizationLevel.ORT_ENABLE_ALL

Floats = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]


def weights() -> Arrays:
    """Columns of very different sizes, one of them of zeros."""
    chooser = np.random.default_rng(0)
    first = chooser.normal(0, 1, (WIDTH, WIDTH)) * np.logspace(-3, 2, WIDTH)
    first[:, 4] = 0
    return {
        "table": chooser.normal(0, 1, (VOCABULARY, WIDTH)).astype(np.float32),
        "first": first.astype(np.float32),
        "second": chooser.normal(0, 0.1, (WIDTH, CLASSES)).astype(np.float32),
    }


def layers() -> list[NodeProto]:
    """Two matrix products over rows of a table."""
    return [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("MatMul", ["rows", "first"], ["inner"]),
        helper.make_node("Tanh", ["inner"], ["bent"]),
        helper.make_node("MatMul", ["bent", "second"], ["logits"]),
    ]


def write(
    path: Path, nodes: Sequence[NodeProto], arrays: Arrays, opset: int = 17, **options: Any
) -> Path:
    """A graph from input_ids [batch, tokens] to logits."""
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "tokens", "scores"])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save_model(model, str(path), **options)
    return path


def quantised(source: Path) -> Path:
    """The graph with weights in 8 bits."""
    target = source.with_name("int8.onnx")
    quantise_weights(source, target)
    return target


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The graph of two layers."""
    return write(tmp_path / "model.onnx", layers(), weights())


def tensors(path: Path) -> Arrays:
    """The initializers, by name."""
    found = onnx.load(str(path)).graph.initializer
    arrays = {item.name: numpy_helper.to_array(item) for item in found}
    assert len(arrays) == len(found)
    return arrays


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(str(path)).graph.node]


def run(path: Path, level: ort.GraphOptimizationLevel = AS_WRITTEN) -> Floats:
    """Logits of all words."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    ids = np.arange(VOCABULARY, dtype=np.int64).reshape(4, -1)
    logits: Floats = session.run(None, {"input_ids": ids})[0]
    return logits


def rounded(array: Floats) -> Floats:
    """A weight as 8 bits have it: 255 steps in each column."""
    steps = np.abs(array).max(axis=0) / LARGEST
    values: Floats = (np.round(array / np.where(steps > 0, steps, 1)) * steps).astype(np.float32)
    return values


def refusal(source: Path) -> str:
    """The error; nothing is written."""
    with pytest.raises(UserError) as caught:
        quantised(source)
    assert not source.with_name("int8.onnx").exists()
    return str(caught.value)


def test_weights_of_matrix_products_are_in_8_bits_and_nothing_else(source: Path) -> None:
    found, before = tensors(quantised(source)), weights()
    assert set(found) == {"table", "first_int8", "first_scales", "second_int8", "second_scales"}
    for name in ("first", "second"):
        whole, scales = found[f"{name}_int8"], found[f"{name}_scales"]
        assert (str(whole.dtype), whole.shape) == ("int8", before[name].shape)
        assert (str(scales.dtype), scales.shape) == ("float32", before[name].shape[1:])
        assert (scales > 0).all()
    np.testing.assert_array_equal(found["table"], before["table"])


def test_a_weight_is_as_near_as_the_steps_of_its_column_allow(source: Path) -> None:
    found = tensors(quantised(source))
    for name, array in weights().items():
        if name != "table":
            again = found[f"{name}_int8"].astype(np.float32) * found[f"{name}_scales"]
            half_a_step = np.abs(array).max(axis=0) / LARGEST / 2
            assert (np.abs(again - array) <= half_a_step * 1.001).all()


def test_the_greatest_of_a_column_takes_all_of_8_bits_but_never_their_lowest(source: Path) -> None:
    whole = tensors(quantised(source))["first_int8"].astype(int)
    columns = np.abs(whole).max(axis=0).tolist()
    assert columns == [LARGEST] * 4 + [0] + [LARGEST] * (WIDTH - 5)
    assert whole.min() >= -LARGEST


def test_the_graph_answers_as_with_rounded_weights(source: Path, tmp_path: Path) -> None:
    arrays = weights()
    for name in ("first", "second"):
        arrays[name] = rounded(arrays[name])
    expected = run(write(tmp_path / "rounded.onnx", layers(), arrays))
    np.testing.assert_allclose(run(quantised(source)), expected, atol=1e-5)
    np.testing.assert_allclose(run(quantised(source), OPTIMISED), expected, atol=0.05)
    assert not np.allclose(expected, run(source), atol=1e-4)
    np.testing.assert_allclose(expected, run(source), atol=0.05)


def test_inputs_and_outputs_stay_as_they_are(source: Path) -> None:
    before, after = (onnx.load(str(path)) for path in (source, quantised(source)))
    assert list(after.graph.input) == list(before.graph.input)
    assert list(after.graph.output) == list(before.graph.output)
    assert list(after.opset_import) == list(before.opset_import)
    assert after.ir_version == before.ir_version


def test_each_product_is_computed_in_fp32_behind_its_weights(source: Path) -> None:
    target = quantised(source)
    onnx.checker.check_model(str(target))
    dequantise = "DequantizeLinear"
    assert operators(target) == ["Gather", dequantise, "MatMul", "Tanh", dequantise, "MatMul"]


def test_weights_that_products_share_are_written_once(tmp_path: Path) -> None:
    nodes = layers()
    nodes[2:3] = [
        helper.make_node("MatMul", ["inner", "first"], ["again"]),
        helper.make_node("Tanh", ["again"], ["bent"]),
    ]
    arrays = weights()
    source = write(tmp_path / "model.onnx", nodes, arrays)
    target = quantised(source)
    assert operators(target).count("DequantizeLinear") == 2
    assert len(tensors(target)) == 5
    arrays["first"], arrays["second"] = rounded(arrays["first"]), rounded(arrays["second"])
    expected = run(write(tmp_path / "rounded.onnx", nodes, arrays))
    np.testing.assert_allclose(run(target), expected, atol=1e-5)


def test_a_weight_that_is_used_elsewhere_too_stays_there_as_it_is(tmp_path: Path) -> None:
    # As where words are looked up in, and compared with, one table.
    arrays = weights()
    arrays["table"] = arrays["first"].copy()
    del arrays["first"]
    nodes = layers()
    nodes[1].input[1] = "table"
    ids = helper.make_node("Mod", ["input_ids", "rows_of_it"], ["few"])
    nodes[0].input[1] = "few"
    arrays["rows_of_it"] = np.array(WIDTH, np.int64)
    source = write(tmp_path / "model.onnx", [ids, *nodes], arrays)
    target = quantised(source)
    found = tensors(target)
    np.testing.assert_array_equal(found["table"], arrays["table"])
    assert found["table_int8"].dtype == np.int8
    uses = [node for node in onnx.load(str(target)).graph.node if "table" in node.input]
    assert [node.op_type for node in uses] == ["Gather"]
    np.testing.assert_allclose(run(target), run(source), atol=0.05)


@pytest.mark.parametrize(
    "array",
    [
        np.ones((2, WIDTH, CLASSES), np.float32),
        np.ones(WIDTH, np.float32),
        np.ones((WIDTH, CLASSES), np.float64),
    ],
)
def test_what_is_no_matrix_of_fp32_stays(array: npt.NDArray[Any], tmp_path: Path) -> None:
    arrays = {**weights(), "second": array}
    target = quantised(write(tmp_path / "model.onnx", layers(), arrays))
    found = tensors(target)
    assert set(found) == {"table", "first_int8", "first_scales", "second"}
    np.testing.assert_array_equal(found["second"], array)


def test_a_matrix_in_front_of_a_product_stays(tmp_path: Path) -> None:
    nodes = layers()
    nodes[2:3] = [
        helper.make_node("MatMul", ["left", "inner"], ["mixed"]),
        helper.make_node("Tanh", ["mixed"], ["bent"]),
    ]
    arrays = {**weights(), "left": np.ones((5, 5), np.float32)}
    source = write(tmp_path / "model.onnx", nodes, arrays)
    found = tensors(quantised(source))
    np.testing.assert_array_equal(found["left"], arrays["left"])
    assert "left_int8" not in found


def no_products(path: Path) -> Path:
    """A graph that only looks up."""
    return write(path, [helper.make_node("Gather", ["table", "input_ids"], ["logits"])], weights())


def product_of_activations(path: Path) -> Path:
    """A product of what is only known when a text is."""
    nodes = [
        *layers()[:1],
        helper.make_node("Transpose", ["rows"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["rows", "turned"], ["logits"]),
    ]
    return write(path, nodes, {"table": weights()["table"]})


def old_operators(path: Path) -> Path:
    """A DequantizeLinear of its operators has one scale."""
    return write(path, layers(), weights(), opset=12)


@pytest.mark.parametrize("make", [no_products, product_of_activations, old_operators])
def test_a_graph_without_products_to_quantise_is_refused(make: Any, tmp_path: Path) -> None:
    source = make(tmp_path / "model.onnx")
    assert refusal(source) == "precision: the graph has no matrix products to quantise"


def test_the_oldest_operators_that_will_do_are_taken(tmp_path: Path) -> None:
    source = write(tmp_path / "model.onnx", layers(), weights(), opset=13)
    np.testing.assert_allclose(run(quantised(source)), run(source), atol=0.05)


def test_weights_may_lie_beside_the_graph_but_nowhere_else(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    split = write(
        folder / "model.onnx",
        layers(),
        weights(),
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=0,
    )
    assert (folder / "model.onnx.data").is_file()
    np.testing.assert_array_equal(run(quantised(split)), run(quantised(source)))
    (folder / "int8.onnx").unlink()
    model = onnx.load(str(split), load_external_data=False)
    model.graph.initializer[0].external_data[0].value = "../model.onnx"
    onnx.save_model(model, str(split))
    assert "model.onnx" in refusal(split)
