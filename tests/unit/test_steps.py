"""backends/classifier/steps.py, on a rendered repository with a graph that gives zeros."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import steps as module
from steps import Steps, open_steps

from tests.unit.graphs import BERT_INPUTS, write_graph
from tests.unit.repositories import LABELS, filled_repository, joined_model


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository; not to be written to."""
    return filled_repository(tmp_path_factory.mktemp("rendered"))


@pytest.fixture
def repository(rendered: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(rendered, tmp_path / "models"))


def steps_file(repository: Path) -> Path:
    """What the joined model reads."""
    return joined_model(repository) / "1" / "steps.json"


def opened(repository: Path) -> Steps:
    """Its steps."""
    return open_steps(repository, steps_file(repository))


def change(repository: Path, part: str, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change the configuration of a step."""
    configs = json.loads(steps_file(repository).read_text())
    edit(configs[part])
    steps_file(repository).write_text(json.dumps(configs))


def answer(steps: Steps, *texts: str) -> dict[str, Any]:
    """What the steps make of texts one after the other."""
    rows = np.array([[text.encode()] for text in texts], object)
    encoded = steps.tokenization.encode(steps.decoded("text_input", rows))
    feeds = steps.tokenization.tensors(encoded.rows)
    (logits,) = steps.engine.run(None, {name: feeds[name] for name in steps.engine.inputs})
    outputs: dict[str, Any] = steps.scoring.outputs(logits, ["predicts", "labels", "scores"])
    return outputs


def test_the_steps_of_a_repository_make_labels_of_texts(rendered: Path) -> None:
    outputs = answer(opened(rendered), "one two", "три")
    assert [row[0].decode() for row in outputs["predicts"]] == ["negative"] * 2
    assert [label.decode() for label in outputs["labels"][1]] == LABELS
    np.testing.assert_allclose(outputs["scores"], 1 / 3, rtol=1e-6)


def test_the_steps_are_told_what_their_configurations_say(repository: Path) -> None:
    change(
        repository,
        "scorer",
        lambda config: config["parameters"].update(top_k={"string_value": "1"}),
    )
    change(
        repository,
        "tokenizer",
        lambda config: config["parameters"].update(length_multiple={"string_value": "8"}),
    )
    steps = opened(repository)
    assert answer(steps, "one")["labels"].shape == (1, 1)
    tensors = steps.tokenization.tensors(steps.tokenization.encode(["one"]).rows)
    assert {name: array.shape for name, array in tensors.items()} == dict.fromkeys(
        BERT_INPUTS, (1, 8)
    )


def test_a_text_that_is_not_utf_8_is_refused_by_its_input_and_row(rendered: Path) -> None:
    with pytest.raises(ValueError, match="text_input: row 1 is not UTF-8"):
        opened(rendered).decoded("text_input", np.array([[b"fine"], [b"\xff"]], object))


def test_a_graph_is_opened_by_the_engine_of_its_backend(rendered: Path) -> None:
    steps = opened(rendered)
    assert steps.engine.description.startswith("onnxruntime ")
    assert set(steps.engine.inputs) == set(BERT_INPUTS)
    assert steps.engine.callers >= 1


@pytest.mark.parametrize(
    ("versions", "newest"), [(["2"], "2"), (["2", "10"], "10"), (["02", "latest"], "1")]
)
def test_the_newest_version_is_taken_that_triton_would_take(
    versions: list[str], newest: str, repository: Path
) -> None:
    folder = repository / "post_processing"
    for version in versions:
        shutil.copytree(folder / "1", folder / version)
        (folder / version / "id2label.json").write_text('{"0": "a", "1": "b", "2": "c"}')
    wanted = LABELS[0] if newest == "1" else "a"
    labels = {"0": wanted, "1": "other", "2": "third"}
    (folder / newest / "id2label.json").write_text(json.dumps(labels))
    for version in {*versions, "1"} - {newest}:
        (folder / version / "id2label.json").unlink()
    assert answer(opened(repository), "one")["predicts"][0][0].decode() == wanted


def test_the_file_that_the_graphs_configuration_names_is_opened(repository: Path) -> None:
    folder = repository / "model_onnx" / "1"
    (folder / "model.onnx").rename(folder / "other.onnx")
    change(repository, "graph", lambda config: config.update(default_model_filename="other.onnx"))
    assert answer(opened(repository), "one")["scores"].shape == (1, 3)


def test_where_the_graph_runs_is_what_its_configuration_says(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    class Engine:
        def __init__(self, path: Path, config: Any, arguments: dict[str, str]) -> None:
            assert not seen
            seen.update(arguments, path=path, name=config["name"])
            self.callers = 2

    engine = ModuleType("engine")
    vars(engine)["Engine"] = Engine
    monkeypatch.setattr(
        module,
        "_module",
        lambda folder, name, real=module._module: (
            engine if name == "onnxruntime_engine" else real(folder, name)
        ),
    )
    group = {"kind": "KIND_GPU", "count": 1, "gpus": [3]}
    change(repository, "graph", lambda config: config.update(instance_group=[group]))
    assert opened(repository).on_gpu
    assert seen == {
        "model_instance_kind": "GPU",
        "model_instance_device_id": "3",
        "path": repository / "model_onnx" / "1" / "model.onnx",
        "name": "model_onnx",
    }


def test_a_lone_text_has_an_engine_of_its_own_with_several_threads(
    rendered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(8))
    steps = opened(rendered)
    assert " 8 caller threads x 1 intra-op threads" in steps.engine.description
    assert " 1 caller threads x 4 intra-op threads" in steps.lone_engine.description


def test_a_lone_text_has_none_on_one_cpu(rendered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    assert opened(rendered).lone_engine is None


def test_a_lone_text_has_none_where_its_weights_would_take_too_much_memory(
    rendered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(8))
    graph = rendered / "model_onnx" / "1" / "model.onnx"
    monkeypatch.setattr(module, "MOST_COPIED_BYTES", graph.stat().st_size)
    assert opened(rendered).lone_engine
    monkeypatch.setattr(module, "MOST_COPIED_BYTES", graph.stat().st_size - 1)
    assert opened(rendered).lone_engine is None


@pytest.mark.parametrize(
    ("changes", "shared", "delay_ns"),
    [
        ({}, True, 0),
        ({"dynamic_batching": {"max_queue_delay_microseconds": "300"}}, True, 300_000),
        ({"dynamic_batching": None}, False, 0),
        ({"max_batch_size": 1}, False, 0),
    ],
)
def test_texts_share_runs_and_wait_as_the_graphs_configuration_says(
    changes: dict[str, Any], shared: bool, delay_ns: int, repository: Path
) -> None:
    change(repository, "graph", lambda config: config.update(changes))
    steps = opened(repository)
    assert (steps.shared_runs, steps.delay_ns) == (shared, delay_ns)
    assert not steps.on_gpu


def test_a_graph_that_contradicts_its_configuration_is_refused(repository: Path) -> None:
    write_graph(repository / "model_onnx" / "1" / "model.onnx", classes=7)
    with pytest.raises(ValueError, match="output 'logits'"):
        opened(repository)


@pytest.mark.parametrize("name", ["text_preprocessing", "model_onnx", "post_processing"])
def test_a_configuration_that_has_changed_since_is_refused_by_its_name(
    name: str, repository: Path
) -> None:
    with (repository / name / "config.pbtxt").open("a") as file:
        file.write("# by hand\n")
    with pytest.raises(ValueError, match=f"^{name}/config.pbtxt has changed since"):
        opened(repository)


def test_a_step_without_its_file_is_refused_by_the_steps_name(repository: Path) -> None:
    (repository / "post_processing" / "1" / "id2label.json").unlink()
    with pytest.raises(ValueError, match=r"^post_processing: .*id2label\.json"):
        opened(repository)


def add_helper(repository: Path, step: str, name: str, label: str) -> None:
    """Let a step's module take a value from another one beside it."""
    folder = repository / step / "1"
    (folder / "helper.py").write_text(f"VALUE = {label!r}\n")
    text = (folder / f"{name}.py").read_text()
    (folder / f"{name}.py").write_text(f"{text}\nfrom helper import VALUE as HELPED\n")


def helped(part: Any) -> Any:
    """The value that the module of an object took."""
    return type(part).__init__.__globals__["HELPED"]


def test_modules_of_one_step_are_not_another_steps(repository: Path) -> None:
    add_helper(repository, "text_preprocessing", "tokenization", "of the tokenizer")
    add_helper(repository, "post_processing", "scoring", "of the scorer")
    steps = opened(repository)
    assert helped(steps.tokenization) == "of the tokenizer"
    assert helped(steps.scoring) == "of the scorer"
    assert "helper" not in sys.modules


def test_modules_of_one_repository_are_not_anothers(repository: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(repository, tmp_path / "other"))
    for number, folder in enumerate((repository, other)):
        add_helper(folder, "post_processing", "scoring", str(number))
    assert [helped(opened(folder).scoring) for folder in (repository, other)] == ["0", "1"]


def test_what_others_have_imported_by_those_names_is_not_taken_and_stays(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_helper(repository, "post_processing", "scoring", "its own")
    others = {name: ModuleType(name) for name in ("tokenization", "scoring", "helper")}
    for name, other in others.items():
        monkeypatch.setitem(sys.modules, name, other)
    path = list(sys.path)
    assert helped(opened(repository).scoring) == "its own"
    assert {name: sys.modules[name] for name in others} == others
    assert sys.path == path
