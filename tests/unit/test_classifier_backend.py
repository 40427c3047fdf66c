"""backends/classifier/model.py, outside Triton, on a rendered repository."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format

from tests.unit.commands import ROOT
from tests.unit.repositories import LABELS, MAX_LENGTH, filled_repository, joined_model
from tests.unit.triton_stub import Request, Response, TritonModelException, load_model_file
from utils.lint_repository import parse_config

OUTPUTS = ("predicts", "labels", "scores", "truncated")


@dataclass
class Asked(Request):
    """A request of the in-process backend."""

    answers: list[Response] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    times: tuple[int, ...] = ()
    runs: list[tuple[int, int, int]] = field(default_factory=list)
    cancelled: bool = False

    def send(self, response: Response) -> None:
        """As the backend's."""
        self.answers.append(response)

    def fail(self, message: str) -> None:
        """As the backend's."""
        self.errors.append(message)

    def set_times(self, *times: int) -> None:
        """As the backend's."""
        self.times = times

    def count_run(self, *run: int) -> None:
        """As the backend's."""
        self.runs.append(run)  # type: ignore[arg-type]

    def is_cancelled(self) -> bool:
        """As the backend's."""
        return self.cancelled

    def outputs(self) -> dict[str, Any]:
        """Of the one answer."""
        assert self.errors == []
        (answer,) = self.answers
        return answer.outputs()


def request(*texts: str | bytes, wanted: tuple[str, ...] = OUTPUTS) -> Asked:
    """A request with one text a row."""
    rows = [[text.encode() if isinstance(text, str) else text] for text in texts]
    return Asked({"text_input": np.array(rows, object)}, wanted)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository; not to be written to."""
    return filled_repository(tmp_path_factory.mktemp("rendered"))


@pytest.fixture
def module() -> ModuleType:
    """The backend, with nothing loaded."""
    return load_model_file(ROOT / "backends" / "classifier" / "model.py")


Load = Callable[[], Any]


@pytest.fixture
def load(module: ModuleType, repository: Path) -> Load:
    """Makes instances of the repository's joined model."""
    folder = joined_model(repository)
    config = json_format.MessageToDict(
        parse_config(folder / "config.pbtxt"), preserving_proto_field_name=True
    )

    def make() -> Any:
        model = module.TritonPythonModel()
        model.initialize(
            {
                "model_config": json.dumps(config),
                "model_repository": str(folder),
                "model_version": "1",
                "model_name": "ratings",
            }
        )
        return model

    return make


def test_texts_are_answered_with_all_that_the_ensemble_gives(load: Load) -> None:
    asked = request("one two", "one " * MAX_LENGTH)
    assert load().execute([asked]) is None
    outputs = asked.outputs()
    assert [row[0].decode() for row in outputs["predicts"]] == [LABELS[0]] * 2
    assert [label.decode() for label in outputs["labels"][0]] == LABELS
    np.testing.assert_allclose(outputs["scores"], 1 / 3, rtol=1e-6)
    assert outputs["truncated"].tolist() == [[False], [True]]


@pytest.mark.parametrize("name", OUTPUTS)
def test_only_the_requested_output_is_sent(name: str, load: Load) -> None:
    asked = request("one", wanted=(name,))
    load().execute([asked])
    assert list(asked.outputs()) == [name]


def test_a_text_that_is_not_utf_8_fails_its_own_request_only(load: Load) -> None:
    bad, good = request(b"\xff"), request("one")
    load().execute([bad, good])
    assert bad.answers == []
    assert bad.errors == ["text_input: row 0 is not UTF-8 (invalid start byte at byte 0)"]
    assert good.outputs()["predicts"].shape == (1, 1)


def test_whatever_the_tokenizer_raises_fails_its_own_request_only(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load()
    tokenization = model._pipeline.steps.tokenization
    encode = tokenization.encode

    def refuse(texts: list[str]) -> Any:
        if texts == ["two"]:
            raise RuntimeError("no token for unknown words")
        return encode(texts)

    monkeypatch.setattr(tokenization, "encode", refuse)
    before, bad, behind = request("one"), request("two"), request("three")
    model.execute([before, bad, behind])
    assert bad.errors == ["no token for unknown words"]
    assert before.outputs().keys() == behind.outputs().keys() == set(OUTPUTS)


def test_a_request_without_its_input_fails_alone(load: Load) -> None:
    bad, good = Asked({}, OUTPUTS), request("one")
    load().execute([bad, good])
    assert len(bad.errors) == 1
    assert good.outputs()


def test_a_request_whose_client_has_gone_is_not_run(load: Load) -> None:
    asked = request("one")
    asked.cancelled = True
    load().execute([asked])
    assert (asked.answers, asked.errors, asked.runs) == ([], ["cancelled"], [])


def test_the_servers_statistics_are_told_of_the_run_and_when_it_was(load: Load) -> None:
    asked = request("one")
    load().execute([asked])
    ((texts, begun, ended),) = asked.runs
    started, compute_begun, compute_ended = asked.times
    assert texts == 1
    assert (compute_begun, compute_ended) == (begun, ended)
    assert started < begun < ended


def test_instances_share_the_graph_and_what_waits_for_it(load: Load) -> None:
    first, second = load(), load()
    assert first._pipeline is second._pipeline


def test_a_model_that_cannot_be_loaded_says_why(
    module: ModuleType, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("model_onnx: no such file")

    monkeypatch.setattr(module, "open_steps", refuse)
    with pytest.raises(TritonModelException) as caught:
        load()
    assert str(caught.value) == "model_onnx: no such file"


def test_there_is_an_instance_for_every_core_and_one_that_takes_requests(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "cpu_budget", lambda: 6)
    assert module.preferred_instances() == 7
