"""utils/tuning/config_text.py: only the fields that are tuned change in a config.pbtxt."""

import difflib
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from utils.errors import UserError
from utils.tuning.config_text import changed_text
from utils.tuning.settings import Settings, candidates

EXPECTED = Path(__file__).resolve().parents[1] / "golden" / "expected"
TEMPLATES = sorted(EXPECTED.glob("*/model_onnx/config.pbtxt"))
BERT = (EXPECTED / "bert" / "model_onnx" / "config.pbtxt").read_text(encoding="utf-8")

PATH = Path("config.pbtxt")


def parsed(text: str) -> ModelConfig:
    return text_format.Parse(text, ModelConfig())


def given(text: str, parameters: dict[str, str], together: bool = True, delay: int = 0) -> str:
    return changed_text(text, Settings("", tuple(parameters.items()), together, delay), PATH)


def changes(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def test_threads_change_their_lines_alone() -> None:
    after = given(BERT, {"caller_threads": "3", "intra_op_thread_count": "2"})
    assert changes(BERT, after) == [
        '-parameters { key: "intra_op_thread_count" value { string_value: "0" } }',
        '+parameters { key: "intra_op_thread_count" value { string_value: "2" } }',
        '-parameters { key: "caller_threads" value { string_value: "0" } }',
        '+parameters { key: "caller_threads" value { string_value: "3" } }',
    ]


def test_a_delay_is_written_into_the_block() -> None:
    assert changes(BERT, given(BERT, {}, delay=500)) == [
        "-dynamic_batching { }",
        "+dynamic_batching { max_queue_delay_microseconds: 500 }",
    ]


def test_without_batching_the_block_goes_and_one_empty_line_with_it() -> None:
    assert changes(BERT, given(BERT, {}, together=False)) == ["-dynamic_batching { }", "-"]


def test_batching_that_was_not_there_is_added() -> None:
    without = given(BERT, {}, together=False)
    assert changes(without, given(without, {}, delay=0)) == ["+", "+dynamic_batching { }"]


def test_a_parameter_that_was_not_there_is_added_behind_the_others() -> None:
    text = BERT.replace('parameters { key: "caller_threads" value { string_value: "0" } }\n', "")
    after = given(text, {"caller_threads": "0"})
    assert changes(text, after) == [
        '+parameters { key: "caller_threads" value { string_value: "0" } }'
    ]
    assert parsed(after) == parsed(BERT)


def test_a_text_without_parameters_and_without_a_last_line_end_gets_them_at_its_end() -> None:
    after = given('backend: "onnxruntime"', {"caller_threads": "0"}, together=True, delay=7)
    assert after == (
        'backend: "onnxruntime"\n'
        'parameters { key: "caller_threads" value { string_value: "0" } }\n'
        "\n"
        "dynamic_batching { max_queue_delay_microseconds: 7 }\n"
    )


def test_a_block_of_several_lines_keeps_what_else_it_says() -> None:
    text = "dynamic_batching {\n  preferred_batch_size: [ 2, 4 ] # mine {\n}\nmax_batch_size: 4\n"
    after = given(text, {}, delay=500)
    assert changes(text, after) == ["+  max_queue_delay_microseconds: 500"]
    assert given(after, {}, delay=0) == text
    assert given(after, {}, together=False) == "max_batch_size: 4\n"


def test_a_delay_that_is_there_is_changed() -> None:
    text = "dynamic_batching { max_queue_delay_microseconds: 100, preserve_ordering: true }\n"
    assert given(text, {}, delay=500) == text.replace("100", "500")
    assert given(text, {}, delay=0) == "dynamic_batching { preserve_ordering: true }\n"


def test_a_commented_line_is_not_taken_for_a_field() -> None:
    comment = '# parameters { key: "caller_threads" value { string_value: "9" } }\n'
    after = given(BERT + comment, {"caller_threads": "2"})
    assert after.endswith(comment)
    assert parsed(after).parameters["caller_threads"].string_value == "2"


def test_parameters_as_a_list_are_changed_in_place() -> None:
    text = (
        'parameters [\n  { key: "caller_threads", value: { string_value: "0" } }\n]\n'
        "dynamic_batching { }\n"
    )
    assert given(text, {"caller_threads": "1"}) == text.replace('"0"', '"1"')


def test_a_form_that_cannot_be_changed_alone_is_refused() -> None:
    text = 'name: "x" dynamic_batching { }\n'
    with pytest.raises(UserError, match=r"config\.pbtxt: cannot be given the settings"):
        given(text, {}, together=False)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.parts[-3])
def test_every_rendered_configuration_takes_every_candidate_and_the_way_back(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = candidates(parsed(text), 4)
    for settings in found:
        after = changed_text(text, settings, path)
        config = parsed(after)
        assert config.HasField("dynamic_batching") == settings.together
        assert config.dynamic_batching.max_queue_delay_microseconds == settings.delay
        assert (
            dict(settings.parameters).items()
            <= {name: value.string_value for name, value in config.parameters.items()}.items()
        )
        assert len(changes(text, after)) <= 6
        if settings is found[0]:
            assert after == text
