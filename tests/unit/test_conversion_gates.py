"""The parity gate, the choice of exporter and the cache of conversions."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from tokenizers import Tokenizer, processors
from transformers import AutoModelForSequenceClassification

from tests.checkpoints import Checkpoint, make_distilbert
from tests.unit.commands import ROOT, error_line
from tests.unit.converting import arguments, convert, loaded, refusal
from tests.unit.reports import make_behaviour
from tests.unit.tokenizer_kinds import served_tokenization, word_level
from utils import conversion, external_data, onnx_export, parity, windows
from utils.artifacts import Behaviour, read_reference, read_report
from utils.checkpoint import Classifier
from utils.encoding import encode
from utils.errors import UserError
from utils.onnx_export import EXPORTERS, export_dynamo, export_torchscript
from utils.parity import exported_logits
from utils.samples import BUILT_IN, Example
from utils.served import Encoded, Tokenization
from utils.tokenizer_export import check_same_ids, export_tokenizer

Exporter = Callable[[Classifier, Behaviour, Path], None]


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

    def export(classifier: Classifier, behaviour: Behaviour, folder: Path) -> None:
        export_torchscript(classifier, behaviour, folder)
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

    def export(classifier: Classifier, behaviour: Behaviour, folder: Path) -> None:
        calls.append(name)
        exporter(classifier, behaviour, folder)

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


@pytest.mark.parametrize("texts", ["fox\n", "fox\ndog\n", "fox\nthe lazy dog\n"])
def test_padding_that_leaks_into_answers_does_not_pass_the_parity_gate_whatever_the_samples(
    texts: str, bert: Checkpoint, tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(classifier: Classifier, behaviour: Behaviour, folder: Path) -> None:
        export_torchscript(classifier, behaviour, folder)
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
    samples = tmp_path / "samples.txt"
    samples.write_text(texts, encoding="utf-8")
    message = refusal(bert, target, "--samples", samples, "--exporter", "torchscript")
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
    report = read_report(convert(bert, target, "--exporter", "torchscript"))
    assert report.parity.largest_difference == pytest.approx(5e-5, rel=0.05)


def test_a_loosened_tolerance_lets_a_larger_shift_pass_and_is_reported(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTERS, "torchscript", shifted("classifier.bias", [1e-2]))
    folder = convert(bert, target, "--exporter", "torchscript", "--tolerance", "0.02")
    report = read_report(folder)
    assert report.parity.largest_difference == pytest.approx(1e-2, rel=0.05)
    assert report.parity.tolerance == 0.02
    assert read_reference(folder / "reference.json").tolerance == 0.02


def test_a_shift_over_the_loosened_tolerance_does_not_pass(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTERS, "torchscript", shifted("classifier.bias", [3e-2]))
    message = refusal(bert, target, "--exporter", "torchscript", "--tolerance", "0.02")
    assert message.startswith("parity gate: logits differ by 0.03 (at most 0.02) for a text")


def test_changed_labels_are_counted_when_the_tolerance_was_loosened(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Class 0 wins every text.
    monkeypatch.setitem(EXPORTERS, "torchscript", shifted("classifier.bias", [1000]))
    options = ("--exporter", "torchscript", "--tolerance", "2000", "--samples", BUILT_IN)
    folder = convert(bert, target, *options)
    answers = read_reference(folder / "reference.json").answers
    changed = sum(int(np.argmax(answer.logits)) != 0 for answer in answers)
    assert 0 < changed < len(answers)
    assert read_report(folder).parity.changed_labels == changed


def test_a_tightened_tolerance_refuses_what_passes_by_default(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTERS, "torchscript", shifted("classifier.bias", [5e-5]))
    message = refusal(bert, target, "--exporter", "torchscript", "--tolerance", "1e-5")
    assert "(at most 1e-05)" in message


def test_a_model_that_cannot_be_padded_is_compared_one_text_at_a_time(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def counted_logits(*arguments: Any) -> Any:
        sizes.append(arguments[3])
        return exported_logits(*arguments)

    monkeypatch.setattr(parity, "exported_logits", counted_logits)
    convert(bert, target)
    monkeypatch.setattr(conversion, "padding_side", lambda *_: "none")
    folder = convert(bert, target.with_name("other"))
    assert sizes == [1, 4, 1]
    assert read_report(folder).behaviour.padding == "none"


def test_windows_that_are_merged_wrongly_do_not_pass_the_parity_gate(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        conversion, "merge_windows", lambda path, _: windows.merge_windows(path, "max")
    )
    options = ("--long-text", "window", "--max-length", "12", "--exporter", "torchscript")
    assert refusal(bert, target, *options).startswith("parity gate: logits differ by")


def test_dynamos_graph_can_be_merged_too(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTERS, "torchscript", broken)
    checkpoint = make_distilbert(tmp_path, n_layers=1)
    options = ("--long-text", "window", "--max-length", "12", "--merge", "max")
    report = read_report(convert(checkpoint, target, *options))
    assert report.exporter == "dynamo"
    assert report.parity.largest_difference < 1e-5


def test_auto_falls_back_to_dynamo_when_tracing_fails(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTERS, "torchscript", broken)
    # One layer, because dynamo takes seconds.
    report = read_report(convert(make_distilbert(tmp_path, n_layers=1), target))
    assert report.exporter == "dynamo"
    assert report.parity.largest_difference < 1e-5
    assert [path.name for path in target.glob("model*")] == ["model.onnx"]


def test_an_exporter_that_fails_in_training_mode_leaves_the_model_in_evaluation_mode(
    bert: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_in_training_mode(classifier: Classifier, *_: object) -> None:
        classifier.model.train()
        raise RuntimeError("cannot trace this")

    monkeypatch.setitem(EXPORTERS, "torchscript", fail_in_training_mode)
    classifier = loaded(bert)
    with pytest.raises(UserError):
        onnx_export.export_onnx(classifier, make_behaviour(), tmp_path, "torchscript")
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
    classifier = loaded(bert)
    capfd.readouterr()
    with pytest.raises(UserError):
        onnx_export.export_onnx(classifier, make_behaviour(), tmp_path, "torchscript")
    print("after")
    assert capfd.readouterr().out == "after\n"


def test_auto_falls_back_when_the_first_graph_does_not_pass_the_gate(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTERS, "torchscript", shifted("classifier.bias", [1e-2]))
    # The tracer stands in for dynamo, which takes seconds.
    monkeypatch.setitem(EXPORTERS, "dynamo", export_torchscript)
    report = read_report(convert(bert, target))
    assert report.exporter == "dynamo"
    assert report.parity.largest_difference < 1e-6


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
    def export(classifier: Classifier, behaviour: Behaviour, folder: Path) -> None:
        export_torchscript(classifier, behaviour, folder)
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
    def export(classifier: Classifier, behaviour: Behaviour, folder: Path) -> None:
        export_torchscript(classifier, behaviour, folder)
        path = folder / "model.onnx"
        onnx.save_model(
            onnx.load(str(path)),
            str(path),
            save_as_external_data=True,
            all_tensors_to_one_file=False,
            size_threshold=0,
        )

    monkeypatch.setitem(EXPORTERS, "torchscript", export)
    monkeypatch.setattr(external_data, "LARGEST_SINGLE_FILE", 1000)
    convert(bert, target, "--exporter", "torchscript")
    names = sorted(path.name for path in target.glob("model*"))
    assert names == ["model.onnx", "model.onnx.data"]


def test_weights_below_protobufs_limit_go_into_the_graph_whatever_the_exporter_did(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(classifier: Classifier, behaviour: Behaviour, folder: Path) -> None:
        export_torchscript(classifier, behaviour, folder)
        path = folder / "model.onnx"
        onnx.save_model(onnx.load(str(path)), str(path), save_as_external_data=True)

    monkeypatch.setitem(EXPORTERS, "torchscript", export)
    convert(bert, target, "--exporter", "torchscript")
    assert [path.name for path in target.glob("model*")] == ["model.onnx"]


def with_token(token: str, folder: Path) -> Tokenization:
    """The exported tokenizer with a token that the checkpoint's does not have."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens([token])
    return Tokenization(tokenizer, pairs=False, long_text="truncate", max_windows=1)


def test_a_tokenizer_that_gives_other_ids_is_refused_naming_the_text(
    bert: Checkpoint, tmp_path: Path
) -> None:
    classifier = loaded(bert)
    behaviour = make_behaviour(max_length=64)
    examples = [Example("fox"), Example("dog")]
    exported = export_tokenizer(classifier, behaviour, tmp_path)
    check_same_ids(classifier, behaviour, exported, examples)
    lossy = with_token("dog", tmp_path)
    with pytest.raises(UserError, match="other token ids for 'dog'"):
        check_same_ids(classifier, behaviour, lossy, examples)


@pytest.mark.parametrize(
    ("changes", "exported"),
    [
        ({}, {"max_length": 9}),
        ({"long_text": "head-tail"}, {"long_text": "truncate"}),
        ({"long_text": "window", "max_windows": 5}, {"stride": 1}),
        ({"long_text": "window", "max_windows": 2}, {"max_windows": 3}),
        ({"long_text": "window", "max_windows": 50}, {"max_windows": 51, "stride": 3}),
    ],
    ids=["length", "head and tail", "stride", "number of windows", "all windows"],
)
def test_a_tokenizer_that_cuts_otherwise_is_refused_naming_the_text(
    changes: dict[str, Any], exported: dict[str, Any], bert: Checkpoint, tmp_path: Path
) -> None:
    classifier = loaded(bert)
    behaviour = make_behaviour(**{"max_length": 8, **changes})
    examples = [Example("fox"), Example("fox fox " + "dog " * 25)]
    right = export_tokenizer(classifier, behaviour, tmp_path)
    check_same_ids(classifier, behaviour, right, examples)
    wrong = export_tokenizer(classifier, replace(behaviour, **exported), tmp_path)
    check_same_ids(classifier, behaviour, wrong, examples[:1])
    with pytest.raises(UserError, match="other token ids for 'fox fox"):
        check_same_ids(classifier, behaviour, wrong, examples)


def test_a_tokenizer_that_gives_other_type_ids_is_refused() -> None:
    classifier = Classifier(None, word_level(), 0, 0, ())
    behaviour = make_behaviour(pairs=True)
    examples = [Example("w1 w2", "w3")]
    right = served_tokenization(word_level(), pairs=True)
    check_same_ids(classifier, behaviour, right, examples)
    one_type = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    wrong = served_tokenization(word_level(one_type), pairs=True)
    assert wrong.encode(["w1 w2"], ["w3"]).rows[0][0].ids == (
        right.encode(["w1 w2"], ["w3"]).rows[0][0].ids
    )
    with pytest.raises(UserError, match="other token ids for 'w1 w2'"):
        check_same_ids(classifier, behaviour, wrong, examples)


def test_a_text_that_is_wrongly_marked_is_refused(
    bert: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = loaded(bert)
    behaviour = make_behaviour(max_length=8)
    tokenization = export_tokenizer(classifier, behaviour, tmp_path)
    rows = tokenization.encode(["fox"]).rows
    monkeypatch.setattr(tokenization, "encode", lambda *_: Encoded(rows, [True]))
    with pytest.raises(UserError, match="other token ids for 'fox'"):
        check_same_ids(classifier, behaviour, tokenization, [Example("fox")])


def test_a_conversion_whose_tokenizer_gives_other_ids_is_refused(
    bert: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lossy(classifier: Classifier, behaviour: Behaviour, folder: Path) -> Tokenization:
        export_tokenizer(classifier, behaviour, folder)
        return with_token("fox", folder)

    monkeypatch.setattr(conversion, "export_tokenizer", lossy)
    assert "tokenizer.json gives other token ids for 'fox'" in refusal(bert, target)


def test_a_text_without_tokens_is_refused_by_name_of_its_gate(tmp_path: Path) -> None:
    classifier = Classifier(None, word_level(None), 0, 0, ("input_ids",))
    tokenization = export_tokenizer(classifier, make_behaviour(), tmp_path)
    with pytest.raises(UserError, match=r"^tokenizer: row 1 has no tokens \(leave this text out"):
        encode(tokenization, [Example("w1"), Example(" ")])


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
    files = [path.relative_to(first) for path in sorted(first.rglob("*")) if path.is_file()]
    assert len(files) > 5
    assert sorted(path for path in target.rglob("*") if path.is_file()) == [
        target / path for path in files
    ]
    for path in files:
        assert (target / path).read_bytes() == (first / path).read_bytes(), path


@pytest.mark.parametrize(
    "options",
    [
        ("--max-length", "9"),
        ("--exporter", "torchscript"),
        ("--samples", BUILT_IN),
        ("--tolerance", "0.01"),
        ("--threshold", "0.3"),
        ("--long-text", "head-tail"),
        ("--labelled", Path(__file__).with_name("labelled.csv")),
    ],
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
        assert name in read_reference(folder / "reference.json").labels
        assert len(list(cache.iterdir())) == number + 1


def test_a_failed_conversion_is_not_cached(
    bert: Checkpoint, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTERS, "torchscript", broken)
    options = ("--exporter", "torchscript", "--cache", tmp_path / "cache")
    refusal(bert, target, *options)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("option", ["--labels", "--samples", "--labelled"])
def test_what_can_be_refused_early_is_refused_without_importing_torch(
    option: str, bert: Checkpoint, target: Path, without_torch: dict[str, str]
) -> None:
    result = run(bert, target, without_torch, option, target.parent / "absent.jsonl")
    assert error_line(result).endswith("absent.jsonl: no such file")
    assert not target.exists()


def test_a_threshold_that_is_none_is_refused_without_importing_torch(
    bert: Checkpoint, target: Path, without_torch: dict[str, str]
) -> None:
    result = run(bert, target, without_torch, "--threshold", "7")
    assert error_line(result) == "error: --threshold: 7 is not between 0 and 1"
