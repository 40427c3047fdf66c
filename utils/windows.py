"""A graph for texts in windows: [texts, windows, tokens] in, merged logits out.

The merge is part of the graph, so that a text keeps one row from the first step to the last: no
server batches, splits or merges anything. Windows that a text has not are never computed.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from utils.errors import UserError

MASK = "attention_mask"

# Names of the wrapped graph; no exporter uses the prefix.
INNER = "window/"


def merge_windows(graph_file: Path, merge: str) -> None:
    """Rewrite a graph of [rows, tokens] in place.

    Args:
        graph_file: takes attention_mask; its first output is the logits [rows, classes].
        merge: mean or max of the logits of a text's windows.

    Raises:
        UserError: the graph takes no attention_mask, so that nothing tells windows from padding.
    """
    model = onnx.load(str(graph_file), load_external_data=False)
    names = [value.name for value in model.graph.input]
    if MASK not in names:
        raise UserError("--long-text window", f"needs a model that takes {MASK}")
    logits = model.graph.output[0].name
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    classes = model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    model = compose.add_prefix(model, INNER)
    graph = model.graph
    before = [*_choose_windows(names[0]), *_choose_rows(names)]
    after = _merge_rows(logits, merge, _opset(model))
    inner = list(graph.node)
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend([*before, *inner, *after])
    graph.input.extend(
        helper.make_tensor_value_info(name, types[name], ["batch", "windows", "tokens"])
        for name in names
    )
    graph.output.append(
        helper.make_tensor_value_info(logits, TensorProto.FLOAT, ["batch", classes])
    )
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.int64), name)
        for name, value in {"zero": [0], "one": [1], "two": [2], "three": [3], "all": [-1]}.items()
    )
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(0, np.int64), "first"),
            numpy_helper.from_array(np.array(1, np.int64), "next"),
            numpy_helper.from_array(
                np.array(0 if merge == "mean" else np.finfo(np.float32).min, np.float32), "nothing"
            ),
        ]
    )
    onnx.save_model(model, str(graph_file))


def _choose_windows(name: str) -> list[onnx.NodeProto]:
    """`kept` [texts, windows]: windows with tokens, and the first, so that there always is one."""
    node = helper.make_node
    return [
        node("Shape", [name], ["shape"]),
        node("Slice", ["shape", "one", "two"], ["window_count"]),
        node("Slice", ["shape", "zero", "two"], ["texts_and_windows"]),
        node("Slice", ["shape", "two", "three"], ["token_count"]),
        node("ReduceSum", [MASK, "two"], ["tokens_in_window"], keepdims=0),
        node("Cast", ["tokens_in_window"], ["some"], to=TensorProto.BOOL),
        node("Squeeze", ["window_count", "zero"], ["window_limit"]),
        node("Range", ["first", "window_limit", "next"], ["window_numbers"]),
        node("Equal", ["window_numbers", "first"], ["is_first"]),
        node("Or", ["some", "is_first"], ["kept"]),
    ]


def _choose_rows(names: list[str]) -> list[onnx.NodeProto]:
    """The kept windows of all texts, one below the other, as the inner graph's inputs."""
    node = helper.make_node
    nodes = [
        node("Reshape", ["kept", "all"], ["kept_flat"]),
        node("NonZero", ["kept_flat"], ["places_row"]),
        node("Squeeze", ["places_row", "zero"], ["places"]),
        node("Unsqueeze", ["places", "one"], ["places_column"]),
        node("Concat", ["all", "token_count"], ["rows_and_tokens"], axis=0),
    ]
    for name in names:
        nodes += [
            node("Reshape", [name, "rows_and_tokens"], [f"{name}_rows"]),
            node("Gather", [f"{name}_rows", "places"], [INNER + name], axis=0),
        ]
    return nodes


def _merge_rows(logits: str, merge: str, opset: int) -> list[onnx.NodeProto]:
    """Each text's logits from those of its windows."""
    node = helper.make_node
    nodes = [
        node("Shape", ["kept_flat"], ["all_rows"]),
        node("Shape", [INNER + logits], ["kept_shape"]),
        node("Slice", ["kept_shape", "one", "two"], ["class_count"]),
        node("Concat", ["all_rows", "class_count"], ["rows_and_classes"], axis=0),
        node("Expand", ["nothing", "rows_and_classes"], ["empty_rows"]),
        node("ScatterND", ["empty_rows", "places_column", INNER + logits], ["filled_rows"]),
        node(
            "Concat",
            ["texts_and_windows", "class_count"],
            ["texts_windows_classes"],
            axis=0,
        ),
        node("Reshape", ["filled_rows", "texts_windows_classes"], ["of_windows"]),
    ]
    if merge == "max":
        # The axes of ReduceMax became an input with opset 18.
        if opset < 18:
            return [*nodes, node("ReduceMax", ["of_windows"], [logits], axes=[1], keepdims=0)]
        return [*nodes, node("ReduceMax", ["of_windows", "one"], [logits], keepdims=0)]
    return [
        *nodes,
        node("ReduceSum", ["of_windows", "one"], ["sums"], keepdims=0),
        node("Cast", ["kept"], ["kept_numbers"], to=TensorProto.FLOAT),
        node("ReduceSum", ["kept_numbers", "one"], ["counts"], keepdims=1),
        node("Div", ["sums", "counts"], [logits]),
    ]


def _opset(model: onnx.ModelProto) -> int:
    return next(int(item.version) for item in model.opset_import if item.domain in ("", "ai.onnx"))
