"""A checkpoint with more weights than one protobuf message can hold."""

from pathlib import Path

import pytest

from tests import checkpoints
from tests.serving import render, serve
from utils.verify_answers import verify

pytestmark = pytest.mark.server

# 520,000 x 1,024 fp32: 2.13 GB in one table, little work in one layer.
LARGE = {
    "vocab_size": 520_000,
    "hidden_size": 1024,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
}


def test_more_than_2_gb_of_weights_travel_beside_the_graph_and_are_served(tmp_path: Path) -> None:
    checkpoint = checkpoints.make_bert(tmp_path, **LARGE)
    samples = tmp_path / "samples.txt"
    samples.write_text("помогите мне\nthank you , everything works !\n👍\n", encoding="utf-8")
    rendered = render(checkpoint, tmp_path, "--samples", samples)
    version = rendered.repository / "model_onnx" / "1"
    assert (version / "model.onnx").stat().st_size < 10_000_000
    assert (version / "model.onnx.data").stat().st_size > 2**31
    with serve(rendered.repository, tmp_path / "server.log") as served:
        verify(served.http, rendered.name, rendered.reference)
