"""The steps as one model on the real server: texts together, answers kept, statistics."""

import json
import shutil
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.in_process import call
from tests.serving import Rendered, Served, serve
from utils import join_steps
from utils.inference import Prediction, Server

pytestmark = pytest.mark.server

MODEL = "cls_model"
CLIENTS = 16


def ask_all_at_once(served: Served, texts: list[str]) -> list[Prediction]:
    """One text a request, from many clients."""
    address = served.http.address

    def ask(share: list[str]) -> list[Prediction]:
        client = Server("http", address)
        answers = [client.classify(MODEL, [text])[0] for text in share]
        client.close()
        return answers

    with ThreadPoolExecutor(CLIENTS) as pool:
        parts = list(pool.map(ask, [texts[number::CLIENTS] for number in range(CLIENTS)]))
    return [parts[place % CLIENTS][place // CLIENTS] for place in range(len(texts))]


def statistics(served: Served) -> dict[str, Any]:
    """What Triton counted of the model."""
    with urllib.request.urlopen(f"{served.url}/v2/models/{MODEL}/stats", timeout=10) as reply:
        stats: dict[str, Any] = json.load(reply)["model_stats"][0]
    return stats


def assert_same(found: list[Prediction], expected: list[Prediction]) -> None:
    assert [item.predict for item in found] == [item.predict for item in expected]
    assert [item.truncated for item in found] == [item.truncated for item in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.logits == pytest.approx(other.logits, abs=1e-4)


@pytest.fixture(scope="module")
def texts(rendered: Rendered) -> list[str]:
    """Texts of many lengths, each several times, those of a kind far from each other."""
    return [answer.text for answer in rendered.reference.answers] * 3


def test_texts_that_share_runs_get_the_answers_that_they_get_alone(
    served: Served, texts: list[str]
) -> None:
    alone = [served.http.classify(MODEL, [text])[0] for text in texts]
    before = statistics(served)
    together = ask_all_at_once(served, texts)
    after = statistics(served)
    assert_same(together, alone)
    asked = after["inference_count"] - before["inference_count"]
    assert asked == len(texts)
    assert after["execution_count"] - before["execution_count"] < asked


def test_without_dynamic_batching_every_text_is_run_alone(
    rendered: Rendered, texts: list[str], tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(rendered.repository, repository)
    config = repository / "model_onnx" / "config.pbtxt"
    text = config.read_text(encoding="utf-8")
    assert "dynamic_batching { }" in text
    config.write_text(text.replace("dynamic_batching { }", ""), encoding="utf-8")
    call(join_steps.main, repository)
    with serve(repository, tmp_path / "server.log") as served:
        ask_all_at_once(served, texts[:200])
        counted = statistics(served)
    assert counted["execution_count"] == counted["inference_count"]


def test_statistics_tell_what_the_time_went_into(served: Served) -> None:
    served.http.classify(MODEL, ["the fox"])
    spent = statistics(served)["inference_stats"]
    for part in ("queue", "compute_input", "compute_infer", "compute_output"):
        assert spent[part]["ns"] > 0, part
    parts = sum(
        spent[part]["ns"] for part in ("queue", "compute_input", "compute_infer", "compute_output")
    )
    assert parts <= spent["success"]["ns"]


def test_with_a_cache_a_text_that_comes_again_is_not_run_again(
    rendered: Rendered, tmp_path: Path
) -> None:
    with serve(rendered.repository, tmp_path / "server.log", options=("--cache", "10")) as served:
        first = served.http.classify(MODEL, ["the fox", "another"])
        runs = statistics(served)["execution_count"]
        assert served.http.classify(MODEL, ["another", "the fox"]) == first[::-1]
        assert served.grpc.classify(MODEL, ["the fox"]) == first[:1]
        assert statistics(served)["execution_count"] == runs


def test_joined_and_separate_steps_answer_the_same(
    rendered: Rendered, served: Served, texts: list[str], tmp_path: Path
) -> None:
    some = texts[:100]
    joined = ask_all_at_once(served, some)
    with serve(
        rendered.repository, tmp_path / "server.log", options=("--separate-steps",)
    ) as apart:
        assert_same(ask_all_at_once(apart, some), joined)


def test_what_the_callers_python_is_told_does_not_reach_the_server(
    rendered: Rendered, tmp_path: Path
) -> None:
    other = tmp_path / "packages"
    other.mkdir()
    (other / "numpy.py").write_text("raise SystemExit('wrong numpy')\n")
    with serve(
        rendered.repository, tmp_path / "server.log", prefix=("env", f"PYTHONPATH={other}")
    ) as served:
        assert served.http.classify(MODEL, ["ok"])
