"""utils/template_variables.py."""

from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import text_format
from onnx import TensorProto
from tritonclient.grpc.model_config_pb2 import ModelConfig

from tests.unit.commands import ROOT, error_line, read_by_shell, run_utility, usage_error
from tests.unit.graphs import BERT_INPUTS, DISTILBERT_INPUTS, write_graph, write_warmup
from tests.unit.reports import CPU, make_behaviour, make_precision, make_report
from utils.artifacts import Report, write_report
from utils.errors import UsageError, UserError
from utils.graph import Tensor, graph_tensors
from utils.targets import profiles
from utils.targets.profiles import Precision, read_profile
from utils.template_variables import model_digest, template_variables


def variables(graph: Path, report: Report | None = None, max_batch_size: int = 4) -> dict[str, str]:
    """The variables for a graph, whose inputs get nine tokens to warm up with."""
    inputs, outputs = graph_tensors(graph)
    warmup = write_warmup(graph.parent / "warmup", [tensor.name for tensor in inputs])
    report = report or make_report()
    return template_variables(inputs, outputs, report, "cls", max_batch_size, warmup, CPU, {})


def test_a_bert_like_graph_has_three_token_tensors_and_logits(tmp_path: Path) -> None:
    inputs, outputs = graph_tensors(write_graph(tmp_path / "model.onnx", BERT_INPUTS))
    assert inputs == [Tensor(name, "TYPE_INT64", (-1,)) for name in BERT_INPUTS]
    assert outputs == [Tensor("logits", "TYPE_FP32", (3,))]


def test_a_graph_without_token_type_ids_gets_none(tmp_path: Path) -> None:
    result = variables(write_graph(tmp_path / "model.onnx", DISTILBERT_INPUTS))
    assert not [name for name, value in result.items() if "token_type_ids" in value]
    assert all(name in result["TOKEN_TENSORS"] for name in DISTILBERT_INPUTS)


def test_token_tensors_keep_the_graphs_order(tmp_path: Path) -> None:
    names = ("attention_mask", "input_ids")
    inputs, _ = graph_tensors(write_graph(tmp_path / "model.onnx", names))
    assert tuple(tensor.name for tensor in inputs) == names


def test_int32_token_ids_are_served_as_int32(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.onnx", input_type=TensorProto.INT32)
    result = variables(graph)
    assert result["TOKEN_TENSORS"].count("TYPE_INT32") == len(BERT_INPUTS)
    assert result["WARMUP_INPUTS"].count("TYPE_INT32") == len(BERT_INPUTS)
    assert "INT64" not in "".join(result.values())


def test_the_logits_keep_the_graphs_name(tmp_path: Path) -> None:
    result = variables(write_graph(tmp_path / "model.onnx", logits="output_0"))
    assert result["LOGITS_NAME"] == "output_0"
    assert 'name: "output_0"' in result["LOGITS_TENSOR"]


def test_a_fixed_dimension_is_kept(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.onnx", shapes={"input_ids": ["batch", 128]})
    result = variables(graph)
    assert 'name: "input_ids" data_type: TYPE_INT64 dims: [ 128 ]' in result["TOKEN_TENSORS"]


@pytest.mark.parametrize(("data_type", "size"), [("INT64", 9), ("INT32", 18)])
def test_warmup_takes_the_values_of_the_conversion_as_one_text(
    data_type: str, size: int, tmp_path: Path
) -> None:
    input_type = TensorProto.DataType.Value(data_type)
    result = variables(write_graph(tmp_path / "model.onnx", ("input_ids",), input_type=input_type))
    # Nine values of eight bytes.
    assert result["WARMUP_INPUTS"] == (
        f'inputs {{ key: "input_ids" value {{ data_type: TYPE_{data_type} dims: [ {size} ]'
        ' input_data_file: "input_ids" } }'
    )


def test_a_conversion_without_values_to_warm_up_with_is_refused(tmp_path: Path) -> None:
    inputs, outputs = graph_tensors(write_graph(tmp_path / "model.onnx"))
    with pytest.raises(
        UserError, match=r"token_type_ids: no token ids .*convert_to_onnx\.py again"
    ):
        write_warmup(tmp_path, ("input_ids", "attention_mask"))
        template_variables(inputs, outputs, make_report(), "cls", 4, tmp_path, CPU, {})


def test_the_rest_of_the_variables_comes_from_the_report_and_arguments(tmp_path: Path) -> None:
    behaviour = make_behaviour(
        problem_type="multi_label_classification",
        function="sigmoid",
        top_k=2,
        long_text="window",
        max_windows=9,
    )
    report = make_report(classes=7, behaviour=behaviour)
    result = variables(write_graph(tmp_path / "model.onnx", classes=7), report)
    assert (result["MODEL_NAME"], result["MAX_BATCH_SIZE"]) == ("cls", "4")
    assert (result["CLASS_COUNT"], result["TOP_K"]) == ("7", "2")
    assert result["FUNCTION"] == "sigmoid"
    assert result["PROBLEM_TYPE"] == "multi_label_classification"
    assert (result["LONG_TEXT"], result["MAX_WINDOWS"]) == ("window", "9")


def test_a_model_of_single_texts_takes_one_text(tmp_path: Path) -> None:
    result = variables(write_graph(tmp_path / "model.onnx"))
    assert result["TEXT_TENSORS"] == '{ name: "text_input" data_type: TYPE_STRING dims: [ 1 ] }'
    assert result["TEXT_INPUT_MAP"] == 'input_map { key: "text_input" value: "text_input" }'


def test_a_model_of_pairs_takes_two_texts_in_their_order(tmp_path: Path) -> None:
    report = make_report(behaviour=make_behaviour(pairs=True))
    result = variables(write_graph(tmp_path / "model.onnx"), report)
    assert result["TEXT_TENSORS"].split(",\n  ") == [
        '{ name: "text_input" data_type: TYPE_STRING dims: [ 1 ] }',
        '{ name: "text_pair" data_type: TYPE_STRING dims: [ 1 ] }',
    ]
    assert result["TEXT_INPUT_MAP"].split("\n      ") == [
        'input_map { key: "text_input" value: "text_input" }',
        'input_map { key: "text_pair" value: "text_pair" }',
    ]


def test_windows_are_a_dimension_of_the_token_tensors_and_of_their_warmup(tmp_path: Path) -> None:
    shapes = {name: ["batch", "windows", "tokens"] for name in BERT_INPUTS}
    result = variables(write_graph(tmp_path / "model.onnx", shapes=shapes))
    assert result["TOKEN_TENSORS"].count("dims: [ -1, -1 ]") == len(BERT_INPUTS)
    assert result["WARMUP_INPUTS"].count("dims: [ 1, 9 ]") == len(BERT_INPUTS)


@pytest.mark.parametrize("padding", ["left", "right"])
def test_a_model_that_can_be_padded_takes_batches(padding: str, tmp_path: Path) -> None:
    report = make_report(behaviour=make_behaviour(padding=padding))
    assert variables(write_graph(tmp_path / "model.onnx"), report)["MAX_BATCH_SIZE"] == "4"


@pytest.mark.parametrize(
    ("profile", "padding", "multiple"),
    [("cpu", "right", "1"), ("openvino", "right", "16"), ("openvino", "none", "1")],
)
def test_rows_are_filled_up_for_engines_that_want_it_unless_padding_changes_answers(
    profile: str, padding: str, multiple: str, tmp_path: Path
) -> None:
    inputs, outputs = graph_tensors(write_graph(tmp_path / "model.onnx"))
    warmup = write_warmup(tmp_path / "warmup")
    report = make_report(behaviour=make_behaviour(padding=padding))
    result = template_variables(
        inputs, outputs, report, "cls", 1, warmup, read_profile(profile), {}
    )
    assert result["LENGTH_MULTIPLE"] == multiple


def test_batches_of_a_model_that_cannot_be_padded_are_refused_with_the_size_that_serves_it(
    tmp_path: Path,
) -> None:
    graph = write_graph(tmp_path / "model.onnx")
    report = make_report(behaviour=make_behaviour(padding="none"))
    with pytest.raises(UserError, match=r"^max batch size: 2, but .* padding \(1 serves it"):
        variables(graph, report, 2)
    assert variables(graph, report, 1)["MAX_BATCH_SIZE"] == "1"


def test_tensors_warmup_and_step_maps_parse_as_a_triton_config(tmp_path: Path) -> None:
    result = variables(write_graph(tmp_path / "model.onnx"))
    text = f"""
      input [ {result["TOKEN_TENSORS"]} ]
      output [ {result["LOGITS_TENSOR"]} ]
      model_warmup [ {{ {result["WARMUP_INPUTS"]} }} ]
      ensemble_scheduling {{ step [
        {{ {result["TOKEN_OUTPUT_MAP"]} }}, {{ {result["TOKEN_INPUT_MAP"]} }}
      ] }}
    """
    config = text_format.Parse(text, ModelConfig())
    first, second = config.ensemble_scheduling.step
    assert dict(first.output_map) == dict(second.input_map) == {name: name for name in BERT_INPUTS}
    assert set(config.model_warmup[0].inputs) == set(BERT_INPUTS)
    assert list(config.model_warmup[0].inputs["input_ids"].dims) == [9]


def test_exactly_the_variables_that_the_template_script_knows_are_made(tmp_path: Path) -> None:
    script = (ROOT / "process_template.sh").read_text(encoding="utf-8")
    known = script.split("VARIABLES=(")[1].split(")")[0].split()
    assert sorted(variables(write_graph(tmp_path / "model.onnx"))) == sorted(known)


@pytest.mark.parametrize("content", [b"not a graph", b"\x00\xff" * 50, b"{}\n"])
def test_a_file_that_is_not_onnx_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.onnx: not an ONNX file"):
        graph_tensors(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.touch()
    with pytest.raises(UserError):
        variables(path)


def test_an_absent_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.onnx: no such file"):
        graph_tensors(tmp_path / "model.onnx")


@pytest.mark.parametrize("type_name", ["FLOAT16", "DOUBLE", "INT8", "STRING"])
def test_an_input_of_a_type_that_is_not_served_is_refused_naming_it(
    type_name: str, tmp_path: Path
) -> None:
    graph = write_graph(tmp_path / "model.onnx", input_type=TensorProto.DataType.Value(type_name))
    with pytest.raises(UserError, match=f"tensor input_ids has type {type_name}"):
        graph_tensors(graph)


def test_logits_of_a_type_that_is_not_served_are_refused_naming_it(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.onnx", logits_type=TensorProto.BFLOAT16)
    with pytest.raises(UserError, match="tensor logits has type BFLOAT16"):
        graph_tensors(graph)


def test_the_command_prints_assignments_that_a_shell_reads_back(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.onnx")
    write_report(tmp_path, make_report())
    expected = variables(graph)
    result = run_utility("template_variables.py", tmp_path, "cls", "4")
    assert (result.returncode, result.stderr) == (0, "")
    assert read_by_shell(result.stdout, list(expected)) == expected


def test_the_engine_is_the_profiles_in_the_precision_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, outputs = graph_tensors(write_graph(tmp_path / "model.onnx"))
    warmup = write_warmup(tmp_path / "warmup")
    profile = replace(
        read_profile("cuda"),
        name="bits",
        precisions={name: Precision(engine={"BITS": name}) for name in ("fp32", "fp16")},
    )
    monkeypatch.setattr(profiles, "PROFILES", tmp_path)
    (tmp_path / "bits").mkdir()
    profile.engine_file.write_text('parameters { key: "$BITS of $RELEASE" }')
    for name, precision in (("fp32", None), ("fp16", make_precision("fp16"))):
        report, other = make_report(precision=precision), {"RELEASE": "26.08"}
        result = template_variables(inputs, outputs, report, "cls", 4, warmup, profile, other)
        assert result["ENGINE"] == f'parameters {{ key: "{name} of 26.08" }}'


def test_a_precision_that_the_profile_has_not_is_refused(tmp_path: Path) -> None:
    report = make_report(precision=make_precision("bf16"))
    with pytest.raises(UsageError, match=r"^--hardware cpu: has no bf16 \(possible: fp32, int8\)$"):
        variables(write_graph(tmp_path / "model.onnx"), report)


def test_models_that_differ_in_the_weights_beside_the_graph_only_have_other_digests(
    tmp_path: Path,
) -> None:
    # TensorRT's engines are kept by it, and have the weights in them.
    write_graph(tmp_path / "model.onnx")
    digests = {model_digest(tmp_path)}
    for weights in ("one", "two"):
        (tmp_path / "model.onnx.data").write_text(weights)
        digests.add(model_digest(tmp_path))
    write_graph(tmp_path / "model.onnx", classes=7)
    digests.add(model_digest(tmp_path))
    assert len(digests) == 4
    assert {len(digest) for digest in digests} == {12}


def test_release_and_digest_reach_the_engine_from_the_command_line(tmp_path: Path) -> None:
    write_graph(tmp_path / "model.onnx")
    write_warmup(tmp_path / "warmup")
    write_report(tmp_path, make_report())
    words = ("--hardware", "tensorrt", "--release", "26.07", tmp_path, "cls", "4")
    result = run_utility("template_variables.py", *words)
    assert (result.returncode, result.stderr) == (0, "")
    assert f'value: "/engines/26.07-{model_digest(tmp_path)}"' in result.stdout


def test_the_command_writes_the_same_to_the_named_file(tmp_path: Path) -> None:
    write_graph(tmp_path / "model.onnx")
    write_warmup(tmp_path / "warmup")
    write_report(tmp_path, make_report())
    target = tmp_path / "variables.env"
    result = run_utility("template_variables.py", "--output", target, tmp_path, "cls", "4")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert "MODEL_NAME=cls\n" in target.read_text(encoding="utf-8")


def test_the_command_refuses_a_folder_without_conversion_in_one_line(tmp_path: Path) -> None:
    line = error_line(run_utility("template_variables.py", tmp_path, "cls", "4"))
    assert line == f"error: {tmp_path}/model.onnx: no such file"


def test_a_batch_size_that_is_no_number_is_a_usage_error(tmp_path: Path) -> None:
    assert "'four'" in usage_error(run_utility("template_variables.py", tmp_path, "cls", "four"))
