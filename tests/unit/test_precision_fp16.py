"""utils/precision/fp16/: graphs of several architectures in fp16, with fused nodes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from tests.unit.reports import make_behaviour
from utils.errors import UserError
from utils.targets.profiles import read_profile

if TYPE_CHECKING:
    from utils.precision.fp16.convert import Half
    from utils.precision.fp16.probing import Feeds

TEXTS = (
    "hi",
    "the quick brown fox jumps over the lazy dog",
    "thank you , everything works ! why ? 0 1 2 3",
    "помогите мне",
    "съешь же ещё этих мягких французских булок , да выпей чаю , помогите",
)
FP16 = read_profile("cuda").precisions["fp16"]

BEHAVIOUR = make_behaviour(max_length=64, stride=8, max_windows=4)

# What stands in two layers' place; DeBERTa's attention has scores of places in it.
FUSED: dict[str, dict[str, int]] = {
    "albert": {"Attention": 2, "SkipLayerNormalization": 4, "FastGelu": 2},
    "bert": {"Attention": 2, "SkipLayerNormalization": 4, "BiasGelu": 2},
    "deberta-v2": {"SkipLayerNormalization": 4, "BiasGelu": 2, "Gelu": 1},
    "distilbert": {"Attention": 2, "SkipLayerNormalization": 4, "BiasGelu": 2},
    "gpt2": {"MultiHeadAttention": 2, "SkipLayerNormalization": 4, "FastGelu": 2},
    "modernbert": {"MultiHeadAttention": 2, "SkipLayerNormalization": 4, "Gelu": 3},
    "mpnet": {"Attention": 2, "SkipLayerNormalization": 5, "BiasGelu": 2},
    "qwen2": {"MultiHeadAttention": 2, "SkipSimplifiedLayerNormalization": 4},
    "xlm-roberta": {"Attention": 2, "SkipLayerNormalization": 4, "BiasGelu": 2},
}


class Exported:
    """A tiny model's graph in fp32 and token rows for it."""

    def __init__(self, model_type: str, folder: Path) -> None:
        from tests.architectures.tiny import make_tiny
        from tests.unit.converting import loaded
        from utils.onnx_export import export_onnx

        classifier = loaded(make_tiny(model_type, folder))
        self.graph = folder / "graph" / "model.onnx"
        self.graph.parent.mkdir()
        export_onnx(classifier, BEHAVIOUR, self.graph.parent, "torchscript")
        self.padding_id = classifier.padding_id
        self.rows: list[Feeds] = []
        for text in TEXTS:
            encoded = classifier.tokenizer(text, truncation=True, max_length=60)
            self.rows.append({name: np.array([encoded[name]]) for name in classifier.input_names})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An Exported of a model type, made once."""
    return cache(lambda model_type: Exported(model_type, tmp_path_factory.mktemp(model_type)))


def convert(source: Exported, target: Path, **options: Any) -> Half:
    """Convert to fp16 as padding on the right wants it."""
    from utils.precision.fp16.convert import to_fp16

    settings: dict[str, Any] = {
        "model_type": "tiny",
        "behaviour": BEHAVIOUR,
        "padding_id": source.padding_id,
        "precision": FP16,
    }
    return to_fp16(source.graph, target, source.rows, **(settings | options))


@pytest.fixture(scope="module")
def converted(exported: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model type's Exported, its graph in fp16 and what to_fp16 said, made once."""

    @cache
    def make(model_type: str) -> tuple[Exported, Path, Half]:
        target = tmp_path_factory.mktemp(f"{model_type}-fp16") / "model.onnx"
        return exported(model_type), target, convert(exported(model_type), target)

    return make


def answers(path: Path, batch: Feeds) -> Any:
    """Logits of ONNX Runtime on the CPU."""
    from utils.frameworks import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, dict(batch))[0]


def nodes(path: Path, *op_types: str) -> list[onnx.NodeProto]:
    """The nodes of some types, in order."""
    return [node for node in onnx.load(str(path)).graph.node if node.op_type in op_types]


def maker(path: Path, name: str) -> str:
    """The type of the node that makes a tensor."""
    graph = onnx.load(str(path)).graph
    return next((node.op_type for node in graph.node if name in node.output), "")


def padded(source: Exported, side: str = "right") -> Feeds:
    """All rows in one batch."""
    from utils.precision.fp16.rows import padded_rows

    return max(
        padded_rows(source.rows, side, source.padding_id),
        key=lambda batch: int(batch["input_ids"].size),
    )


@pytest.mark.parametrize("model_type", FUSED)
def test_attention_norms_and_activations_become_single_nodes(
    converted: Any, model_type: str
) -> None:
    _, _, half = converted(model_type)
    assert half.fused == FUSED[model_type]
    assert half.agreement == 1.0
    assert 0 < half.largest_difference < 5e-3


@pytest.mark.parametrize("model_type", FUSED)
def test_padded_batches_are_answered_as_in_fp32(converted: Any, model_type: str) -> None:
    source, target, _ = converted(model_type)
    batch = padded(source)
    assert np.abs(answers(target, batch) - answers(source.graph, batch)).max() < 2e-2


def test_inputs_and_outputs_are_as_before_and_weights_have_half_the_bytes(converted: Any) -> None:
    source, target, _ = converted("bert")
    before, after = onnx.load(str(source.graph)).graph, onnx.load(str(target)).graph
    assert list(after.input) == list(before.input)
    assert list(after.output) == list(before.output)
    assert after.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    kinds = {tensor.data_type for tensor in after.initializer if np.prod(tensor.dims) > 3}
    assert TensorProto.FLOAT not in kinds
    assert TensorProto.FLOAT16 in kinds


def test_padding_on_the_right_is_told_as_lengths_of_rows(converted: Any) -> None:
    _, target, _ = converted("bert")
    masks = {node.input[3] for node in nodes(target, "Attention")}
    assert [maker(target, name) for name in masks] == ["Gather"]
    assert len(nodes(target, "CumSum")) == 1


def test_padding_on_the_left_is_told_token_by_token(exported: Any, tmp_path: Path) -> None:
    source, target = exported("qwen2"), tmp_path / "model.onnx"
    half = convert(source, target, behaviour=replace(BEHAVIOUR, padding="left"))
    assert half.fused == FUSED["qwen2"]
    masks = {node.input[4] for node in nodes(target, "MultiHeadAttention")}
    assert [maker(target, name) for name in masks] == ["Cast"]
    batch = padded(source, "left")
    assert np.abs(answers(target, batch) - answers(source.graph, batch)).max() < 2e-2


def test_a_decoder_padded_on_the_right_needs_no_mask(converted: Any) -> None:
    _, target, _ = converted("gpt2")
    assert [len(node.input) for node in nodes(target, "MultiHeadAttention")] == [3, 3]


def test_attention_to_near_tokens_alone_keeps_its_bias(exported: Any, tmp_path: Path) -> None:
    source, target = exported("modernbert"), tmp_path / "model.onnx"
    # Every text is shorter than the 8 tokens that a token sees: only the longest row tells.
    source = _with_rows(source, [row for row in source.rows if row["input_ids"].size < 8])
    convert(source, target)
    told = [list(map(bool, node.input[4:])) for node in nodes(target, "MultiHeadAttention")]
    assert sorted(told) == [[False, True], [True]]


def _with_rows(source: Exported, rows: list[Feeds]) -> Exported:
    copied: Exported = object.__new__(Exported)
    copied.graph, copied.padding_id, copied.rows = source.graph, source.padding_id, rows
    assert rows
    return copied


def test_a_bias_has_all_heads_written_out(converted: Any) -> None:
    # ONNX Runtime 1.20 misreads [rows, 1, tokens, tokens].
    from utils.precision.fp16.probing import tensor_values

    source, target, _ = converted("modernbert")
    names = [node.input[5] for node in nodes(target, "MultiHeadAttention") if len(node.input) > 5]
    batch = padded(source)
    bias = tensor_values(onnx.load(str(target)), names, batch)[names[0]]
    rows, tokens = batch["input_ids"].shape
    assert bias.shape == (rows, 4, tokens, tokens)
    assert np.isfinite(bias).all()


def test_places_of_tokens_are_computed_in_fp32(converted: Any) -> None:
    from utils.precision.fp16.probing import tensor_types

    for model_type, op_type in (("modernbert", "Cos"), ("mpnet", "Log")):
        _, target, _ = converted(model_type)
        kinds = tensor_types(onnx.load(str(target)))
        made = [node.output[0] for node in nodes(target, op_type)]
        assert made, op_type
        assert {kinds[name] for name in made} == {"tensor(float)"}


@pytest.mark.parametrize("merge", ["mean", "max"])
def test_windows_are_merged_in_fp32(exported: Any, tmp_path: Path, merge: str) -> None:
    from utils.precision.fp16.probing import tensor_types
    from utils.windows import merge_windows

    source = exported("bert")
    graph, target = tmp_path / "windows.onnx", tmp_path / "model.onnx"
    graph.write_bytes(source.graph.read_bytes())
    merge_windows(graph, merge)
    # Two windows of each text, the second one of the first text empty.
    rows: list[Feeds] = []
    for number, row in enumerate(source.rows):
        two = {name: np.stack([array, array[:, ::-1]], axis=1) for name, array in row.items()}
        two["attention_mask"][:, 1] = min(number, 1)
        rows.append(two)
    windowed = _with_rows(source, rows)
    windowed.graph = graph
    half = convert(windowed, target, behaviour=replace(BEHAVIOUR, long_text="window", merge=merge))
    assert half.fused == FUSED["bert"]
    batch = padded(windowed)
    assert np.abs(answers(target, batch) - answers(graph, batch)).max() < 2e-2
    kinds = tensor_types(onnx.load(str(target)))
    assert kinds["filled_rows"] == kinds["of_windows"] == "tensor(float)"


def test_fused_nodes_that_answer_otherwise_are_not_taken(
    exported: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from utils.precision.fp16 import fusion
    from utils.precision.fp16.attention_fusion import fuse_attention

    def wrong(model: onnx.ModelProto, *arguments: Any) -> None:
        fuse_attention(model, *arguments)
        for node in model.graph.node:
            for item in node.attribute:
                if item.name == "scale":
                    item.f *= 1.1

    monkeypatch.setattr(fusion, "fuse_attention", wrong)
    half = convert(exported("bert"), tmp_path / "model.onnx")
    assert half.fused == {"SkipLayerNormalization": 4, "BiasGelu": 2}


def test_values_that_fp16_cannot_hold_are_found_although_a_cpu_holds_them(
    exported: Any, tmp_path: Path
) -> None:
    source = exported("bert")
    model = onnx.load(str(source.graph))
    # 64 is the size of the intermediate layer: its numbers go up, and down again behind it.
    for tensor in model.graph.initializer:
        factor = {(32, 64): 3e4, (64,): 3e4, (64, 32): 1e-5}.get(tuple(tensor.dims))
        if factor:
            scaled = (numpy_helper.to_array(tensor) * factor).astype(np.float32)
            assert np.abs(scaled).max() < np.finfo(np.float16).max
            tensor.CopyFrom(numpy_helper.from_array(scaled, tensor.name))
    large = _with_rows(source, source.rows)
    large.graph = tmp_path / "large.onnx"
    onnx.save_model(model, str(large.graph))
    with pytest.raises(UserError, match=r"^precision: tiny in fp16 overflows: .* \(take fp32\)$"):
        convert(large, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_answers_that_move_too_far_are_refused(exported: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"moves a score by .* \(at most 1e-09\)"):
        convert(exported("bert"), tmp_path / "model.onnx", precision=replace(FP16, difference=1e-9))
    with pytest.raises(UserError, match=r"keeps 100\.00% of 9 labels \(at least 101\.00%\)"):
        convert(exported("bert"), tmp_path / "model.onnx", precision=replace(FP16, agreement=1.01))
    assert not (tmp_path / "model.onnx").exists()
