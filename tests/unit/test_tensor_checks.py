"""backends/onnxruntime/tensor_checks.py."""

from dataclasses import dataclass
from typing import Any

import pytest
from tensor_checks import TRITON_TYPES, check_tensors


@dataclass
class GraphTensor:
    """An input or output of a session."""

    name: str
    type: str
    shape: list[int | str | None]


def tokens(name: str = "input_ids", shape: Any = ("batch", "tokens")) -> GraphTensor:
    """A token tensor of the graph."""
    return GraphTensor(name, "tensor(int64)", list(shape))


def logits(shape: Any = ("batch", 3)) -> GraphTensor:
    """The logits of the graph."""
    return GraphTensor("logits", "tensor(float)", list(shape))


def entry(name: str, data_type: str, *dims: Any, **more: Any) -> dict[str, Any]:
    """An input or output of the configuration; Triton gives dims as strings."""
    return {"name": name, "data_type": data_type, "dims": [str(size) for size in dims], **more}


IDS = entry("input_ids", "TYPE_INT64", -1)
LOGITS = entry("logits", "TYPE_FP32", 3)


def check(
    inputs: list[dict[str, Any]],
    outputs: list[dict[str, Any]],
    graph_inputs: list[GraphTensor],
    graph_outputs: list[GraphTensor],
    max_batch_size: int = 4,
) -> None:
    """check_tensors of a configuration with these."""
    configuration = {"max_batch_size": max_batch_size, "input": inputs, "output": outputs}
    check_tensors(configuration, graph_inputs, graph_outputs)


def check_input(configured: dict[str, Any], graph: GraphTensor, max_batch_size: int = 4) -> None:
    """The same for one input, with no outputs configured."""
    check([configured], [], [graph], [logits()], max_batch_size)


def test_a_configuration_that_agrees_with_the_graph_is_accepted() -> None:
    mask = entry("attention_mask", "TYPE_INT64", -1)
    check([IDS, mask], [LOGITS], [tokens(), tokens("attention_mask")], [logits()])


def test_inputs_may_come_in_another_order() -> None:
    mask = entry("attention_mask", "TYPE_INT64", -1)
    check([mask, IDS], [LOGITS], [tokens(), tokens("attention_mask")], [logits()])


def test_outputs_that_the_configuration_leaves_out_are_no_mistake() -> None:
    other = GraphTensor("hidden", "tensor(float)", ["batch", 32])
    check([IDS], [LOGITS], [tokens()], [other, logits()])


def test_without_batching_all_dimensions_are_in_the_configuration() -> None:
    check(
        [entry("input_ids", "TYPE_INT64", 1, -1)],
        [entry("logits", "TYPE_FP32", 1, 3)],
        [tokens(shape=(1, "tokens"))],
        [logits((1, 3))],
        max_batch_size=0,
    )


def test_without_max_batch_size_there_is_no_batching() -> None:
    check_tensors({"input": [entry("a", "TYPE_INT64", 2)]}, [tokens("a", (2,))], [])


@pytest.mark.parametrize("free", ["tokens", None, -1])
def test_a_free_dimension_of_the_graph_takes_any_size(free: Any) -> None:
    check_input(entry("input_ids", "TYPE_INT64", 128), tokens(shape=("batch", free)))


def test_a_missing_input_is_refused_with_both_numbers_and_the_graphs_names() -> None:
    with pytest.raises(
        ValueError, match=r"has 1 inputs, the model takes 2 \(input_ids, attention_mask\)"
    ):
        check([IDS], [LOGITS], [tokens(), tokens("attention_mask")], [logits()])


def test_one_input_too_many_is_refused_with_both_numbers() -> None:
    with pytest.raises(ValueError, match="has 2 inputs, the model takes 1"):
        check([IDS, entry("mask", "TYPE_INT64", -1)], [LOGITS], [tokens()], [logits()])


def test_a_configuration_without_inputs_is_refused() -> None:
    with pytest.raises(ValueError, match="has 0 inputs, the model takes 1"):
        check_tensors({"max_batch_size": 4}, [tokens()], [logits()])


def test_an_unknown_input_is_refused_naming_it_and_the_graphs() -> None:
    with pytest.raises(ValueError, match="unexpected input 'ids', the model has input_ids"):
        check_input(entry("ids", "TYPE_INT64", -1), tokens())


def test_an_unknown_output_is_refused_naming_it_and_the_graphs() -> None:
    with pytest.raises(ValueError, match="unexpected output 'scores', the model has logits"):
        check([IDS], [entry("scores", "TYPE_FP32", 3)], [tokens()], [logits()])


def test_another_type_of_an_input_is_refused_naming_both() -> None:
    with pytest.raises(ValueError, match=r"input 'input_ids'.*TYPE_INT32.*TYPE_INT64"):
        check_input(entry("input_ids", "TYPE_INT32", -1), tokens())


def test_another_type_of_an_output_is_refused_naming_both() -> None:
    with pytest.raises(ValueError, match=r"output 'logits'.*TYPE_FP16.*TYPE_FP32"):
        check([IDS], [entry("logits", "TYPE_FP16", 3)], [tokens()], [logits()])


def test_a_type_that_triton_does_not_have_is_refused_by_the_graphs_name() -> None:
    graph = GraphTensor("input_ids", "tensor(bfloat16)", ["batch", 3])
    with pytest.raises(ValueError, match=r"the model has tensor\(bfloat16\)"):
        check_input(entry("input_ids", "TYPE_BF16", 3), graph)


@pytest.mark.parametrize(("graph_type", "triton_type"), TRITON_TYPES.items())
def test_every_type_agrees_with_its_own(graph_type: str, triton_type: str) -> None:
    check_input(entry("a", triton_type, 3), GraphTensor("a", graph_type, ["batch", 3]))


@pytest.mark.parametrize(
    ("dims", "shape"),
    [
        ((4,), ("batch", 3)),
        ((-1,), ("batch", 3)),
        ((3, 1), ("batch", 3)),
        ((), ("batch", 3)),
        ((3,), ("batch", 3, 1)),
    ],
)
def test_another_shape_is_refused_showing_both(dims: Any, shape: Any) -> None:
    expected = str([-1, *dims]).replace("[", r"\[").replace("]", r"\]")
    with pytest.raises(ValueError, match=rf"says {expected} \(batch.*the model has \[-1, 3"):
        check_input(entry("input_ids", "TYPE_INT64", *dims), tokens(shape=shape))


def test_another_shape_without_batching_is_refused() -> None:
    with pytest.raises(ValueError, match=r"says \[3\] .*the model has \[2\]"):
        check_input(entry("a", "TYPE_INT64", 3), tokens("a", (2,)), max_batch_size=0)


@pytest.mark.parametrize("shape", [(1, "tokens"), ()])
def test_batching_with_a_graph_that_does_not_batch_is_refused(shape: Any) -> None:
    with pytest.raises(ValueError, match="batching needs a first dimension of -1"):
        check_input(IDS, tokens(shape=shape))


def test_batching_with_an_output_that_does_not_batch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"output 'logits': batching .* has \[1, 3\]"):
        check([IDS], [LOGITS], [tokens()], [logits((1, 3))])


def test_a_reshaped_tensor_is_compared_in_the_graphs_shape() -> None:
    configured = entry("a", "TYPE_INT64", 1, reshape={"shape": []})
    check_input(configured, tokens("a", ("batch",)))


def test_a_reshape_that_does_not_fit_is_refused() -> None:
    configured = entry("a", "TYPE_INT64", 3, reshape={"shape": ["3", "1"]})
    with pytest.raises(ValueError, match=r"says \[-1, 3, 1\]"):
        check_input(configured, tokens("a", ("batch", 3)))
