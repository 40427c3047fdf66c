"""ONNX files that have the right inputs and outputs and compute next to nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BERT_INPUTS = ("input_ids", "token_type_ids", "attention_mask")
DISTILBERT_INPUTS = ("input_ids", "attention_mask")

Shape = Sequence[int | str]


def write_graph(
    path: Path,
    inputs: Sequence[str] = BERT_INPUTS,
    *,
    classes: int = 3,
    input_type: int = TensorProto.INT64,
    logits: str = "logits",
    logits_type: int = TensorProto.FLOAT,
    shapes: Mapping[str, Shape] | None = None,
) -> Path:
    """Write a classifier's graph to `path`: token tensors [batch, tokens] in, zeros out.

    Args:
        path: the file to write; its folder is made.
        inputs: names of the token tensors; the first one decides how many rows come out.
        classes: size of the last dimension of the output.
        input_type: element type of all inputs.
        logits: name of the output.
        logits_type: element type of the output.
        shapes: other shapes than [batch, tokens], by name of the input.
    """
    shapes = shapes or {}
    nodes = [
        helper.make_node("Shape", [inputs[0]], ["rows"], start=0, end=1),
        helper.make_node("Concat", ["rows", "columns"], ["size"], axis=0),
        helper.make_node("Expand", ["zero", "size"], ["zeros"]),
        helper.make_node("Cast", ["zeros"], [logits], to=logits_type),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [
            helper.make_tensor_value_info(name, input_type, shapes.get(name, ["batch", "tokens"]))
            for name in inputs
        ],
        [helper.make_tensor_value_info(logits, logits_type, ["batch", classes])],
        [
            numpy_helper.from_array(np.array([classes], dtype=np.int64), "columns"),
            numpy_helper.from_array(np.zeros(1, dtype=np.float32), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, str(path))
    return path


def write_warmup(folder: Path, inputs: Sequence[str] = BERT_INPUTS, tokens: int = 9) -> Path:
    """Write INT64 values of one text to `folder`, as a conversion does, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in inputs:
        np.arange(tokens, dtype=np.int64).tofile(folder / name)
    return folder
