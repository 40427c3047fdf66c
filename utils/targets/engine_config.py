"""What a profile says in model_onnx/config.pbtxt, filled in."""

from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

from google.protobuf import json_format, text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from utils.artifacts import Behaviour
from utils.errors import UserError
from utils.graph import Tensor, config_list
from utils.targets.profiles import Precision, Profile


def engine_config(
    profile: Profile,
    precision: Precision,
    inputs: Sequence[Tensor],
    behaviour: Behaviour,
    max_batch_size: int,
    other: Mapping[str, str],
) -> str:
    """Fields of model_onnx/config.pbtxt: instances, accelerators, parameters.

    Args:
        profile: whose engine.pbtxt.
        precision: one of the profile's.
        inputs: of the graph.
        behaviour: how long texts are.
        max_batch_size: most texts in a request.
        other: RELEASE of the server and MODEL_DIGEST, for profiles that name them.

    Raises:
        UserError: the profile's file names a variable that there is not, or no such fields.
    """
    variables = {
        **shapes(inputs, behaviour, max_batch_size),
        **(precision.engine or {}),
        **other,
    }
    try:
        text = Template(profile.engine_file.read_text(encoding="utf-8")).substitute(variables)
        text_format.Parse(text, ModelConfig())
    except (OSError, KeyError, ValueError, text_format.ParseError) as error:
        raise UserError(profile.engine_file, f"cannot be filled in: {error}") from error
    return text.strip()


def model_config(
    profile: Profile,
    precision: Precision,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    behaviour: Behaviour,
    max_batch_size: int,
) -> dict[str, Any]:
    """The configuration of a graph as Triton's Python backend gets it: as JSON."""
    text = "\n".join(
        [
            f"max_batch_size: {max_batch_size}",
            f"input [ {config_list(inputs)} ]",
            f"output [ {config_list(outputs)} ]",
            engine_config(profile, precision, inputs, behaviour, max_batch_size, {}),
        ]
    )
    config: dict[str, Any] = json_format.MessageToDict(
        text_format.Parse(text, ModelConfig()), preserving_proto_field_name=True
    )
    return config


def length_multiple(profile: Profile, behaviour: Behaviour) -> int:
    """Rows of tokens are filled up to a multiple of this; 1 for a model that padding changes."""
    return 1 if behaviour.padding == "none" else profile.length_multiple


def shapes(inputs: Sequence[Tensor], behaviour: Behaviour, max_batch_size: int) -> dict[str, str]:
    """MIN_SHAPES, OPT_SHAPES and MAX_SHAPES of the graph's inputs, as TensorRT's provider has them.

    `name:1x1,name:1x1`, see
    https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html, "Explicit shape
    range". The optimum is a full batch of texts of a quarter of the longest.
    """

    def all_inputs(texts: int, windows: int, tokens: int) -> str:
        sizes = {1: f"{texts}x{tokens}", 2: f"{texts}x{windows}x{tokens}"}
        return ",".join(f"{tensor.name}:{sizes[len(tensor.dims)]}" for tensor in inputs)

    quarter = max(1, behaviour.max_length // 4)
    return {
        "MIN_SHAPES": all_inputs(1, 1, 1),
        "OPT_SHAPES": all_inputs(max_batch_size, 1, quarter),
        "MAX_SHAPES": all_inputs(max_batch_size, behaviour.max_windows, behaviour.max_length),
    }
