"""utils/targets/engine_config.py."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.reports import BEHAVIOUR, CPU, make_behaviour
from utils.errors import UserError
from utils.graph import Tensor
from utils.targets import profiles
from utils.targets.engine_config import engine_config, model_config, shapes
from utils.targets.profiles import Precision, read_profile

ROWS = [Tensor("input_ids", "TYPE_INT64", (-1,)), Tensor("attention_mask", "TYPE_INT64", (-1,))]
WINDOWS = [replace(tensor, dims=(-1, -1)) for tensor in ROWS]
LOGITS = [Tensor("logits", "TYPE_FP32", (3,))]
OTHER = {"RELEASE": "26.08", "MODEL_DIGEST": "0123"}


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The CPU profile's engine.pbtxt, that may be written to."""
    monkeypatch.setattr(profiles, "PROFILES", tmp_path)
    (tmp_path / "cpu").mkdir()
    return tmp_path / "cpu" / "engine.pbtxt"


def filled(precision: Precision | None = None) -> str:
    """The CPU profile's fields."""
    return engine_config(CPU, precision or Precision(), ROWS, BEHAVIOUR, 4, OTHER)


def test_shapes_of_rows_go_from_one_token_to_a_full_batch_of_the_longest_texts() -> None:
    assert shapes(ROWS, make_behaviour(max_length=512), 8) == {
        "MIN_SHAPES": "input_ids:1x1,attention_mask:1x1",
        "OPT_SHAPES": "input_ids:8x128,attention_mask:8x128",
        "MAX_SHAPES": "input_ids:8x512,attention_mask:8x512",
    }


def test_shapes_of_windows_go_from_one_window_to_the_most() -> None:
    behaviour = make_behaviour(max_length=256, long_text="window", max_windows=12)
    assert shapes(WINDOWS, behaviour, 2) == {
        "MIN_SHAPES": "input_ids:1x1x1,attention_mask:1x1x1",
        "OPT_SHAPES": "input_ids:2x1x64,attention_mask:2x1x64",
        "MAX_SHAPES": "input_ids:2x12x256,attention_mask:2x12x256",
    }


def test_the_optimum_of_very_short_texts_is_still_a_token() -> None:
    assert shapes(ROWS[:1], make_behaviour(max_length=3), 1)["OPT_SHAPES"] == "input_ids:1x1"


def test_an_engine_may_name_shapes_release_digest_and_variables_of_the_precision(
    engine: Path,
) -> None:
    engine.write_text(
        'parameters { key: "$MIN_SHAPES" value { string_value: "$RELEASE/$MODEL_DIGEST/$BITS" } }\n'
    )
    precision = Precision(engine={"BITS": "16"})
    assert filled(precision) == (
        'parameters { key: "input_ids:1x1,attention_mask:1x1"'
        ' value { string_value: "26.08/0123/16" } }'
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('parameters { key: "$NOTHING" }', "'NOTHING'"),
        ('parameters { key: "$" }', "Invalid placeholder"),
        ("instance_groups [ { count: 1 } ]", "instance_groups"),
        ("instance_group [ { kind: KIND_TPU } ]", "KIND_TPU"),
        ("instance_group [ {", "1:"),
    ],
)
def test_an_engine_that_cannot_be_filled_in_is_refused_naming_file_and_mistake(
    text: str, problem: str, engine: Path
) -> None:
    engine.write_text(text)
    start = re.escape(f"{engine}: cannot be filled in: ")
    with pytest.raises(UserError, match=f"^{start}.*{problem}"):
        filled()


def test_a_profile_without_an_engine_is_refused(engine: Path) -> None:
    engine.unlink(missing_ok=True)
    with pytest.raises(UserError, match=r"engine\.pbtxt: cannot be filled in"):
        filled()


def test_a_graphs_configuration_has_its_tensors_and_the_profiles_engine() -> None:
    config = model_config(CPU, CPU.precisions["fp32"], ROWS, LOGITS, BEHAVIOUR, 4)
    assert config["max_batch_size"] == 4
    assert config["input"] == [
        {"name": tensor.name, "data_type": "TYPE_INT64", "dims": ["-1"]} for tensor in ROWS
    ]
    assert config["output"] == [{"name": "logits", "data_type": "TYPE_FP32", "dims": ["3"]}]
    assert config["instance_group"] == [{"kind": "KIND_CPU", "count": 1}]
    assert config["parameters"]["caller_threads"] == {"string_value": "0"}


def test_a_configuration_names_accelerators_as_the_backend_looks_for_them() -> None:
    cuda = read_profile("cuda")
    config = model_config(cuda, cuda.precisions["fp16"], ROWS, LOGITS, BEHAVIOUR, 4)
    accelerators = config["optimization"]["execution_accelerators"]
    assert accelerators == {
        "gpu_execution_accelerator": [{"name": "cuda", "parameters": {"use_tf32": "0"}}]
    }
