"""What the options of a conversion change: answers, long texts, pairs, padding, accuracy."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, FNetConfig, FNetForSequenceClassification

from tests.checkpoints import (
    END_OF_TEXT,
    Checkpoint,
    configure_tokenizer,
    make_distilbert,
    make_gpt2,
    make_qwen2,
)
from tests.unit.commands import error_line, run_utility, usage_error
from tests.unit.converting import convert, loaded, refusal
from tests.unit.reports import make_behaviour
from utils.artifacts import Reference, read_reference, read_report
from utils.checkpoint import Classifier
from utils.original import original_logits
from utils.parity import padding_side
from utils.samples import Example
from utils.served import Tokenization

LABELS = ["тревога", "👍 great", "neutral"]
MULTI_LABEL = {"problem_type": "multi_label_classification", "num_labels": 3}
LONG = "the lazy dog jumps over " * 2
WINDOWS = ("--long-text", "window", "--max-length", "12")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A folder to convert to, alone in its parent."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "model"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Pairs of texts, with each of the two the longer one."""
    path = tmp_path / "pairs.txt"
    path.write_text(f"fox\tdog\n{LONG}\tdog\nfox\t{LONG}\n", encoding="utf-8")
    return path


@pytest.fixture
def labelled(tmp_path: Path) -> Callable[..., Path]:
    """Writes labelled texts."""

    def write(*rows: tuple[str, Any]) -> Path:
        path = tmp_path / "labelled.jsonl"
        lines = [json.dumps({"text": text, "label": label}) + "\n" for text, label in rows]
        path.write_text("".join(lines), encoding="utf-8")
        return path

    return write


def reference(folder: Path) -> Reference:
    """What the original model says."""
    return read_reference(folder / "reference.json")


def served_logits(folder: Path) -> Any:
    """Logits of the exported files for the reference's texts, all in one batch."""
    behaviour = read_report(folder).behaviour
    tokenization = Tokenization(
        Tokenizer.from_file(str(folder / "tokenizer.json")),
        pairs=behaviour.pairs,
        long_text=behaviour.long_text,
        max_windows=behaviour.max_windows,
    )
    answers = reference(folder).answers
    encoded = tokenization.encode(
        [answer.text for answer in answers], [answer.text_pair or "" for answer in answers]
    )
    tensors = tokenization.tensors(encoded.rows)
    session = ort.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    return session.run(None, {item.name: tensors[item.name] for item in session.get_inputs()})[0]


def check_served(folder: Path) -> None:
    """The exported files alone, in one padded batch, give the reference's logits."""
    wanted = np.array([answer.logits for answer in reference(folder).answers])
    np.testing.assert_allclose(served_logits(folder), wanted, atol=1e-5)


def sigmoid(logits: Sequence[float]) -> Any:
    """An independent score for each class."""
    return 1 / (1 + np.exp(-np.array(logits)))


def test_top_k_is_reported_and_verified(bert: Checkpoint, target: Path) -> None:
    folder = convert(bert, target, "--top-k", "2")
    assert read_report(folder).behaviour.top_k == 2
    assert reference(folder).top_k == 2
    assert all(len(answer.scores) == 3 for answer in reference(folder).answers)


def test_the_reference_of_another_function_has_its_scores(bert: Checkpoint, target: Path) -> None:
    folder = convert(bert, target, "--function", "sigmoid")
    assert read_report(folder).behaviour.function == "sigmoid"
    for answer in reference(folder).answers:
        np.testing.assert_allclose(answer.scores, sigmoid(answer.logits), atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        ("--max-length", "12"),
        ("--pairs", "--max-length", "20"),
        ("--long-text", "head-tail", "--max-length", "12"),
        WINDOWS,
    ],
    ids=["truncate", "pairs", "head-tail", "window"],
)
def test_the_references_scores_are_those_of_its_logits(
    options: tuple[str, ...], bert: Checkpoint, pairs: Path, target: Path
) -> None:
    samples = ("--samples", pairs) if "--pairs" in options else ()
    answers = reference(convert(bert, target, *options, *samples)).answers
    if options != WINDOWS:
        assert any(answer.truncated for answer in answers)
    for answer in answers:
        exponents = np.exp(answer.logits)
        np.testing.assert_allclose(answer.scores, exponents / exponents.sum(), atol=1e-6)


def test_a_multi_label_model_has_thresholds_of_a_half(tmp_path: Path, target: Path) -> None:
    folder = convert(make_distilbert(tmp_path, **MULTI_LABEL), target)
    thresholds = json.loads((folder / "thresholds.json").read_text(encoding="utf-8"))
    assert thresholds == dict.fromkeys(LABELS, 0.5)
    assert reference(folder).thresholds == [0.5] * 3
    assert reference(folder).problem_type == "multi_label_classification"


def test_thresholds_of_a_file_are_written_in_the_order_of_classes(
    tmp_path: Path, target: Path
) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(dict(zip(reversed(LABELS), (0.1, 0.2, 0.3), strict=True))))
    checkpoint = make_distilbert(tmp_path, **MULTI_LABEL)
    folder = convert(checkpoint, target, "--threshold", path)
    thresholds = json.loads((folder / "thresholds.json").read_text(encoding="utf-8"))
    assert list(thresholds.items()) == list(zip(LABELS, (0.3, 0.2, 0.1), strict=True))
    assert reference(folder).thresholds == [0.3, 0.2, 0.1]


def test_a_threshold_makes_a_model_scored_with_a_sigmoid_multi_label(
    bert: Checkpoint, target: Path
) -> None:
    folder = convert(bert, target, "--function", "sigmoid", "--threshold", "0.25")
    assert read_report(folder).behaviour.problem_type == "multi_label_classification"
    assert reference(folder).thresholds == [0.25] * 3


def test_a_threshold_that_does_not_fit_the_checkpoint_is_refused(
    bert: Checkpoint, target: Path
) -> None:
    assert refusal(bert, target, "--threshold", "0.25").startswith("--threshold: needs a score")


def test_a_single_label_model_has_no_thresholds(bert: Checkpoint, target: Path) -> None:
    folder = convert(bert, target)
    assert not (folder / "thresholds.json").exists()
    assert reference(folder).thresholds is None


def test_a_regressions_scores_are_its_logits(tmp_path: Path, target: Path) -> None:
    checkpoint = make_distilbert(tmp_path, problem_type="regression", num_labels=2)
    folder = convert(checkpoint, target)
    for answer in reference(folder).answers:
        assert answer.scores == pytest.approx(answer.logits, abs=1e-6)
    assert not (folder / "thresholds.json").exists()


def test_pairs_are_scored_as_the_original_scores_them(
    bert: Checkpoint, pairs: Path, target: Path
) -> None:
    folder = convert(bert, target, "--pairs", "--samples", pairs)
    assert read_report(folder).behaviour.pairs
    answers = reference(folder).answers
    assert [answer.text_pair for answer in answers] == ["dog", "dog", LONG]
    assert [answer.truncated for answer in answers] == [False, False, False]
    check_served(folder)


def test_a_pair_that_is_too_long_loses_of_its_longer_text(
    bert: Checkpoint, pairs: Path, target: Path
) -> None:
    folder = convert(bert, target, "--pairs", "--samples", pairs, "--max-length", "20")
    assert [answer.truncated for answer in reference(folder).answers] == [False, True, True]
    check_served(folder)


def test_the_order_of_a_pair_counts(bert: Checkpoint, tmp_path: Path, target: Path) -> None:
    samples = tmp_path / "samples.txt"
    samples.write_text("fox\tthe dog\nthe dog\tfox\n")
    first, second = reference(convert(bert, target, "--pairs", "--samples", samples)).answers
    assert np.abs(np.array(first.logits) - second.logits).max() > 1e-3


@pytest.mark.parametrize("merge", ["mean", "max"])
def test_windows_are_scored_and_merged_as_the_original_scores_them(
    merge: str, bert: Checkpoint, target: Path
) -> None:
    folder = convert(bert, target, *WINDOWS, "--stride", "3", "--merge", merge)
    behaviour = read_report(folder).behaviour
    assert (behaviour.stride, behaviour.merge, behaviour.max_windows) == (3, merge, 16)
    session = ort.InferenceSession(str(folder / "model.onnx"))
    assert {len(item.shape) for item in session.get_inputs()} == {3}
    check_served(folder)


def test_the_originals_answer_to_windows_is_that_of_each_merged(
    bert: Checkpoint, target: Path
) -> None:
    folder = convert(bert, target, *WINDOWS, "--stride", "0", "--merge", "mean")
    classifier = loaded(bert)
    longest = reference(folder).answers[-1]
    cls, *tokens, sep = classifier.tokenizer(longest.text)["input_ids"]
    rows = [[cls, *tokens[start : start + 10], sep] for start in range(0, len(tokens), 10)]
    assert len(rows) > 3
    with torch.inference_mode():
        alone = [classifier.model(torch.tensor([row])).logits[0].numpy() for row in rows]
    np.testing.assert_allclose(longest.logits, np.mean(alone, axis=0), atol=1e-5)


def test_a_text_of_more_windows_than_the_most_is_marked(bert: Checkpoint, target: Path) -> None:
    folder = convert(bert, target, *WINDOWS, "--max-windows", "2")
    truncated = [answer.truncated for answer in reference(folder).answers]
    assert truncated[0] is False
    assert truncated[-1] is True
    check_served(folder)


def test_head_and_tail_are_scored_as_the_original_scores_them(
    bert: Checkpoint, target: Path
) -> None:
    folder = convert(bert, target, "--long-text", "head-tail", "--max-length", "12")
    cut = convert(bert, target.with_name("cut"), "--max-length", "12")
    check_served(folder)
    assert reference(folder).answers[0] == reference(cut).answers[0]
    assert reference(folder).answers[-1].logits != reference(cut).answers[-1].logits
    assert reference(folder).answers[-1].truncated


def test_a_decoder_without_padding_gets_an_id_that_no_text_can_have(
    tmp_path: Path, target: Path
) -> None:
    checkpoint = make_gpt2(tmp_path)
    folder = convert(checkpoint, target)
    vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    padding = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["padding"]
    assert padding["pad_id"] == vocabulary
    check_served(folder)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_decoder_with_absolute_positions_is_padded_on_the_right(
    side: str, tmp_path: Path, target: Path
) -> None:
    checkpoint = make_gpt2(tmp_path)
    configure_tokenizer(checkpoint, padding_side=side, pad_token=END_OF_TEXT)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.tokenizer)
    assert (tokenizer.padding_side, tokenizer.pad_token_id) == (side, 0)
    folder = convert(checkpoint, target)
    assert read_report(folder).behaviour.padding == "right"
    check_served(folder)


def test_a_decoder_that_can_be_padded_on_its_tokenizers_side_is(
    tmp_path: Path, target: Path
) -> None:
    folder = convert(make_qwen2(tmp_path), target)
    assert read_report(folder).behaviour.padding == "left"
    check_served(folder)


@pytest.mark.parametrize("texts", [["fox"], ["fox", "dog"], ["fox", "the lazy dog"]])
def test_a_model_that_mixes_all_positions_cannot_be_padded_whatever_the_samples(
    texts: list[str], bert: Checkpoint
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(bert.tokenizer)
    config = FNetConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,
        num_labels=3,
    )
    model = FNetForSequenceClassification(config).eval()
    classifier = Classifier(model, tokenizer, 64, 0, ("input_ids", "token_type_ids"))
    samples = [Example(text) for text in texts]
    assert padding_side(classifier, make_behaviour(max_length=64), samples) == "none"


def test_the_warmup_of_a_graph_for_windows_is_one_window(tmp_path: Path, target: Path) -> None:
    # Shorter than the text that the graph is traced with.
    checkpoint = make_distilbert(tmp_path, max_position_embeddings=8)
    folder = convert(checkpoint, target, "--long-text", "window")
    sizes = {path.name: path.stat().st_size // 8 for path in (folder / "warmup").iterdir()}
    assert sizes == {"input_ids": 8, "attention_mask": 8}


def test_a_pair_may_have_an_empty_text(bert: Checkpoint, tmp_path: Path, target: Path) -> None:
    samples = tmp_path / "samples.txt"
    samples.write_text("fox\t\n\tdog\nfox\tdog\n", encoding="utf-8")
    check_served(convert(bert, target, "--pairs", "--samples", samples))


def test_labelled_texts_are_measured_before_and_after(
    bert: Checkpoint, labelled: Callable[..., Path], target: Path
) -> None:
    texts = ["fox", "помогите мне", "👍", "the dog"]
    classifier = loaded(bert)
    logits = original_logits(
        classifier, make_behaviour(max_length=64), [Example(text) for text in texts]
    )
    classes = logits.argmax(axis=1).tolist()
    # Three right and one wrong.
    labels = [LABELS[index] for index in classes[:3]] + [(classes[3] + 1) % 3]
    path = labelled(*zip(texts, labels, strict=True))
    accuracy = read_report(convert(bert, target, "--labelled", path)).accuracy
    assert accuracy is not None
    assert accuracy.examples == 4
    assert accuracy.before == accuracy.after == {"accuracy": 0.75}


def test_without_labelled_texts_there_is_no_accuracy(bert: Checkpoint, target: Path) -> None:
    assert read_report(convert(bert, target)).accuracy is None


def test_a_multi_label_model_is_measured_with_its_thresholds(
    tmp_path: Path, labelled: Callable[..., Path], target: Path
) -> None:
    checkpoint = make_distilbert(tmp_path, **MULTI_LABEL)
    path = labelled(("fox", LABELS), ("dog", LABELS))
    folder = convert(checkpoint, target, "--threshold", "0", "--labelled", path)
    accuracy = read_report(folder).accuracy
    assert accuracy is not None
    assert accuracy.after == {"exact match": 1.0, "micro F1": 1.0}


def test_a_label_that_the_model_does_not_have_is_refused(
    bert: Checkpoint, labelled: Callable[..., Path], target: Path
) -> None:
    message = refusal(bert, target, "--labelled", labelled(("fox", "ham")))
    assert message == "--labelled: 'ham' is not a label of the model"


@pytest.mark.parametrize(
    ("option", "values"),
    {
        "--top-k": ("0", "-1", "two", "1.5"),
        "--max-length": ("0",),
        "--max-windows": ("0",),
        "--stride": ("-1", "x"),
        "--tolerance": ("0", "-1", "nan", "inf", "x"),
        "--function": ("tanh",),
        "--long-text": ("middle",),
        "--merge": ("min",),
    }.items(),
)
def test_a_value_that_an_option_cannot_have_is_a_usage_error(
    option: str, values: tuple[str, ...], bert: Checkpoint, target: Path
) -> None:
    for value in values:
        result = run_utility("convert_to_onnx.py", *paths(bert, target), f"{option}={value}")
        assert f"argument {option}" in usage_error(result)


def test_options_that_contradict_each_other_are_refused(bert: Checkpoint, target: Path) -> None:
    result = run_utility("convert_to_onnx.py", *paths(bert, target), "--stride", "3")
    assert error_line(result) == "error: --stride: is for --long-text window"
    assert not target.exists()


def paths(checkpoint: Checkpoint, target: Path) -> tuple[str | Path, ...]:
    """The options that every conversion needs."""
    return ("-m", checkpoint.model, "-t", checkpoint.tokenizer, "-s", target)
