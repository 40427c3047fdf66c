"""utils/precision/int8/: linear layers in 8 bits."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.checkpoints import make_bert, make_gpt2
from tests.unit.converting import loaded
from tests.unit.graphs import write_graph
from utils import external_data
from utils.errors import UserError
from utils.precision.int8.quantise import RECIPES, Recipe, quantise
from utils.windows import merge_windows

VOCABULARY, WIDTH, INNER, CLASSES = 50, 64, 96, 3
GREAT = 5
OUTLIERS, MANY = RECIPES
STATIC = Recipe("static", channels=0, beyond=1)

Feed = dict[str, npt.NDArray[Any]]


def write_classifier(path: Path, shared: bool = False, great: float = 60) -> Path:
    """Two linear layers over tokens, the sum over those that the mask shows, two over texts.

    The first layer's weights are used as they are, the second's turned and renamed, as exporters
    do it; `shared` has both use the first one's. Channel GREAT is `great` times as great as others.
    """
    chooser = np.random.default_rng(0)
    inner = WIDTH if shared else INNER
    table = chooser.normal(0, 1, (VOCABULARY, WIDTH))
    table[:, GREAT] *= great
    arrays = {
        "table": table,
        "first": chooser.normal(0, 0.1, (WIDTH, inner)),
        "first_bias": chooser.normal(0, 1, inner),
        "second": chooser.normal(0, 0.1, (WIDTH, inner)),
        "pooler": chooser.normal(0, 0.1, (WIDTH, WIDTH)),
        "head": chooser.normal(0, 0.3, (CLASSES, WIDTH)),
        "head_bias": chooser.normal(0, 1, CLASSES),
    }
    node = helper.make_node
    second = [
        node("Identity", ["second"], ["renamed"]),
        node("Transpose", ["renamed"], ["turned"], perm=[1, 0]),
        node("MatMul", ["bent", "turned"], ["outer"]),
    ]
    nodes = [
        node("Gather", ["table", "input_ids"], ["rows"]),
        node("MatMul", ["rows", "first"], ["product"]),
        node("Add", ["first_bias", "product"], ["sum"]),
        node("Relu", ["sum"], ["bent"]),
        *([node("MatMul", ["bent", "first"], ["outer"])] if shared else second),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["mask", "last"], ["column"]),
        node("Mul", ["outer", "column"], ["shown"]),
        node("ReduceSum", ["shown", "middle"], ["pooled"], keepdims=0),
        node("Gemm", ["pooled", "pooler"], ["dense"]),
        node("Gemm", ["dense", "head", "head_bias"], ["logits"], transB=1),
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
            *(numpy_helper.from_array(a.astype(np.float32), name) for name, a in arrays.items()),
            numpy_helper.from_array(np.array([-1], np.int64), "last"),
            numpy_helper.from_array(np.array([1], np.int64), "middle"),
        ],
    )
    if shared:
        del graph.initializer[3]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, str(path))
    return path


def feed(*lengths: int, seed: int = 0) -> Feed:
    """Texts of so many tokens in one padded batch."""
    ids = np.zeros((len(lengths), max(lengths)), np.int64)
    mask = np.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = np.random.default_rng([seed, row]).integers(1, VOCABULARY, length)
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask}


SAMPLES = [feed(length, seed=length) for length in range(4, 16)]
TEXTS = [feed(length, seed=1000 + length) for length in range(3, 30)]


def run(path: Path, inputs: Feed) -> npt.NDArray[np.float32]:
    """Logits [texts, classes]."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    logits: npt.NDArray[np.float32] = session.run(None, inputs)[0]
    return logits


def difference(one: Path, other: Path) -> float:
    """How far apart the logits of TEXTS are, as a share of their size."""
    first, second = (np.concatenate([run(path, item) for item in TEXTS]) for path in (one, other))
    return float(np.abs(first - second).max() / np.abs(first).max())


def quantised(source: Path, recipe: Recipe = OUTLIERS) -> Path:
    """The graph in 8 bits, in a folder beside it."""
    target = source.parent / "int8" / "model.onnx"
    target.parent.mkdir(exist_ok=True)
    quantise(source, target, recipe, SAMPLES)
    return target


def operators(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(str(path)).graph.node)


def test_recipes_come_from_the_fastest_to_the_most_exact(tmp_path: Path) -> None:
    # Four channels reach 1.5 times as far as the others, one reaches far beyond.
    source = write_classifier(tmp_path / "model.onnx")
    model = onnx.load(str(source))
    table = numpy_helper.to_array(model.graph.initializer[0]).copy()
    table[:, 10] *= 2
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(table, "table"))
    onnx.save_model(model, str(source))
    differences = [difference(source, quantised(source, recipe)) for recipe in RECIPES]
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES)
    assert differences == sorted(differences, reverse=True)


def test_a_channel_far_greater_than_the_others_costs_them_no_precision(tmp_path: Path) -> None:
    source = write_classifier(tmp_path / "model.onnx")
    assert difference(source, quantised(source)) < 0.01
    assert difference(source, quantised(source, STATIC)) > 0.02


def test_channels_that_are_alike_all_stay_in_8_bits(tmp_path: Path) -> None:
    target = quantised(write_classifier(tmp_path / "model.onnx", great=1))
    assert operators(target)["Gather"] == 1
    assert operators(target)["MatMul"] == 0


def test_layers_over_tokens_are_in_8_bits_and_those_over_texts_are_not(tmp_path: Path) -> None:
    target = quantised(write_classifier(tmp_path / "model.onnx"), STATIC)
    found = operators(target)
    assert (found["MatMulIntegerToFloat"], found["MatMul"], found["Gemm"]) == (2, 0, 2)


def test_the_new_nodes_are_such_as_old_versions_of_onnx_runtime_know(tmp_path: Path) -> None:
    source = write_classifier(tmp_path / "model.onnx")
    model = onnx.load(str(quantised(source)))
    versions = {item.domain: item.version for item in model.opset_import}
    assert (model.ir_version, versions) == (8, {"": 17, "com.microsoft": 1})
    assert set(operators(quantised(source))) - set(operators(source)) == {
        "MatMulIntegerToFloat",
        "QuantizeLinear",
    }


def test_inputs_and_outputs_stay_as_they_are(tmp_path: Path) -> None:
    source = write_classifier(tmp_path / "model.onnx")
    before, after = (onnx.load(str(path)).graph for path in (source, quantised(source)))
    assert list(after.input) == list(before.input)
    assert list(after.output) == list(before.output)


def test_the_answer_to_a_text_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    for recipe in RECIPES:
        target = quantised(write_classifier(tmp_path / "model.onnx"), recipe)
        batch = feed(7, 100)
        alone = {name: array[:1, :7] for name, array in batch.items()}
        np.testing.assert_allclose(run(target, alone), run(target, batch)[:1], atol=1e-5)


def test_weights_of_8_bits_replace_those_of_32(tmp_path: Path) -> None:
    source = write_classifier(tmp_path / "model.onnx")
    tensors = {item.name: item for item in onnx.load(str(quantised(source))).graph.initializer}
    assert not {"first", "second"} & set(tensors)
    assert {"first_bias", "head", "table"} <= set(tensors)
    sizes = sorted(len(item.raw_data) for item in tensors.values() if item.data_type == 3)
    assert sizes == [WIDTH * INNER, WIDTH * INNER]


def test_weights_that_layers_share_are_written_once(tmp_path: Path) -> None:
    source = write_classifier(tmp_path / "model.onnx", shared=True)
    target = quantised(source)
    matrices = [i for i in onnx.load(str(target)).graph.initializer if i.data_type == 3]
    assert operators(target)["MatMulIntegerToFloat"] == 2
    assert len(matrices) == 1
    assert difference(source, target) < 0.05


def test_a_tensor_that_several_layers_take_is_rounded_once(tmp_path: Path) -> None:
    source = write_classifier(tmp_path / "model.onnx", shared=True)
    model = onnx.load(str(source))
    other = numpy_helper.to_array(model.graph.initializer[1])[:, ::-1].copy()
    model.graph.initializer.append(numpy_helper.from_array(other, "other"))
    model.graph.node[4].input[0] = "twice"
    model.graph.node.insert(4, helper.make_node("Add", ["bent", "beside"], ["twice"]))
    model.graph.node.insert(4, helper.make_node("MatMul", ["rows", "other"], ["beside"]))
    onnx.save_model(model, str(source))
    target = quantised(source)
    found = operators(target)
    assert (found["MatMulIntegerToFloat"], found["QuantizeLinear"], found["Gather"]) == (3, 2, 3)
    assert difference(source, target) < 0.1


def test_texts_in_windows_are_answered_as_before(tmp_path: Path) -> None:
    source = write_classifier(tmp_path / "model.onnx")
    merge_windows(source, "mean")
    samples = [{name: array[:, None] for name, array in item.items()} for item in SAMPLES]
    target = tmp_path / "int8.onnx"
    quantise(source, target, OUTLIERS, samples)
    two = {name: array[None] for name, array in feed(9, 5).items()}
    before, after = run(source, two), run(target, two)
    assert operators(target)["MatMulIntegerToFloat"] == 2
    np.testing.assert_allclose(after, before, atol=0.01 * np.abs(before).max())


def test_weights_may_lie_beside_the_graph(tmp_path: Path) -> None:
    source = write_classifier(tmp_path / "model.onnx")
    outside = tmp_path / "outside" / "model.onnx"
    outside.parent.mkdir()
    options = {"save_as_external_data": True, "location": "model.onnx.data"}
    onnx.save_model(onnx.load(str(source)), str(outside), **options)
    assert difference(source, quantised(outside)) < 0.01


def test_weights_too_large_for_one_file_get_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_data, "LARGEST_SINGLE_FILE", 1000)
    source = write_classifier(tmp_path / "model.onnx")
    target = quantised(source)
    assert {path.name for path in target.parent.iterdir()} == {"model.onnx", "model.onnx.data"}
    assert difference(source, target) < 0.01


def test_a_graph_without_linear_layers_is_refused(tmp_path: Path) -> None:
    source = write_graph(tmp_path / "model.onnx", ("input_ids", "attention_mask"))
    with pytest.raises(UserError, match="has no linear layers over tokens"):
        quantised(source)


@pytest.mark.parametrize("content", [b"", b"not a graph"])
def test_what_is_no_graph_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(UserError, match="precision: "):
        quantised(tmp_path / "model.onnx")


def test_a_graph_that_fails_on_the_samples_is_refused(tmp_path: Path) -> None:
    source = write_classifier(tmp_path / "model.onnx")
    strange = [{"input_ids": np.full((1, 4), VOCABULARY), "attention_mask": np.ones((1, 4), int)}]
    with pytest.raises(UserError, match="precision: ONNX Runtime fails"):
        quantise(source, tmp_path / "int8.onnx", OUTLIERS, strange)


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = write_classifier(tmp_path / "model.onnx")
    model = onnx.load(str(source))
    # ONNX Runtime warns of these.
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "unused"))
    onnx.save_model(model, str(source))
    quantised(source)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
@pytest.mark.parametrize(("make", "layers"), [(make_bert, 12), (make_gpt2, 8)])
def test_graphs_of_both_exporters_keep_their_labels(
    make: Any, layers: int, exporter: str, tmp_path: Path
) -> None:
    from utils.behaviour import Options, settle
    from utils.onnx_export import export_onnx

    classifier = loaded(make(tmp_path / "checkpoint"))
    classes = classifier.model.config.num_labels
    labels = {number: str(number) for number in range(classes)}
    settled, _ = settle(Options(), classifier.model.config, 40, 2, labels)
    (tmp_path / "exported").mkdir()
    export_onnx(classifier, settled, tmp_path / "exported", exporter)
    source, target = tmp_path / "exported" / "model.onnx", tmp_path / "int8.onnx"
    texts = [
        {name: array for name, array in item.items() if name in classifier.input_names}
        | ({"token_type_ids": np.zeros_like(item["input_ids"])} if make is make_bert else {})
        for item in SAMPLES
    ]
    quantise(source, target, MANY, texts)
    before, after = (
        np.concatenate([run(path, item) for item in texts]) for path in (source, target)
    )
    assert operators(target)["MatMulIntegerToFloat"] == layers
    np.testing.assert_allclose(after, before, atol=0.1 * np.ptp(before))
    assert np.mean(after.argmax(axis=-1) == before.argmax(axis=-1)) > 0.9
