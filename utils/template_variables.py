#!/usr/bin/env python3
"""Print the variables of the template repository for a converted model, as shell assignments.

utils/template_variables.py --output variables.env build/model cls_model 4
./process_template.sh --variables variables.env model_repository build/repository
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import onnx

from utils.artifacts import GRAPH_FILE, WARMUP_FOLDER, Report, read_report
from utils.errors import UserError, run_command
from utils.external_data import check_external_data
from utils.output import write_result

TRITON_TYPES = {
    onnx.TensorProto.INT32: "TYPE_INT32",
    onnx.TensorProto.INT64: "TYPE_INT64",
    onnx.TensorProto.FLOAT: "TYPE_FP32",
}

TOKEN_BYTES = {"TYPE_INT32": 4, "TYPE_INT64": 8}


@dataclass(frozen=True)
class Tensor:
    """A graph input or output: Triton's type name, dims without the batch dimension."""

    name: str
    data_type: str
    dims: tuple[int, ...]

    def config(self) -> str:
        """As an item of a config.pbtxt `input` or `output` list."""
        return f'{{ name: "{self.name}" data_type: {self.data_type} dims: [ {_list(self.dims)} ] }}'

    def warmup(self, folder: Path) -> str:
        """As an item of `model_warmup.inputs`, with the values of `folder`.

        Real tokens: some graphs fail on zeros, as those that look for an end-of-text token.

        Raises:
            UserError: `folder` has no values of this tensor.
        """
        path = folder / self.name
        if not path.is_file() or self.data_type not in TOKEN_BYTES:
            raise UserError(path, "no token ids", "run utils/convert_to_onnx.py again")
        # All dimensions but the last are 1: one text, and where texts have windows one of them.
        dims = [1] * len(self.dims[:-1]) + [path.stat().st_size // TOKEN_BYTES[self.data_type]]
        return (
            f'inputs {{ key: "{self.name}" value {{ data_type: {self.data_type}'
            f' dims: [ {_list(dims)} ] input_data_file: "{self.name}" }} }}'
        )

    def mapping(self, kind: str) -> str:
        """As a line of an ensemble step, under its own name."""
        return f'{kind} {{ key: "{self.name}" value: "{self.name}" }}'


def graph_tensors(graph_file: Path) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs of an ONNX file.

    Raises:
        UserError: the file cannot be read as ONNX, or a tensor has a type that is not served.
    """
    try:
        model = onnx.load(str(graph_file), load_external_data=False)
    except FileNotFoundError as error:
        raise UserError(graph_file, "no such file") from error
    except Exception as error:
        raise UserError(graph_file, "not an ONNX file") from error
    check_external_data(graph_file, model)
    graph = model.graph
    if not graph.input or not graph.output:
        raise UserError(graph_file, "has no inputs or no outputs")
    inputs = [_tensor(value, graph_file) for value in graph.input]
    return inputs, [_tensor(value, graph_file) for value in graph.output]


def template_variables(
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    report: Report,
    model_name: str,
    max_batch_size: int,
    warmup: Path,
) -> dict[str, str]:
    """All variables of the template, by name.

    Raises:
        UserError: texts of this model cannot share a batch, or `warmup` lacks a tensor's values.
    """
    logits, behaviour = outputs[0], report.behaviour
    if behaviour.padding == "none" and max_batch_size > 1:
        raise UserError(
            "max batch size",
            f"{max_batch_size}, but this model's answers change with padding",
            "1 serves it, one text at a time",
        )
    texts = [Tensor("text_input", "TYPE_STRING", (1,))]
    if behaviour.pairs:
        texts.append(Tensor("text_pair", "TYPE_STRING", (1,)))
    return {
        "MODEL_NAME": model_name,
        "MAX_BATCH_SIZE": str(max_batch_size),
        "CLASS_COUNT": str(report.classes),
        "TOP_K": str(behaviour.top_k),
        "FUNCTION": behaviour.function,
        "PROBLEM_TYPE": behaviour.problem_type,
        "LONG_TEXT": behaviour.long_text,
        "MAX_WINDOWS": str(behaviour.max_windows),
        "TEXT_TENSORS": ",\n  ".join(tensor.config() for tensor in texts),
        "TEXT_INPUT_MAP": "\n      ".join(tensor.mapping("input_map") for tensor in texts),
        "TOKEN_TENSORS": ",\n  ".join(tensor.config() for tensor in inputs),
        "TOKEN_OUTPUT_MAP": "\n      ".join(tensor.mapping("output_map") for tensor in inputs),
        "TOKEN_INPUT_MAP": "\n      ".join(tensor.mapping("input_map") for tensor in inputs),
        "LOGITS_NAME": logits.name,
        "LOGITS_TENSOR": logits.config(),
        "WARMUP_INPUTS": "\n    ".join(tensor.warmup(warmup) for tensor in inputs),
    }


def _tensor(value: onnx.ValueInfoProto, subject: Path) -> Tensor:
    tensor = value.type.tensor_type
    if tensor.elem_type not in TRITON_TYPES:
        name = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise UserError(subject, f"tensor {value.name} has type {name}, which is not served")
    sizes = [item.dim_value if item.HasField("dim_value") else -1 for item in tensor.shape.dim]
    return Tensor(value.name, TRITON_TYPES[tensor.elem_type], tuple(sizes[1:]))


def _list(sizes: Sequence[int]) -> str:
    return ", ".join(str(size) for size in sizes)


def main() -> None:
    """Print NAME='value' lines for the shell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifacts", type=Path, help="folder that convert_to_onnx.py wrote")
    parser.add_argument("model_name", help="name of the ensemble")
    parser.add_argument("max_batch_size", type=int)
    parser.add_argument("-o", "--output", type=Path, help="write here instead of stdout")
    arguments = parser.parse_args()
    inputs, outputs = graph_tensors(arguments.artifacts / GRAPH_FILE)
    report = read_report(arguments.artifacts)
    variables = template_variables(
        inputs,
        outputs,
        report,
        arguments.model_name,
        arguments.max_batch_size,
        arguments.artifacts / WARMUP_FOLDER,
    )
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    write_result(text, arguments.output)


if __name__ == "__main__":
    run_command(main)
