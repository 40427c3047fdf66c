"""The parity gate, the choice of exporter and the cache of conversions."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification

from tests.checkpoints import Checkpoint, make_distilbert
from tests.unit.commands import ROOT, error_line
from tests.unit.converting import arguments, convert, refusal
from utils import conversion, onnx_export
from utils.artifacts import read_reference, read_settings
from utils.checkpoint import Classifier, load_classifier
from utils.errors import UserError
from utils.onnx_export import EXPORTERS, export_dynamo, export_torchscript
from utils.samples import BUILT_IN
from utils.tokenizer_export import check_same_ids, export_tokenizer

Exporter = Callable[[Classifier, Path], None]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A folder to convert to, alone in its parent."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "model"


def broken(*_: object) -> None:
    """An exporter that fails after it has written something."""
    raise RuntimeError("cannot trace this\nand much more")


def shifted(name_ends: str, shift: list[float]) -> Exporter:
    """The tracing exporter, with the start of one weight shifted in the graph."""

    def export(classifier: Classifier, folder: Path) -> None:
        export_torchscript(classifier, folder)
        path = folder / "model.onnx"
        model = onnx.load(str(path))
        (weight,) = (item for item in model.graph.initializer if item.name.endswith(name_ends))
        array = numpy_helper.to_array(weight).copy()
        array.flat[: len(shift)] += np.array(shift, array.dtype)
        weight.CopyFrom(numpy_helper.from_array(array, weight.name))
        onnx.save_model(model, str(path))

    return export


def counted(exporter: Exporter, calls: list[str], name: str) -> Exporter:
    """The exporter, which also puts its name on a list."""

    def export(classifier: Classifier, folder: Path) -> None:
        calls.append(name)
        exporter(classifier, folder)

    return export


def test_a_damaged_weight_does_not_pass_the_parity_gate(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTERS, "torchscript", shifted("classifier.bias", [1e-2]))
    message = refusal(bert, target, "--exporter", "torchscript")
    assert message.startswith("parity gate: logits differ by 0.01 (at most 0.0001) for a text")


def test_a_damage_to_one_token_is_found_in_the_text_that_has_it(
    bert: Checkpoint, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = tmp_path / "samples.txt"
    samples.write_text("dog\n👍\nfox\n", encoding="utf-8")
    vocabulary = Tokenizer.from_file(str(bert.tokenizer / "tokenizer.json")).get_vocab()
    shift = [*[0.0] * 32 * vocabulary["👍"], 1.0]
    monkeypatch.setitem(EXPORTERS, "torchscript", shifted("word_embeddings.weight", shift))
    message = refusal(bert, target, "--samples", samples, "--exporter", "torchscript")
    assert message.endswith("for a text alone: '👍'")


def test_padding_that_leaks_into_answers_does_not_pass_the_parity_gate(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(classifier: Classifier, folder: Path) -> None:
        export_torchscript(classifier, folder)
        path = folder / "model.onnx"
        model = onnx.load(str(path))
        # A graph that takes every token for text.
        for node in model.graph.node:
            for index, name in enumerate(node.input):
                if name == "attention_mask":
                    node.input[index] = "unmasked"
        shape = onnx.helper.make_node("Shape", ["attention_mask"], ["mask_shape"])
        value = numpy_helper.from_array(np.array([1], np.int64))
        fill = onnx.helper.make_node("ConstantOfShape", ["mask_shape"], ["unmasked"], value=value)
        model.graph.node.insert(0, fill)
        model.graph.node.insert(0, shape)
        onnx.save_model(model, str(path))

    monkeypatch.setitem(EXPORTERS, "torchscript", export)
    message = refusal(bert, target, "--exporter", "torchscript")
    assert "for a text in a padded batch" in message


def test_a_changed_label_does_not_pass_the_parity_gate_however_small_the_difference(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = make_distilbert(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint.model)
    with torch.no_grad():
        # Two classes whose logits differ by 4e-5 for every text.
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([4e-5, 0.0]))
    model.save_pretrained(checkpoint.model)
    monkeypatch.setitem(EXPORTERS, "torchscript", shifted("classifier.bias", [-8e-5]))
    message = refusal(checkpoint, target, "--exporter", "torchscript")
    assert message.startswith("parity gate: another label for a text alone: ")


def test_a_graph_that_is_not_a_number_does_not_pass_the_parity_gate(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTERS, "torchscript", shifted("classifier.bias", [float("nan")]))
    assert "logits differ by nan" in refusal(bert, target, "--exporter", "torchscript")


def test_a_small_shift_passes_the_gate_and_is_reported(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTERS, "torchscript", shifted("classifier.bias", [5e-5]))
    settings = read_settings(convert(bert, target, "--exporter", "torchscript"))
    assert settings.largest_difference == pytest.approx(5e-5, rel=0.05)


def test_auto_falls_back_to_dynamo_when_tracing_fails(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTERS, "torchscript", broken)
    # One layer, because dynamo takes seconds.
    settings = read_settings(convert(make_distilbert(tmp_path, n_layers=1), target))
    assert settings.exporter == "dynamo"
    assert settings.largest_difference < 1e-5
    assert len(list(target.iterdir())) == 5


def test_an_exporter_that_fails_in_training_mode_leaves_the_model_in_evaluation_mode(
    bert: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_in_training_mode(classifier: Classifier, _: Path) -> None:
        classifier.model.train()
        raise RuntimeError("cannot trace this")

    monkeypatch.setitem(EXPORTERS, "torchscript", fail_in_training_mode)
    classifier = load_classifier(bert.model, bert.tokenizer, 0)
    with pytest.raises(UserError):
        onnx_export.export_onnx(classifier, tmp_path, "torchscript")
    assert not classifier.model.training


def test_what_an_exporter_prints_from_c_code_does_not_reach_stdout(
    bert: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def talk(*_: object) -> None:
        os.write(1, b"graph(%input.1 : Long)")
        raise RuntimeError("cannot trace this")

    monkeypatch.setitem(EXPORTERS, "torchscript", talk)
    classifier = load_classifier(bert.model, bert.tokenizer, 0)
    capfd.readouterr()
    with pytest.raises(UserError):
        onnx_export.export_onnx(classifier, tmp_path, "torchscript")
    print("after")
    assert capfd.readouterr().out == "after\n"


def test_auto_falls_back_when_the_first_graph_does_not_pass_the_gate(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTERS, "torchscript", shifted("classifier.bias", [1e-2]))
    # The tracer stands in for dynamo, which takes seconds.
    monkeypatch.setitem(EXPORTERS, "dynamo", export_torchscript)
    settings = read_settings(convert(bert, target))
    assert settings.exporter == "dynamo"
    assert settings.largest_difference < 1e-6


def test_auto_does_not_try_dynamo_when_tracing_works(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name, exporter in (("torchscript", export_torchscript), ("dynamo", export_dynamo)):
        monkeypatch.setitem(EXPORTERS, name, counted(exporter, calls, name))
    convert(bert, target)
    assert calls == ["torchscript"]


def test_the_reasons_of_all_exporters_are_told_when_all_fail(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTERS, "torchscript", broken)
    monkeypatch.setitem(EXPORTERS, "dynamo", broken)
    assert refusal(bert, target) == (
        "export: exporter torchscript: failed: cannot trace this;"
        " exporter dynamo: failed: cannot trace this"
    )


def test_a_chosen_exporter_that_fails_is_not_replaced(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTERS, "torchscript", broken)
    message = refusal(bert, target, "--exporter", "torchscript")
    assert message == "exporter torchscript: failed: cannot trace this"


def test_a_graph_with_an_input_that_no_tokenizer_fills_is_refused(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(classifier: Classifier, folder: Path) -> None:
        export_torchscript(classifier, folder)
        model = onnx.load(str(folder / "model.onnx"))
        model.graph.input.append(
            onnx.helper.make_tensor_value_info("position_ids", onnx.TensorProto.INT64, [1])
        )
        onnx.save_model(model, str(folder / "model.onnx"))

    monkeypatch.setitem(EXPORTERS, "torchscript", export)
    message = refusal(bert, target, "--exporter", "torchscript")
    assert "takes position_ids, which no tokenizer makes" in message


def test_weights_beyond_protobufs_limit_go_to_a_file_of_their_own(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(classifier: Classifier, folder: Path) -> None:
        export_torchscript(classifier, folder)
        path = folder / "model.onnx"
        onnx.save_model(
            onnx.load(str(path)),
            str(path),
            save_as_external_data=True,
            all_tensors_to_one_file=False,
            size_threshold=0,
        )

    monkeypatch.setitem(EXPORTERS, "torchscript", export)
    monkeypatch.setattr(onnx_export, "LARGEST_SINGLE_FILE", 1000)
    convert(bert, target, "--exporter", "torchscript")
    names = {path.name for path in target.iterdir()}
    assert {"model.onnx", "model.onnx.data"} <= names
    assert len(names) == 6


def test_weights_below_protobufs_limit_go_into_the_graph_whatever_the_exporter_did(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(classifier: Classifier, folder: Path) -> None:
        export_torchscript(classifier, folder)
        path = folder / "model.onnx"
        onnx.save_model(onnx.load(str(path)), str(path), save_as_external_data=True)

    monkeypatch.setitem(EXPORTERS, "torchscript", export)
    convert(bert, target, "--exporter", "torchscript")
    assert len(list(target.iterdir())) == 5


def test_a_tokenizer_that_gives_other_ids_is_refused_naming_the_text(
    bert: Checkpoint, tmp_path: Path
) -> None:
    classifier = load_classifier(bert.model, bert.tokenizer, 0)
    exported = export_tokenizer(classifier, tmp_path)
    check_same_ids(classifier, exported, ["fox", "dog"])
    exported.add_tokens(["dog"])
    with pytest.raises(UserError, match="other token ids for 'dog'"):
        check_same_ids(classifier, exported, ["fox", "dog"])


def test_a_conversion_whose_tokenizer_gives_other_ids_is_refused(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lossy(classifier: Classifier, folder: Path) -> Tokenizer:
        tokenizer = export_tokenizer(classifier, folder)
        tokenizer.add_tokens(["fox"])
        return tokenizer

    monkeypatch.setattr(conversion, "export_tokenizer", lossy)
    assert "tokenizer.json gives other token ids for 'fox'" in refusal(bert, target)


@pytest.fixture
def without_torch(tmp_path: Path) -> dict[str, str]:
    """An environment in which importing torch or transformers fails."""
    folder = tmp_path / "stubs"
    folder.mkdir()
    for name in ("torch", "transformers"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')\n")
    return {"PYTHONPATH": str(folder)}


def run(
    checkpoint: Checkpoint, target: Path, env: dict[str, str], *options: str | Path
) -> subprocess.CompletedProcess[str]:
    """The conversion as a command of its own."""
    return subprocess.run(
        [
            *(sys.executable, ROOT / "utils" / "convert_to_onnx.py"),
            *arguments(checkpoint, target, *options),
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        env={**os.environ, **env},
    )


@pytest.fixture(scope="module")
def cache(bert: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with one conversion of the BERT."""
    folder = tmp_path_factory.mktemp("cached")
    convert(bert, folder / "first", "--cache", folder / "cache")
    return folder / "cache"


def test_a_second_run_takes_the_cached_conversion_without_importing_torch(
    bert: Checkpoint, cache: Path, target: Path, without_torch: dict[str, str]
) -> None:
    result = run(bert, target, without_torch, "--cache", cache)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    first = cache.with_name("first")
    assert {path.name for path in target.iterdir()} == {path.name for path in first.iterdir()}
    for path in first.iterdir():
        assert (target / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize(
    "options",
    [("--max-length", "9"), ("--exporter", "torchscript"), ("--samples", BUILT_IN)],
    ids=lambda options: options[0],
)
def test_another_option_is_another_conversion(
    options: tuple[str, str | Path],
    bert: Checkpoint,
    cache: Path,
    target: Path,
    without_torch: dict[str, str],
) -> None:
    result = run(bert, target, without_torch, "--cache", cache, *options)
    assert "was imported" in result.stderr
    assert not target.exists()


def test_a_changed_checkpoint_is_another_conversion(target: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for number, name in enumerate(("one", "two")):
        checkpoint = make_distilbert(tmp_path / "same", id2label={0: "a", 1: name})
        checkpoint.labels.write_text(f'{{"0": "a", "1": "{name}"}}')
        folder = convert(checkpoint, target.with_name(name), "--cache", cache)
        assert name in read_reference(folder / "reference.json")[0].labels
        assert len(list(cache.iterdir())) == number + 1


def test_a_failed_conversion_is_not_cached(
    bert: Checkpoint, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTERS, "torchscript", broken)
    options = ("--exporter", "torchscript", "--cache", tmp_path / "cache")
    refusal(bert, target, *options)
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_can_be_refused_early_is_refused_without_importing_torch(
    bert: Checkpoint, target: Path, without_torch: dict[str, str]
) -> None:
    result = run(bert, target, without_torch, "--labels", target.parent / "absent.json")
    assert error_line(result).endswith("absent.json: no such file")
    assert not target.exists()
