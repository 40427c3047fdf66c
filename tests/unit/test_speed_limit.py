"""benchmarks/speed/limit.py on a graph that counts words."""

import time
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from tokenizers import Tokenizer, models, pre_tokenizers

from benchmarks.speed.cells import Window, observe_limit
from benchmarks.speed.limit import Classifier, open_limit, served_files

SHORT, LONG = "word", "word word word word word"
NAMES = ("few", "many")


@pytest.fixture(scope="module", params=["INT64", "INT32"])
def repository(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered, as far as the limit looks: logits are 3 and the number of words."""
    folder: Path = tmp_path_factory.mktemp("repository")
    for step in ("model_onnx", "text_preprocessing"):
        (folder / step / "1").mkdir(parents=True)
    tokenizer = Tokenizer(models.WordLevel({"word": 1}))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(folder / "text_preprocessing" / "1" / "tokenizer.json"))
    ids = helper.make_tensor_value_info(
        "input_ids", TensorProto.DataType.Value(request.param), ["n", "tokens"]
    )
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2])
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["floats", "axes"], ["count"], keepdims=1),
        helper.make_node("Concat", ["three", "count"], ["logits"], axis=1),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
        helper.make_tensor("three", TensorProto.FLOAT, [1, 1], [3.0]),
    ]
    graph = helper.make_graph(nodes, "count", [ids], [logits], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model_onnx" / "1" / "model.onnx")
    return folder


def test_the_limit_tokenises_without_padding_and_runs_the_graph(repository: Path) -> None:
    classifier = Classifier(served_files(repository))
    assert [classifier.label(text) for text in (SHORT, LONG)] == [0, 1]


def test_processes_share_the_texts_and_their_answers_are_counted(repository: Path) -> None:
    expected = {SHORT: "few", LONG: "many"}
    with open_limit(served_files(repository), [0, 0]) as limit:
        seen = observe_limit(
            limit, NAMES, [SHORT, LONG], expected, clients=8, window=Window(0.1, 0.3), cpus=[0]
        )
        wrong = observe_limit(
            limit, NAMES[::-1], [SHORT, LONG], expected, 8, Window(0.0, 0.1), cpus=[0]
        )
    assert seen.labels == {0: True, 1: True}
    assert wrong.labels == {0: False, 1: False}
    assert seen.rate == pytest.approx(len(seen.latencies) / 0.3)
    assert 0 < seen.server_cpu < 100
    assert 0 <= seen.others <= 1


def test_one_client_is_one_process(repository: Path) -> None:
    with open_limit(served_files(repository), [0, 0]) as limit:
        start = time.perf_counter() + 0.1
        assert len(limit.begin([SHORT], 1, start, 0.1)) == 1
        (share,) = (future.result() for future in limit.begin([SHORT], 1, start, 0.1))
    assert min(share.log.ended, default=start) >= start
