"""utils/precision/choose.py, with an engine that says what a test wants it to say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tests.unit.graphs import DISTILBERT_INPUTS, write_graph, write_warmup
from tests.unit.reports import CPU, make_behaviour, make_report
from utils.artifacts import (
    Accuracy,
    Answer,
    Reference,
    Report,
    read_reference,
    read_report,
    write_reference,
    write_report,
)
from utils.errors import UserError
from utils.precision import choose
from utils.precision.choose import DETAILS_FILE, Wanted, choose_graph
from utils.precision.compare import Comparison
from utils.precision.rewritings import Rewriting
from utils.precision.trial import Graph, Outcome
from utils.precision.tried import Tried
from utils.targets.profiles import Precision, Profile, read_profile

LABELS = ["spam", "good", "bad"]
TEXTS = ["one", "two two", "three", "four"]
SELF_TESTED = ["five", "six six"]
WORDS = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "one": 4, "two": 5}

# fp32's logits of TEXTS, of two labelled texts, and of SELF_TESTED.
SAMPLE_LOGITS = [[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0], [2.0, 0, 0]]
LABELLED_LOGITS = [[2.0, 0, 0], [0, 2.0, 0]]
SELF_LOGITS = [[0, 3.0, 0], [3.0, 0, 0]]

# Sure in the first class.
SPAM = [9.0, 0, 0]


def answer(text: str, logits: Sequence[float]) -> Answer:
    """What the original said."""
    return Answer(text, None, list(logits), [0.8, 0.1, 0.1], truncated=False)


def make_reference(texts: Sequence[str], logits: Sequence[Sequence[float]]) -> Reference:
    """The original's answers."""
    answers = [answer(*pair) for pair in zip(texts, logits, strict=True)]
    return Reference(LABELS, None, "single_label_classification", 3, 1e-4, answers)


def write_tokenizer(path: Path) -> None:
    """Counts words; enough for a server."""
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding()
    tokenizer.save(str(path))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The files of a conversion."""
    folder = tmp_path / "artifacts"
    write_graph(folder / "model.onnx", DISTILBERT_INPUTS)
    (folder / "model.onnx.data").write_text("weights")
    write_warmup(folder / "warmup", DISTILBERT_INPUTS)
    write_tokenizer(folder / "tokenizer.json")
    (folder / "id2label.json").write_text("{}")
    write_report(folder, make_report(behaviour=make_behaviour(max_length=16)))
    write_reference(folder / "reference.json", make_reference(TEXTS, SAMPLE_LOGITS))
    write_reference(folder / "selftest.json", make_reference(SELF_TESTED, SELF_LOGITS))
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where the chosen files go."""
    folder = tmp_path / "draft"
    folder.mkdir()
    return folder


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Two labelled texts; fp32 is wrong about the second one."""
    path = tmp_path / "labelled.csv"
    path.write_text("text,label\nseven,spam\neight,spam\n")
    return path


def read_again(folder: Path) -> dict[str, bytes]:
    """Name to content of the files of a folder, but for what is told of the choice."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != DETAILS_FILE)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@dataclass
class Engine:
    """Says what it is told to, and keeps what it was asked.

    Attributes:
        before: fp32's logits.
        after: those of each graph that was made.
        seconds: that each graph takes.
    """

    before: list[list[float]] = field(default_factory=lambda: SAMPLE_LOGITS + SELF_LOGITS)
    after: list[list[list[float]]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    profile: Profile | None = None
    graphs: list[Graph] = field(default_factory=list)
    rows: list[Mapping[str, npt.NDArray[Any]]] = field(default_factory=list)

    def run_graphs(
        self,
        profile: Profile,
        graphs: Sequence[Graph],
        rows: Sequence[Mapping[str, npt.NDArray[Any]]],
        cache: Path,
    ) -> list[Outcome]:
        """In the place of the real one."""
        assert cache == Path("/cache")
        assert all(graph.path.is_file() for graph in graphs)
        self.profile, self.graphs, self.rows = profile, list(graphs), list(rows)
        seconds = [1.0, *(self.seconds or [1.0] * len(self.after))]
        return [
            Outcome([np.array([row], np.float32) for row in logits], np.full(5, time), "an engine")
            for logits, time in zip([self.before, *self.after], seconds, strict=True)
        ]


def rewriting(recipe: str) -> Rewriting:
    """Writes a graph and weights that tell how they were made."""

    def write(source: Path, target: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        assert source.name == "model.onnx"
        target.write_text(f"{recipe} with {len(rows)} rows")
        target.with_name("model.onnx.data").write_text(f"weights of {recipe}")

    return Rewriting(recipe, write)


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The engine; graphs in int8 are made in two ways, in fp16 in one."""
    recipes = {"int8": ("dynamic", "static"), "fp16": ("fp16",), "fp16-standard": ("standard",)}

    def rewritings(precision: Precision, report: Report, padding_id: int) -> list[Rewriting]:
        assert (report.model_type, padding_id) == ("bert", 0)
        names = recipes.get(precision.graph, ())
        return [rewriting(name) for name in names] or [Rewriting("", None)]

    engine = Engine()
    monkeypatch.setattr(choose, "run_graphs", engine.run_graphs)
    monkeypatch.setattr(choose, "rewritings", rewritings)
    return engine


def wanted(*precisions: str, profile: Profile = CPU, **changes: Any) -> Wanted:
    """What to choose from."""
    plain = Wanted(profile, precisions, "", 4, None, None, Path("/cache"))
    return replace(plain, **changes)


def moved(*numbers: int) -> list[list[float]]:
    """fp32's logits of samples and self-test, but that these texts become spam."""
    rows = SAMPLE_LOGITS + SELF_LOGITS
    return [SPAM if number in numbers else row for number, row in enumerate(rows)]


def nearly(rows: list[list[float]], by: float = 0.01) -> list[list[float]]:
    """Logits that are a little further apart."""
    return [[value * (1 + by) for value in row] for row in rows]


def scores(logits: Sequence[float]) -> list[float]:
    """By softmax."""
    exponents = np.exp(np.array(logits, np.float32))
    return [float(value) for value in exponents / exponents.sum()]


def refusal(wish: Wanted, source: Path, target: Path) -> str:
    """The error that a choice ends with; it must leave nothing behind."""
    with pytest.raises(UserError) as caught:
        choose_graph(wish, source, target)
    assert list(target.iterdir()) == []
    assert [path for path in target.parent.iterdir() if path.name.startswith("tmp")] == []
    return str(caught.value)


def test_fp32_alone_runs_nothing_and_changes_no_file(
    engine: Engine, source: Path, target: Path
) -> None:
    choose_graph(wanted("fp32"), source, target)
    assert engine.graphs == []
    assert read_again(target) == read_again(source)
    assert not (target / DETAILS_FILE).exists()


def test_fp32_of_another_engine_allows_what_its_profile_says(source: Path, target: Path) -> None:
    cuda = read_profile("cuda")
    assert cuda.precisions["fp32"].tolerance == 1e-3
    choose_graph(wanted("fp32", profile=cuda), source, target)
    for name in ("reference.json", "selftest.json"):
        reference, before = read_reference(target / name), read_reference(source / name)
        assert (reference.tolerance, reference.logit_tolerance) == (1e-3, 1e-2)
        assert reference.answers == before.answers
    assert read_report(target).precision is None


def test_a_tolerance_that_the_user_loosened_further_stays(source: Path, target: Path) -> None:
    loose = replace(make_reference(TEXTS, SAMPLE_LOGITS), tolerance=0.5)
    write_reference(source / "reference.json", loose)
    choose_graph(wanted("fp32", profile=read_profile("cuda")), source, target)
    reference = read_reference(target / "reference.json")
    assert (reference.tolerance, reference.logit_tolerance) == (0.5, 0.5)


def test_a_graph_that_keeps_the_labels_takes_the_place_of_the_exported_one(
    engine: Engine, source: Path, target: Path
) -> None:
    engine.after = [nearly(moved()), nearly(moved())]
    choose_graph(wanted("int8"), source, target)
    before, after = read_again(source), read_again(target)
    assert after.keys() == before.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {
        *("model.onnx", "model.onnx.data"),
        *("reference.json", "selftest.json", "report.json"),
    }
    assert after["model.onnx"].startswith(b"dynamic with ")
    assert after["model.onnx.data"] == b"weights of dynamic"


def test_a_graph_in_fewer_bits_is_compared_with_its_own_answers_later(
    engine: Engine, source: Path, target: Path
) -> None:
    precision = replace(CPU.precisions["int8"], tolerance=0.01)
    profile = replace(CPU, precisions={**CPU.precisions, "int8": precision})
    engine.after = [nearly(moved()), moved(0, 1, 2, 3)]
    choose_graph(wanted("int8", profile=profile), source, target)
    for name, rows in (("reference.json", SAMPLE_LOGITS), ("selftest.json", SELF_LOGITS)):
        reference, before = read_reference(target / name), read_reference(source / name)
        assert (reference.tolerance, reference.logit_tolerance) == (0.01, 0.1)
        assert [item.text for item in reference.answers] == [item.text for item in before.answers]
        for got, logits in zip(reference.answers, nearly(rows), strict=True):
            assert got.logits == pytest.approx(logits)
            assert got.scores == pytest.approx(scores(logits))
            assert not got.truncated


def test_the_report_tells_how_the_precision_was_chosen(
    engine: Engine, source: Path, target: Path
) -> None:
    engine.after, engine.seconds = [nearly(moved()), nearly(moved())], [0.5, 0.8]
    choose_graph(wanted("int8"), source, target)
    report, before = read_report(target), read_report(source)
    precision = report.precision
    assert precision is not None
    assert (precision.name, precision.recipe, precision.engine) == ("int8", "dynamic", "an engine")
    assert (precision.texts, precision.agreement, precision.speed) == (4, 1.0, 2.0)
    differences = [
        abs(new - old)
        for row, other in zip(SAMPLE_LOGITS, nearly(SAMPLE_LOGITS), strict=True)
        for old, new in zip(scores(row), scores(other), strict=True)
    ]
    assert precision.largest_difference == pytest.approx(max(differences), rel=1e-4)
    assert replace(report, precision=None) == before


def test_of_the_graphs_that_keep_the_labels_the_fastest_is_taken(
    engine: Engine, source: Path, target: Path
) -> None:
    engine.after, engine.seconds = [nearly(moved())] * 2, [0.9, 0.4]
    choose_graph(wanted("int8"), source, target)
    assert (target / "model.onnx").read_text().startswith("static")


def test_a_faster_graph_that_loses_labels_is_not_taken(
    engine: Engine, source: Path, target: Path
) -> None:
    engine.after, engine.seconds = [nearly(moved()), moved(1)], [0.9, 0.1]
    choose_graph(wanted("int8"), source, target)
    assert (target / "model.onnx").read_text().startswith("dynamic")


def test_speed_is_the_middle_one_of_rounds_in_which_both_ran(
    engine: Engine, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.after = [nearly(moved())]
    plain = engine.run_graphs

    def uneven(*arguments: Any) -> list[Outcome]:
        first, second = plain(*arguments)
        return [
            replace(first, seconds=np.array([1.0, 2.0, 9.0])),
            replace(second, seconds=np.array([1.0, 0.5, 6.0])),
        ]

    monkeypatch.setattr(choose, "run_graphs", uneven)
    monkeypatch.setattr(choose, "rewritings", lambda *_: [rewriting("only")])
    choose_graph(wanted("int8"), source, target)
    precision = read_report(target).precision
    assert precision is not None
    assert precision.speed == 1.5


def test_auto_falls_back_to_fp32_where_fewer_bits_lose_labels(
    engine: Engine, source: Path, target: Path
) -> None:
    engine.after, engine.seconds = [moved(1), moved(2), moved()], [0.1, 0.1, 1.0]
    choose_graph(wanted("int8", "fp32"), source, target)
    assert read_again(target) == read_again(source)


def test_auto_stays_with_fp32_where_fewer_bits_are_slower(
    engine: Engine, source: Path, target: Path
) -> None:
    engine.after, engine.seconds = [nearly(moved())] * 2 + [moved()], [1.2, 1.3, 1.0]
    choose_graph(wanted("int8", "fp32"), source, target)
    assert read_again(target) == read_again(source)


def test_a_graph_that_loses_labels_is_refused_with_how_many_it_keeps(
    engine: Engine, source: Path, target: Path
) -> None:
    engine.after = [moved(1, 2), moved(2)]
    assert refusal(wanted("int8"), source, target) == (
        "precision: int8 keeps the labels of 75.00% of 4 texts, 99.00% is the least"
        " (--precision auto takes the fastest that will do; of 4 texts one is 25.0%:"
        " --samples takes more)"
    )


@pytest.mark.parametrize(("count", "few"), [(199, True), (200, False)])
def test_a_refusal_asks_for_more_texts_where_there_are_few(
    count: int, few: bool, engine: Engine, source: Path, target: Path
) -> None:
    texts, rows = [f"text {number}" for number in range(count)], [[0, 2.0, 0]] * count
    write_reference(source / "reference.json", make_reference(texts, rows))
    engine.before = rows + SELF_LOGITS
    engine.after = [[*([SPAM] * 9), *rows[9:], *SELF_LOGITS]] * 2
    error = refusal(wanted("int8"), source, target)
    assert f"of {count} texts, 99.00% is the least" in error
    hint = f"; of {count} texts one is 0.5%: --samples takes more)"
    assert error.endswith(hint if few else "takes the fastest that will do)")
    assert ("--samples" in error) is few


def failing(recipe: str) -> Rewriting:
    """Cannot rewrite this graph."""

    def write(*_: object) -> None:
        raise UserError("precision", f"{recipe} does not fit")

    return Rewriting(recipe, write)


def test_a_rewriting_that_does_not_fit_leaves_the_others(
    engine: Engine, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [failing("first"), rewriting("second")]
    monkeypatch.setattr(choose, "rewritings", lambda *_: both)
    engine.after = [nearly(moved())]
    choose_graph(wanted("int8"), source, target)
    assert (target / "model.onnx").read_text().startswith("second")


def test_where_no_rewriting_fits_the_first_reason_is_told(
    engine: Engine, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [failing("first"), failing("second")]
    monkeypatch.setattr(choose, "rewritings", lambda *_: both)
    assert refusal(wanted("int8"), source, target) == "precision: first does not fit"
    assert engine.graphs == []


def test_labels_of_the_self_test_are_not_counted(
    engine: Engine, source: Path, target: Path
) -> None:
    engine.after = [moved(4), moved(4)]
    choose_graph(wanted("int8"), source, target)
    precision = read_report(target).precision
    assert precision is not None
    assert (precision.texts, precision.agreement) == (4, 1.0)


def test_what_was_refused_is_told_with_labels_and_texts(
    engine: Engine, source: Path, target: Path, tmp_path: Path
) -> None:
    engine.after, details = [moved(1, 2), moved(1)], tmp_path / "details"
    refusal(wanted("int8", details=details), source, target)
    text = details.read_text(encoding="utf-8")
    rows = [line.strip("│").split("│") for line in text.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert [row[:3] for row in cells[:2]] == [
        ["int8", "dynamic", "50.00%"],
        ["int8", "static", "75.00%"],
    ]
    # Of the better of the two.
    assert ["good", "spam", "1"] in cells
    assert ["unchanged", "", "3"] in cells
    assert cells[-1][:2] == ["good", "spam"]
    assert cells[-1][3] == "two two"


def test_what_was_taken_is_told_beside_the_graph_and_without_texts(
    engine: Engine, source: Path, target: Path, tmp_path: Path
) -> None:
    engine.after, details = [nearly(moved()), moved(1)], tmp_path / "details"
    choose_graph(wanted("int8", details=details), source, target)
    assert not details.exists()
    text = (target / DETAILS_FILE).read_text(encoding="utf-8")
    assert "4 texts" in text
    assert text.count("not enough") == 1
    assert "unchanged" not in text


def with_labelled(labelled_rows: list[list[float]], *numbers: int) -> list[list[float]]:
    """Logits of samples, labelled texts and self-test, but that some samples become spam."""
    rows = moved(*numbers)
    return [*rows[:4], *labelled_rows, *rows[4:]]


def test_a_graph_that_loses_labels_but_is_right_as_often_is_taken(
    engine: Engine, source: Path, target: Path, labelled: Path
) -> None:
    engine.before = with_labelled(LABELLED_LOGITS)
    # Both labelled texts are spam: one more than in fp32 is right.
    engine.after = [with_labelled([SPAM, SPAM], 1), with_labelled(LABELLED_LOGITS, 1, 2)]
    choose_graph(wanted("int8", labelled=labelled), source, target)
    precision = read_report(target).precision
    assert precision is not None
    assert precision.texts == 6
    assert precision.agreement == pytest.approx(4 / 6)


ACCURACY = {"accuracy": 0.5}
FLAGS = {"exact match": 0.5, "micro F1": 0.7}
ERROR = {"mean absolute error": 0.2}


@pytest.mark.parametrize(
    ("before", "after", "passes"),
    [
        (ACCURACY, {"accuracy": 0.5}, True),
        (ACCURACY, {"accuracy": 0.6}, True),
        (ACCURACY, {"accuracy": 0.4}, False),
        (FLAGS, FLAGS, True),
        (FLAGS, {"exact match": 0.6, "micro F1": 0.8}, True),
        (FLAGS, {"exact match": 0.4, "micro F1": 0.8}, False),
        (FLAGS, {"exact match": 0.6, "micro F1": 0.6}, False),
        (ERROR, {"mean absolute error": 0.2}, True),
        (ERROR, {"mean absolute error": 0.1}, True),
        (ERROR, {"mean absolute error": 0.3}, False),
    ],
)
def test_a_graph_that_loses_labels_passes_where_no_measure_of_labelled_texts_is_worse(
    before: dict[str, float], after: dict[str, float], passes: bool
) -> None:
    scores = np.zeros((4, 3), np.float32)
    lost = Comparison(scores, scores, np.array([True, False, False, False]))
    logits, int8 = np.zeros((4, 3), np.float32), CPU.precisions["int8"]
    tried = Tried("int8", int8, "", Path("/graph"), logits, lost, None, "an engine", 1.0)
    assert not tried.passes
    assert replace(tried, accuracy=Accuracy(2, before, after)).passes is passes
    kept = replace(lost, same=np.ones(4, np.bool_))
    assert replace(tried, comparison=kept, accuracy=Accuracy(2, before, after)).passes


def make_multi_label(source: Path) -> None:
    """The conversion is of a model that gives several labels."""
    report = read_report(source)
    behaviour = make_behaviour(
        problem_type="multi_label_classification", function="none", max_length=16
    )
    write_report(source, replace(report, behaviour=behaviour))
    for name in ("reference.json", "selftest.json"):
        reference = read_reference(source / name)
        several = replace(
            reference, problem_type="multi_label_classification", thresholds=[0.5, 0.5, 0.5]
        )
        write_reference(source / name, several)


@pytest.mark.parametrize("rescued", [True, False])
def test_labelled_texts_rescue_a_graph_of_several_labels_too(
    rescued: bool, engine: Engine, source: Path, target: Path, tmp_path: Path
) -> None:
    make_multi_label(source)
    path = tmp_path / "labelled.csv"
    path.write_text('text,label\nseven,"[""spam""]"\neight,"[""spam""]"\n')
    # fp32 is right about the first of the two.
    engine.before = with_labelled([[1.0, 0, 0], [0, 1.0, 0]])
    after = [[1.0, 0, 0]] * 2 if rescued else [[1.0, 0, 0], [0, 1.0, 1.0]]
    engine.after = [with_labelled(after, 1, 2)] * 2
    if rescued:
        choose_graph(wanted("int8", labelled=path), source, target)
        assert (target / "model.onnx").read_text().startswith("dynamic")
    else:
        error = refusal(wanted("int8", labelled=path), source, target)
        assert "int8 keeps the labels of 50.00% of 6 texts" in error


def test_a_graph_that_loses_labels_and_is_wrong_more_often_is_refused(
    engine: Engine, source: Path, target: Path, labelled: Path
) -> None:
    engine.before = with_labelled(LABELLED_LOGITS)
    engine.after = [with_labelled([[0, 0, 9.0], [0, 2.0, 0]])] * 2
    error = refusal(wanted("int8", labelled=labelled), source, target)
    assert "int8 keeps the labels of 83.33% of 6 texts" in error


def test_accuracy_after_is_that_of_the_chosen_graph(
    engine: Engine, source: Path, target: Path, labelled: Path
) -> None:
    accuracy = Accuracy(2, {"accuracy": 0.5}, {"accuracy": 0.5})
    write_report(source, replace(read_report(source), accuracy=accuracy))
    engine.before = with_labelled(LABELLED_LOGITS)
    engine.after = [with_labelled([SPAM, SPAM]), with_labelled(LABELLED_LOGITS, 1, 2)]
    choose_graph(wanted("int8", labelled=labelled), source, target)
    assert read_report(target).accuracy == replace(accuracy, after={"accuracy": 1.0})


def test_scores_that_move_further_than_a_precision_may_are_refused_although_labels_stay(
    engine: Engine, source: Path, target: Path, tmp_path: Path
) -> None:
    engine.after = [nearly(moved(), 0.1)]
    details = tmp_path / "details"
    wish = wanted("fp16", profile=read_profile("cuda"), details=details)
    error = refusal(wish, source, target)
    assert error.startswith("precision: fp16 moves a score by 0.0")
    assert "0.005 is the most" in error
    assert all(text in details.read_text(encoding="utf-8") for text in TEXTS)


@pytest.mark.parametrize(("precision", "profile"), [("int8", CPU), ("fp16", read_profile("cuda"))])
def test_a_graph_that_gives_no_numbers_is_refused_however_few_texts_it_is_about(
    precision: str, profile: Profile, engine: Engine, source: Path, target: Path
) -> None:
    texts = [f"text {number}" for number in range(1000)]
    rows = [[2.0, 0, 0]] * 1000
    write_reference(source / "reference.json", make_reference(texts, rows))
    engine.before = rows + SELF_LOGITS
    engine.after = [[[np.nan] * 3, *rows[1:], *SELF_LOGITS]] * (2 if precision == "int8" else 1)
    error = refusal(wanted(precision, profile=profile), source, target)
    assert error.startswith(f"precision: {precision} gives scores that are no numbers")


def test_every_text_goes_to_the_engine_alone_as_the_server_would_encode_it(
    engine: Engine, source: Path, target: Path
) -> None:
    engine.after = [nearly(moved())] * 2
    choose_graph(wanted("int8"), source, target)
    assert len(engine.rows) == len(TEXTS) + len(SELF_TESTED)
    assert [list(row) for row in engine.rows] == [list(DISTILBERT_INPUTS)] * 6
    assert engine.rows[1]["input_ids"].tolist() == [[2, 5, 5, 3]]
    assert engine.rows[1]["input_ids"].dtype == np.int64
    assert engine.rows[0]["attention_mask"].tolist() == [[1, 1, 1]]


def test_every_text_is_as_long_as_the_profiles_engine_will_see_it(
    engine: Engine, source: Path, target: Path
) -> None:
    openvino = read_profile("openvino")
    assert openvino.length_multiple == 16
    engine.after = [nearly(moved())]
    choose_graph(wanted("bf16", profile=openvino), source, target)
    assert {row["input_ids"].shape for row in engine.rows} == {(1, 16)}
    assert [int(row["attention_mask"].sum()) for row in engine.rows] == [3, 4, 3, 3, 3, 4]


def test_a_long_list_of_texts_calibrates_with_few_of_them(
    engine: Engine, source: Path, target: Path
) -> None:
    count = 640
    rows = [[2.0, 0, 0]] * count
    reference = make_reference([f"text {number}" for number in range(count)], rows)
    write_reference(source / "reference.json", reference)
    engine.before = rows + SELF_LOGITS
    engine.after = [engine.before] * 2
    choose_graph(wanted("int8"), source, target)
    assert (target / "model.onnx").read_text() == "dynamic with 64 rows"


def test_labelled_texts_calibrate_nothing(
    engine: Engine, source: Path, target: Path, labelled: Path
) -> None:
    engine.before = with_labelled(LABELLED_LOGITS)
    engine.after = [engine.before] * 2
    choose_graph(wanted("int8", labelled=labelled), source, target)
    assert (target / "model.onnx").read_text() == "dynamic with 4 rows"


def test_graphs_are_run_with_the_configuration_that_they_would_be_served_with(
    engine: Engine, source: Path, target: Path
) -> None:
    engine.after = [nearly(moved())] * 2
    choose_graph(wanted("int8"), source, target)
    assert engine.profile == CPU
    assert engine.graphs[0].path == source / "model.onnx"
    for graph in engine.graphs:
        assert graph.config["parameters"]["caller_threads"] == {"string_value": "0"}
        assert graph.config["max_batch_size"] == 4


def test_graphs_are_made_for_the_variables_of_their_precisions(
    engine: Engine, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Precision] = []

    def model_config(profile: Profile, precision: Precision, *_: object) -> dict[str, Any]:
        assert profile == CPU
        seen.append(precision)
        return {}

    monkeypatch.setattr(choose, "model_config", model_config)
    engine.after = [nearly(moved())] * 2
    choose_graph(wanted("int8"), source, target)
    assert sorted(precision.graph for precision in seen) == ["fp32", "int8", "int8"]


def test_weights_of_the_exported_graph_do_not_stay_beside_one_that_has_none(
    engine: Engine, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Rewriting("small", lambda _, path, __: path.write_text("all in one"))
    monkeypatch.setattr(choose, "rewritings", lambda *_: [write])
    engine.after = [nearly(moved())]
    choose_graph(wanted("int8"), source, target)
    assert (target / "model.onnx").read_text() == "all in one"
    assert not (target / "model.onnx.data").exists()


@pytest.mark.parametrize(
    ("lacks", "lock"), [("no NVIDIA driver is visible", "requirements.txt"), ("", "absent.txt")]
)
def test_where_the_hardware_or_its_packages_are_not_the_cpus_engine_compares_and_says_no_speed(
    lacks: str,
    lock: str,
    engine: Engine,
    source: Path,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Profile, "lock_file", CPU.lock_file.with_name(lock))
    cuda = read_profile("cuda")
    engine.after, engine.seconds = [nearly(moved(), 1e-4), moved()], [3.0, 1.0]
    choose_graph(wanted("fp16", "fp32", profile=cuda, lacks=lacks), source, target)
    assert engine.profile == CPU
    kinds = [graph.config["instance_group"][0]["kind"] for graph in engine.graphs]
    assert kinds == ["KIND_CPU"] * 3
    # The first of those that keep the labels, as nobody knows which one is faster.
    precision = read_report(target).precision
    assert precision is not None
    assert (precision.name, precision.speed) == ("fp16", None)
    assert "0.33x" not in (target / DETAILS_FILE).read_text(encoding="utf-8")


def test_a_precision_of_the_engine_alone_keeps_the_graph_and_answers_for_itself(
    engine: Engine, source: Path, target: Path
) -> None:
    openvino = read_profile("openvino")
    assert openvino.precisions["bf16"].graph == "fp32"
    engine.after = [nearly(moved())]
    wish = wanted("bf16", profile=openvino, lacks="the CPU has none of amx_bf16")
    choose_graph(wish, source, target)
    before, after = read_again(source), read_again(target)
    assert after["model.onnx"] == before["model.onnx"]
    assert after["model.onnx.data"] == before["model.onnx.data"]
    precision = read_report(target).precision
    assert precision is not None
    assert (precision.name, precision.recipe) == ("bf16", "")
    (first, *_) = read_reference(target / "reference.json").answers
    assert first.logits == pytest.approx(nearly(SAMPLE_LOGITS)[0])


def test_pairs_of_texts_stay_pairs(engine: Engine, source: Path, target: Path) -> None:
    report = read_report(source)
    write_report(source, replace(report, behaviour=replace(report.behaviour, pairs=True)))
    for name in ("reference.json", "selftest.json"):
        reference = read_reference(source / name)
        answers = [replace(item, text_pair="one one") for item in reference.answers]
        write_reference(source / name, replace(reference, answers=answers))
    engine.after = [nearly(moved())] * 2
    choose_graph(wanted("int8"), source, target)
    assert engine.rows[0]["input_ids"].tolist() == [[2, 4, 3, 4, 4, 3]]


def test_a_labelled_text_without_a_label_of_the_model_is_refused(
    engine: Engine, source: Path, target: Path, tmp_path: Path
) -> None:
    path = tmp_path / "labelled.csv"
    path.write_text("text,label\nseven,nonesuch\neight,spam\n")
    engine.before = with_labelled(LABELLED_LOGITS)
    engine.after = [engine.before] * 2
    error = refusal(wanted("int8", labelled=path), source, target)
    assert "'nonesuch' is not a label of the model" in error
