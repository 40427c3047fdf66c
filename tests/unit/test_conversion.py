"""Conversions of tiny checkpoints: what is written, and what is refused."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, BertConfig, BertModel

from tests.checkpoints import Checkpoint, make_bert, make_distilbert, make_roberta
from tests.unit.commands import ROOT
from tests.unit.converting import convert, refusal
from tests.unit.triton_stub import load_model_file
from utils import convert_to_onnx, served
from utils.artifacts import Reference, read_reference, read_report
from utils.behaviour import score_function
from utils.errors import UserError
from utils.labels import read_label_file
from utils.samples import BUILT_IN, read_samples
from utils.snapshot import file_digest

KINDS = ("bert", "distilbert", "roberta")
FILES = [
    "id2label.json",
    "model.onnx",
    "reference.json",
    "report.json",
    "selftest.json",
    "tokenizer.json",
    "warmup",
]


@pytest.fixture(scope="module")
def converted(
    bert: Checkpoint,
    distilbert: Checkpoint,
    roberta: Checkpoint,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """Kind to the folder of its conversion; not to be written to."""
    folder = tmp_path_factory.mktemp("converted")
    checkpoints = dict(zip(KINDS, (bert, distilbert, roberta), strict=True))
    return {
        kind: convert(checkpoints[kind], folder / kind, "--samples", BUILT_IN) for kind in KINDS
    }


@pytest.fixture
def copied(bert: Checkpoint, tmp_path: Path) -> Checkpoint:
    """A BERT that may be written to."""
    folder = tmp_path / "copied"
    shutil.copytree(bert.model.parent, folder)
    return Checkpoint(folder / "model", folder / "tokenizer", folder / "id2label.json")


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """A folder to convert to, alone in its parent."""
    (tmp_path / "out").mkdir()
    yield tmp_path / "out" / "model"


def change_json(path: Path, **changes: Any) -> None:
    """Replace values of a JSON object."""
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes))


def tokenization(folder: Path) -> served.Tokenization:
    """The exported tokenizer as the server uses it."""
    behaviour = read_report(folder).behaviour
    return served.Tokenization(
        Tokenizer.from_file(str(folder / "tokenizer.json")),
        pairs=behaviour.pairs,
        long_text=behaviour.long_text,
        max_windows=behaviour.max_windows,
    )


def served_logits(folder: Path, texts: list[str], pairs: list[str] | None = None) -> Any:
    """Logits of the exported files alone, as the server computes them."""
    encoder = tokenization(folder)
    tensors = encoder.tensors(encoder.encode(texts, pairs or []).rows)
    session = ort.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    return session.run(None, {item.name: tensors[item.name] for item in session.get_inputs()})[0]


def reference(folder: Path) -> Reference:
    """What the original model says."""
    return read_reference(folder / "reference.json")


def served_length(folder: Path) -> int:
    """Tokens that are left of a text of a thousand words."""
    ((row,),) = tokenization(folder).encode(["word " * 1000]).rows
    return len(row.ids)


@pytest.mark.parametrize("kind", KINDS)
def test_a_conversion_writes_its_files_and_no_other(kind: str, converted: dict[str, Path]) -> None:
    assert sorted(path.name for path in converted[kind].iterdir()) == FILES


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_takes_the_values_to_warm_up_with(kind: str, converted: dict[str, Path]) -> None:
    session = ort.InferenceSession(str(converted[kind] / "model.onnx"))
    names = [item.name for item in session.get_inputs()]
    values = {
        name: np.fromfile(converted[kind] / "warmup" / name, np.int64)[None] for name in names
    }
    assert len(list((converted[kind] / "warmup").iterdir())) == len(names)
    assert values["attention_mask"].all()
    assert values["input_ids"].shape[1] > 9
    assert session.run(None, values)[0].shape[0] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_conversion_reports_a_difference_below_a_millionth(
    kind: str, converted: dict[str, Path]
) -> None:
    parity = read_report(converted[kind]).parity
    assert 0 <= parity.largest_difference < 1e-6
    assert parity.texts == len(read_samples(None, pairs=False))
    assert (parity.tolerance, parity.changed_labels) == (1e-4, 0)


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("bert", {"input_ids", "attention_mask", "token_type_ids"}),
        ("distilbert", {"input_ids", "attention_mask"}),
        ("roberta", {"input_ids", "attention_mask"}),
    ],
)
def test_the_graph_takes_what_the_tokenizer_makes_and_the_model_takes(
    kind: str, inputs: set[str], converted: dict[str, Path]
) -> None:
    session = ort.InferenceSession(str(converted[kind] / "model.onnx"))
    assert {item.name for item in session.get_inputs()} == inputs
    assert [item.name for item in session.get_outputs()] == ["logits"]


@pytest.mark.parametrize(("kind", "classes"), [("bert", 3), ("distilbert", 2), ("roberta", 3)])
def test_the_report_describes_the_checkpoint(
    kind: str, classes: int, converted: dict[str, Path]
) -> None:
    report = read_report(converted[kind])
    assert (report.classes, report.model_type) == (classes, kind)
    assert (report.behaviour.function, report.exporter) == ("softmax", "torchscript")
    assert report.behaviour.problem_type == "single_label_classification"
    assert (report.behaviour.top_k, report.behaviour.padding) == (classes, "right")


def test_the_report_names_sources_digests_and_versions(
    bert: Checkpoint, converted: dict[str, Path]
) -> None:
    report = read_report(converted["bert"])
    assert report.sources == {
        "model": str(bert.model),
        "tokenizer": str(bert.tokenizer),
        "labels": str(bert.labels),
    }
    assert report.digests["model/model.safetensors"] == file_digest(
        bert.model / "model.safetensors"
    )
    assert report.digests["labels"] == file_digest(bert.labels)
    assert report.versions["torch"] == str(torch.__version__)


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_bert_takes_as_many_tokens_as_it_has_positions(
    kind: str, converted: dict[str, Path]
) -> None:
    assert read_report(converted[kind]).behaviour.max_length == 64


def test_roberta_takes_two_tokens_less_than_it_has_positions(converted: dict[str, Path]) -> None:
    assert read_report(converted["roberta"]).behaviour.max_length == 66 - 2


def test_a_tokenizer_that_knows_a_shorter_limit_decides(copied: Checkpoint, target: Path) -> None:
    change_json(copied.tokenizer / "tokenizer_config.json", model_max_length=20)
    assert read_report(convert(copied, target)).behaviour.max_length == 20


@pytest.mark.parametrize("kind", KINDS)
def test_the_exported_tokenizer_cuts_at_the_longest_that_the_model_takes(
    kind: str, converted: dict[str, Path]
) -> None:
    assert served_length(converted[kind]) == 64


def test_max_length_cuts_earlier(bert: Checkpoint, target: Path) -> None:
    folder = convert(bert, target, "--max-length", "8")
    assert read_report(folder).behaviour.max_length == 8
    assert served_length(folder) == 8


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_has_a_logit_and_a_score_of_every_class_for_every_sample(
    kind: str, converted: dict[str, Path]
) -> None:
    got = reference(converted[kind])
    assert got.labels == list(read_label_file(converted[kind] / "id2label.json").values())
    assert [answer.text for answer in got.answers] == [
        example.text for example in read_samples(None, pairs=False)
    ]
    for answer in got.answers:
        assert len(answer.logits) == len(answer.scores) == len(got.labels)
        assert sum(answer.scores) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_exported_files_alone_give_the_references_logits(
    kind: str, converted: dict[str, Path]
) -> None:
    answers = reference(converted[kind]).answers
    # One batch, so that short texts are padded a lot.
    logits = served_logits(converted[kind], [answer.text for answer in answers])
    wanted = np.array([answer.logits for answer in answers])
    np.testing.assert_allclose(logits, wanted, atol=1e-6)
    assert (logits.argmax(axis=1) == wanted.argmax(axis=1)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_tells_which_samples_are_cut(kind: str, converted: dict[str, Path]) -> None:
    answers = reference(converted[kind]).answers
    encoded = tokenization(converted[kind]).encode([answer.text for answer in answers])
    assert [answer.truncated for answer in answers] == encoded.truncated
    assert 0 < sum(encoded.truncated) < len(answers)


@pytest.mark.parametrize("kind", KINDS)
def test_the_random_models_give_more_than_one_label(kind: str, converted: dict[str, Path]) -> None:
    answers = reference(converted[kind]).answers
    assert len({int(np.argmax(answer.scores)) for answer in answers}) > 1


def test_labels_come_from_the_label_file(bert: Checkpoint, converted: dict[str, Path]) -> None:
    assert read_label_file(converted["bert"] / "id2label.json") == read_label_file(bert.labels)


def test_a_label2id_file_is_written_as_id2label(copied: Checkpoint, target: Path) -> None:
    copied.labels.write_text('{"b": 1, "a": 0, "c": 2}')
    folder = convert(copied, target)
    assert json.loads((folder / "id2label.json").read_text()) == {"0": "a", "1": "b", "2": "c"}


def test_without_a_label_file_the_names_in_the_checkpoint_are_taken(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = make_distilbert(tmp_path, id2label={0: "нет", 1: "да"})
    paths = ["-m", checkpoint.model, "-t", checkpoint.tokenizer, "-s", target]
    monkeypatch.setattr(sys, "argv", ["convert_to_onnx.py", *map(str, paths)])
    convert_to_onnx.main()
    assert read_label_file(target / "id2label.json") == {0: "нет", 1: "да"}
    assert read_report(target).sources["labels"] == str(checkpoint.model / "config.json")


def test_samples_of_the_users_are_the_ones_compared(
    bert: Checkpoint, tmp_path: Path, target: Path
) -> None:
    samples = tmp_path / "samples.txt"
    samples.write_text("one\nдва\n", encoding="utf-8")
    folder = convert(bert, target, "--samples", samples)
    assert [answer.text for answer in reference(folder).answers] == ["one", "два"]
    assert read_report(folder).parity.texts == 2


@pytest.mark.parametrize(
    ("config", "function", "score"),
    [
        ({"num_labels": 2}, "softmax", lambda logits: np.exp(logits) / np.exp(logits).sum()),
        (
            {"num_labels": 2, "problem_type": "multi_label_classification"},
            "sigmoid",
            lambda logits: 1 / (1 + np.exp(-logits)),
        ),
        ({"num_labels": 1}, "sigmoid", lambda logits: 1 / (1 + np.exp(-logits))),
        ({"num_labels": 1, "problem_type": "regression"}, "none", lambda logits: logits),
    ],
)
def test_the_function_is_the_one_that_gives_the_pipelines_scores(
    config: dict[str, Any],
    function: str,
    score: Callable[[Any], Any],
    tmp_path: Path,
    target: Path,
) -> None:
    folder = convert(make_distilbert(tmp_path, **config), target)
    assert read_report(folder).behaviour.function == function
    first = reference(folder).answers[0]
    scores = score(served_logits(folder, [first.text])[0])
    np.testing.assert_allclose(first.scores, scores, atol=1e-6)


@pytest.mark.parametrize(
    ("problem_type", "labels", "function"),
    [
        (None, 1, "sigmoid"),
        (None, 2, "softmax"),
        ("single_label_classification", 2, "softmax"),
        ("multi_label_classification", 5, "sigmoid"),
        ("regression", 1, "none"),
        ("regression", 2, "none"),
    ],
)
def test_the_function_follows_problem_type_and_number_of_labels(
    problem_type: str | None, labels: int, function: str
) -> None:
    config = BertConfig(problem_type=problem_type, num_labels=labels)
    assert score_function(config) == function


@pytest.mark.parametrize("architectures", [["BertForMaskedLM"], [], None])
def test_a_wrong_or_absent_architectures_entry_is_no_obstacle(
    architectures: list[str] | None, copied: Checkpoint, target: Path
) -> None:
    change_json(copied.model / "config.json", architectures=architectures)
    assert read_report(convert(copied, target)).classes == 3


def test_half_precision_weights_are_converted_in_full_precision(
    copied: Checkpoint, target: Path
) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(copied.model, dtype=torch.float16)
    model.save_pretrained(copied.model)
    folder = convert(copied, target)
    assert served_logits(folder, ["one"]).dtype == np.float32


def test_padding_of_the_saved_tokenizer_gives_way_to_padding_to_the_longest(
    copied: Checkpoint, target: Path
) -> None:
    path = copied.tokenizer / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_padding(length=40)
    tokenizer.save(str(path))
    exported = tokenization(convert(copied, target))
    rows = exported.encode(["fox", "fox fox fox"]).rows
    assert exported.tensors(rows)["input_ids"].shape[1] < 20


def test_an_empty_target_folder_is_filled(bert: Checkpoint, target: Path) -> None:
    target.mkdir()
    assert sorted(path.name for path in convert(bert, target).iterdir()) == FILES


def test_a_target_folder_with_files_is_refused_and_left_alone(
    bert: Checkpoint, target: Path
) -> None:
    target.mkdir()
    (target / "precious").touch()
    assert "exists and is not an empty folder" in refusal(bert, target)
    assert [path.name for path in target.iterdir()] == ["precious"]


def test_a_model_without_classification_head_is_refused(copied: Checkpoint, target: Path) -> None:
    model = BertModel(BertConfig.from_pretrained(copied.model))
    model.save_pretrained(copied.model)
    message = refusal(copied, target)
    assert "not a fine-tuned sequence classifier: no weights for classifier.bias" in message


def test_a_model_type_without_classifiers_is_refused(copied: Checkpoint, target: Path) -> None:
    change_json(copied.model / "config.json", model_type="no_such_model")
    assert "not a sequence classifier that can be loaded" in refusal(copied, target)


def test_weights_that_disagree_with_the_config_are_refused(
    copied: Checkpoint, target: Path
) -> None:
    change_json(copied.model / "config.json", hidden_size=16)
    assert str(copied.model) in refusal(copied, target)


def test_damaged_weights_are_refused(copied: Checkpoint, target: Path) -> None:
    (copied.model / "model.safetensors").write_bytes(b"\x00" * 100)
    assert "not a sequence classifier that can be loaded" in refusal(copied, target)


@pytest.mark.parametrize("count", [2, 4])
def test_a_wrong_number_of_labels_is_refused_naming_both(
    count: int, copied: Checkpoint, target: Path
) -> None:
    copied.labels.write_text(json.dumps({str(index): f"c{index}" for index in range(count)}))
    assert refusal(copied, target) == (
        f"{copied.labels}: has {count} labels, but the model has 3 classes"
    )


def test_a_label_file_with_a_gap_is_refused_before_the_model_is_loaded(
    copied: Checkpoint, target: Path
) -> None:
    copied.labels.write_text('{"0": "a", "2": "b", "3": "c"}')
    (copied.model / "model.safetensors").write_bytes(b"not weights")
    assert "no label for class 1" in refusal(copied, target)


def test_a_checkpoint_of_pickles_alone_is_refused(copied: Checkpoint, target: Path) -> None:
    (copied.model / "model.safetensors").unlink()
    torch.save({}, copied.model / "pytorch_model.bin")
    assert "has no safetensors weights" in refusal(copied, target)


def test_pickles_beside_safetensors_are_not_read(copied: Checkpoint, target: Path) -> None:
    (copied.model / "pytorch_model.bin").write_bytes(b"evil")
    assert read_report(convert(copied, target)).classes == 3


def test_a_tokenizer_of_a_larger_vocabulary_is_refused_naming_both_sizes(
    tmp_path: Path, target: Path
) -> None:
    checkpoint = make_bert(tmp_path, vocab_size=50)
    message = refusal(checkpoint, target)
    assert "the model knows 50" in message
    assert "is it this model's tokenizer?" in message


def test_a_tokenizer_of_a_smaller_vocabulary_is_accepted(tmp_path: Path, target: Path) -> None:
    assert read_report(convert(make_bert(tmp_path, vocab_size=1000), target)).classes == 3


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_max_length_over_the_models_is_refused_naming_both(
    kind: str, request: pytest.FixtureRequest, target: Path
) -> None:
    message = refusal(request.getfixturevalue(kind), target, "--max-length", "65")
    assert message == "--max-length: 65 is over the 64 tokens that the model takes"


def test_a_tokenizer_without_padding_token_pads_with_the_models_padding_id(
    copied: Checkpoint, target: Path
) -> None:
    change_json(copied.tokenizer / "tokenizer_config.json", pad_token=None)
    change_json(copied.model / "config.json", pad_token_id=7)
    encoder = tokenization(convert(copied, target))
    short, _ = encoder.tensors(encoder.encode(["fox", "fox fox"]).rows)["input_ids"]
    assert short[-1] == 7


def test_a_tokenizer_that_cannot_be_read_is_refused(copied: Checkpoint, target: Path) -> None:
    (copied.tokenizer / "tokenizer.json").write_text("{}")
    assert f"{copied.tokenizer}: not a tokenizer that can be loaded" in refusal(copied, target)


def test_code_beside_the_tokenizer_is_never_run(copied: Checkpoint, target: Path) -> None:
    ran = target.parent.parent / "ran"
    (copied.tokenizer / "evil.py").write_text(
        "from pathlib import Path\n"
        "from transformers import BertTokenizer\n"
        f"Path({str(ran)!r}).touch()\n"
        "class Evil(BertTokenizer): ...\n"
    )
    change_json(
        copied.tokenizer / "tokenizer_config.json",
        tokenizer_class="Evil",
        auto_map={"AutoTokenizer": [None, "evil.Evil"]},
    )
    try:
        convert(copied, target)
    except UserError as error:
        assert str(copied.tokenizer) in str(error)
    assert not ran.exists()


def test_code_beside_the_model_is_refused(copied: Checkpoint, target: Path) -> None:
    change_json(
        copied.model / "config.json",
        auto_map={"AutoModelForSequenceClassification": "evil.Evil"},
    )
    assert "auto_map asks for code" in refusal(copied, target)


def test_the_server_runs_the_code_that_the_gates_run() -> None:
    folder = ROOT / "model_repository"
    tokenizer = load_model_file(folder / "text_preprocessing" / "1" / "model.py")
    scorer = load_model_file(folder / "post_processing" / "1" / "model.py")
    assert vars(sys.modules[tokenizer.read_tokenization.__module__])["Tokenization"] is (
        served.Tokenization
    )
    assert vars(sys.modules[scorer.Scoring.__module__])["FUNCTIONS"] is served.FUNCTIONS


def test_a_checkpoint_is_made_the_same_every_time(roberta: Checkpoint, tmp_path: Path) -> None:
    again = make_roberta(tmp_path)
    for folder, other in ((roberta.model, again.model), (roberta.tokenizer, again.tokenizer)):
        for path in folder.iterdir():
            assert path.read_bytes() == (other / path.name).read_bytes(), path.name


def test_a_tokenizer_without_a_fast_version_is_refused_by_name(
    bert: Checkpoint, tmp_path: Path, target: Path
) -> None:
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "tokenizer_config.json").write_text('{"tokenizer_class": "ByT5Tokenizer"}')
    message = refusal(bert, target, "--tokenizer", slow)
    assert "ByT5Tokenizer has no fast version" in message
