"""utils/join_steps.py: what is written into the ensemble's folder for the embedded server."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from tests.in_process import call
from tests.unit.commands import error_line, run_utility
from utils import join_steps
from utils.lint_repository import lint, parse_config

ENSEMBLE = """\
name: "cls"
platform: "ensemble"
max_batch_size: 4
input [ { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] } ]
output [
  { name: "predicts" data_type: TYPE_STRING dims: [ 1 ] },
  { name: "scores" data_type: TYPE_FP32 dims: [ 3 ] }
]
parameters { key: "model" value: { string_value: "отзывы" } }
ensemble_scheduling {
  step [
    { model_name: "text_preprocessing" model_version: -1 },
    { model_name: "model_onnx" model_version: -1 },
    { model_name: "post_processing" model_version: -1 }
  ]
}
"""
STEP = """\
name: "{name}"
backend: "{backend}"
max_batch_size: 4
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
parameters {{ key: "first" value: {{ string_value: "1" }} }}
parameters {{ key: "second" value: {{ string_value: "два" }} }}
"""
GRAPH = STEP.format(name="model_onnx", backend="onnxruntime")
FALLBACK = GRAPH.replace('"1"', '"fallback"')

JOINED = """\
name: "cls"
max_batch_size: 4
input {
  name: "text_input"
  data_type: TYPE_STRING
  dims: 1
}
output {
  name: "predicts"
  data_type: TYPE_STRING
  dims: 1
}
output {
  name: "scores"
  data_type: TYPE_FP32
  dims: 3
}
parameters {
  key: "model"
  value {
    string_value: "отзывы"
  }
}
parameters {
  key: "steps"
  value {
    string_value: "steps.json"
  }
}
backend: "classifier"
"""


def write_model(folder: Path, config: str, file: str) -> None:
    """A model of one version."""
    (folder / "1").mkdir(parents=True)
    (folder / "1" / file).touch()
    (folder / "config.pbtxt").write_text(config)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with nothing joined."""
    folder = tmp_path / "models"
    write_model(folder / "cls", ENSEMBLE, ".gitkeep")
    write_model(folder / "model_onnx", GRAPH, "model.onnx")
    for name in ("text_preprocessing", "post_processing"):
        write_model(folder / name, STEP.format(name=name, backend="python"), "model.py")
    return folder


def add_fallback(repository: Path) -> None:
    """Another configuration of the graph."""
    (repository / "model_onnx" / "configs").mkdir()
    (repository / "model_onnx" / "configs" / "fallback.pbtxt").write_text(FALLBACK)


def files(folder: Path) -> dict[str, str]:
    """Path to text, of all files."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def joined(repository: Path) -> dict[str, str]:
    """What the ensemble's folder has after they have been joined."""
    call(join_steps.main, repository)
    return files(repository / "cls" / "joined")


def test_a_model_and_its_steps_are_written_and_nothing_else(repository: Path) -> None:
    before = files(repository)
    assert set(joined(repository)) == {"cls/config.pbtxt", "cls/1/steps.json"}
    after = files(repository)
    assert {path: after[path] for path in before} == before


def test_the_model_takes_and_gives_what_the_ensemble_does(repository: Path) -> None:
    assert joined(repository)["cls/config.pbtxt"] == JOINED


def test_the_steps_are_their_configurations_as_triton_gives_them_to_models(
    repository: Path,
) -> None:
    steps = json.loads(joined(repository)["cls/1/steps.json"])
    del steps["sha256"]
    assert steps == {
        part: json_format.MessageToDict(
            parse_config(repository / name / "config.pbtxt"), preserving_proto_field_name=True
        )
        for part, name in (
            ("tokenizer", "text_preprocessing"),
            ("graph", "model_onnx"),
            ("scorer", "post_processing"),
        )
    }


def test_a_fallback_of_the_graph_has_steps_of_its_own(repository: Path) -> None:
    add_fallback(repository)
    written = joined(repository)
    assert set(written) == {
        *("cls/config.pbtxt", "cls/1/steps.json"),
        *("cls/configs/fallback.pbtxt", "cls/1/steps-fallback.json"),
    }
    assert written["cls/config.pbtxt"] == JOINED
    assert written["cls/configs/fallback.pbtxt"] == JOINED.replace(
        "steps.json", "steps-fallback.json"
    )
    first = {
        name: json.loads(written[f"cls/1/{name}.json"])["graph"]["parameters"]["first"]
        for name in ("steps", "steps-fallback")
    }
    assert first == {
        "steps": {"string_value": "1"},
        "steps-fallback": {"string_value": "fallback"},
    }


def test_the_steps_know_the_configurations_that_they_were_made_of(repository: Path) -> None:
    add_fallback(repository)
    written = joined(repository)
    others = [f"{name}/config.pbtxt" for name in ("text_preprocessing", "post_processing")]
    for steps, graph in (("steps", "config.pbtxt"), ("steps-fallback", "configs/fallback.pbtxt")):
        assert json.loads(written[f"cls/1/{steps}.json"])["sha256"] == {
            name: hashlib.sha256((repository / name).read_bytes()).hexdigest()
            for name in (*others, f"model_onnx/{graph}")
        }


def test_the_order_of_parameters_in_a_configuration_makes_no_difference(repository: Path) -> None:
    before = graph_text(joined(repository))
    path = repository / "model_onnx" / "config.pbtxt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:4], lines[5], lines[4]]))
    assert graph_text(joined(repository)) == before


def test_everything_in_the_steps_is_in_the_order_of_its_name(repository: Path) -> None:
    def in_order(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert pairs == sorted(pairs, key=lambda pair: pair[0])
        return dict(pairs)

    json.loads(joined(repository)["cls/1/steps.json"], object_pairs_hook=in_order)


def graph_text(written: dict[str, str]) -> str:
    """What is written of the graph, as it stands there."""
    return json.dumps(json.loads(written["cls/1/steps.json"])["graph"])


def test_letters_are_written_as_they_are(repository: Path) -> None:
    assert '"два"' in joined(repository)["cls/1/steps.json"]


def test_they_can_be_joined_again(repository: Path) -> None:
    assert joined(repository) == joined(repository)


def test_a_joined_repository_is_sound_inside_and_out(repository: Path) -> None:
    add_fallback(repository)
    joined(repository)
    assert lint(repository) == ["cls", "model_onnx", "post_processing", "text_preprocessing"]
    assert lint(repository / "cls" / "joined") == ["cls"]


def test_a_repository_without_an_ensemble_is_refused(repository: Path) -> None:
    (repository / "cls" / "config.pbtxt").unlink()
    line = error_line(run_utility("join_steps.py", repository))
    assert line == f"error: {repository}: has 0 ensembles (one is what can be joined)"


def test_a_repository_with_two_ensembles_is_refused_and_left_as_it_is(repository: Path) -> None:
    write_model(repository / "other", ENSEMBLE.replace("cls", "other"), ".gitkeep")
    before = files(repository)
    line = error_line(run_utility("join_steps.py", repository))
    assert line == f"error: {repository}: has 2 ensembles (one is what can be joined)"
    assert files(repository) == before


def test_an_ensemble_without_one_of_the_steps_is_refused_naming_it(repository: Path) -> None:
    (repository / "post_processing" / "config.pbtxt").unlink()
    line = error_line(run_utility("join_steps.py", repository))
    assert line.startswith(f"error: {repository}/post_processing/config.pbtxt: ")


def test_a_configuration_that_cannot_be_read_is_refused_with_its_place(repository: Path) -> None:
    (repository / "model_onnx" / "config.pbtxt").write_text("nonsense: 1")
    line = error_line(run_utility("join_steps.py", repository))
    assert line.startswith(f"error: {repository}/model_onnx/config.pbtxt:1:1: ")
