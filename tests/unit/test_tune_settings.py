"""utils/tuning/settings.py and engines.py: what is tried."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from utils.errors import UserError
from utils.lint_repository import parse_config
from utils.tuning.settings import candidates, current

EXPECTED = Path(__file__).resolve().parents[1] / "golden" / "expected"


def config(text: str) -> ModelConfig:
    return text_format.Parse(text, ModelConfig())


def template(case: str) -> ModelConfig:
    return parse_config(EXPECTED / case / "model_onnx" / "config.pbtxt")


def names(case: str, cpus: int) -> list[str]:
    return [settings.name for settings in candidates(template(case), cpus)]


def test_on_two_cpus_threads_and_batching_are_tried_in_all_ways_the_current_first() -> None:
    assert names("bert", 2) == [
        "2 x 1, together",
        "1 x 2, together",
        "2 x 1, alone",
        "1 x 2, alone",
        "2 x 1, together, wait 0.5 ms",
        "1 x 2, together, wait 0.5 ms",
        "2 x 1, together, wait 2 ms",
        "1 x 2, together, wait 2 ms",
    ]


def test_on_more_cpus_the_threads_of_a_text_double_up_to_all() -> None:
    threads = dict.fromkeys(settings.threads for settings in candidates(template("bert"), 12))
    assert list(threads) == ["12 x 1", "6 x 2", "3 x 4", "1 x 8", "1 x 12"]


def test_threads_are_written_as_shares_of_the_cpus_that_there_will_be() -> None:
    written = {item.threads: dict(item.parameters) for item in candidates(template("bert"), 4)[1:]}
    assert written == {
        "4 x 1": {"caller_threads": "0", "intra_op_thread_count": "0"},
        "2 x 2": {"caller_threads": "0", "intra_op_thread_count": "2"},
        "1 x 4": {"caller_threads": "0", "intra_op_thread_count": "4"},
    }


def test_a_model_that_takes_one_text_a_request_is_not_batched() -> None:
    single = template("bert")
    single.max_batch_size = 1
    assert {item.batching for item in candidates(single, 2)} == {"together"}


def test_on_one_cpu_with_one_text_a_request_there_is_nothing_to_choose_from() -> None:
    single = template("bert")
    single.max_batch_size = 1
    assert len(candidates(single, 1)) == 1


def test_unusual_current_settings_are_a_candidate_too() -> None:
    text = """backend: "onnxruntime" max_batch_size: 4
        parameters { key: "caller_threads" value { string_value: "1" } }
        parameters { key: "intra_op_thread_count" value { string_value: "1" } }"""
    found = candidates(config(text), 2)
    assert found[0] == current(config(text), 2)
    assert found[0].name == "1 x 1, alone"
    assert len(found) == 9


def test_the_same_threads_in_another_form_are_not_tried_twice() -> None:
    text = """backend: "onnxruntime" max_batch_size: 4
        parameters { key: "caller_threads" value { string_value: "2" } }
        parameters { key: "intra_op_thread_count" value { string_value: "1" } }"""
    found = candidates(config(text), 2)
    assert [item.name for item in found].count("2 x 1, alone") == 1
    assert dict(found[0].parameters) == {"caller_threads": "2", "intra_op_thread_count": "1"}


def test_without_caller_threads_one_text_takes_all_cpus() -> None:
    assert current(config('backend: "onnxruntime"'), 4).threads == "1 x 4"


def test_openvino_is_tried_with_one_stream_and_with_one_a_cpu() -> None:
    found = {
        item.threads: dict(item.parameters) for item in candidates(template("openvino_fp32"), 2)
    }
    assert found["1 x 2"] == {"caller_threads": "1"}
    assert set(found) == {"2 x 1", "1 x 2"}


def test_streams_of_openvino_that_were_chosen_by_hand_stay() -> None:
    chosen = template("openvino_fp32")
    chosen.parameters["NUM_STREAMS"].string_value = "3"
    found = candidates(chosen, 2)
    assert {item.threads for item in found} == {"as configured"}
    assert all("caller_threads" not in dict(item.parameters) for item in found[1:])
    assert len(found) == 4


def test_on_a_gpu_threads_are_those_that_call_it() -> None:
    threads = dict.fromkeys(item.threads for item in candidates(template("cuda_fp16"), 8))
    assert list(threads) == ["1 to the GPU", "2 to the GPU", "4 to the GPU"]


def test_instances_share_the_cpus() -> None:
    several = template("bert")
    several.instance_group[0].count = 2
    assert {item.threads for item in candidates(several, 4)} == {"2 x 1", "1 x 2"}


def test_another_backend_is_refused() -> None:
    with pytest.raises(UserError, match="backend 'python': cannot be tuned"):
        candidates(config('backend: "python"'), 2)


def test_threads_that_are_no_number_are_refused() -> None:
    text = """backend: "onnxruntime"
        parameters { key: "caller_threads" value { string_value: "many" } }"""
    with pytest.raises(UserError, match="caller_threads"):
        candidates(config(text), 2)
