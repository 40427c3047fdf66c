#!/usr/bin/env python3
"""Print the variables of the template repository for a converted model, as shell assignments.

utils/template_variables.py --output variables.env build/model cls_model 4
./process_template.sh --variables variables.env model_repository build/repository
"""

import argparse
import hashlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from utils.artifacts import GRAPH_FILE, WARMUP_FOLDER, WEIGHTS_FILE, Report, read_report
from utils.errors import UserError, run_command
from utils.graph import Tensor, config_list, graph_tensors
from utils.output import write_result
from utils.snapshot import file_digest
from utils.targets.engine_config import engine_config, length_multiple
from utils.targets.profiles import PLAIN, Profile, profile_names, read_profile


def template_variables(
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    report: Report,
    model_name: str,
    max_batch_size: int,
    warmup: Path,
    profile: Profile,
    other: Mapping[str, str],
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
    precision = profile.precision(report.precision.name if report.precision else PLAIN)
    return {
        "MODEL_NAME": model_name,
        "MAX_BATCH_SIZE": str(max_batch_size),
        "CLASS_COUNT": str(report.classes),
        "TOP_K": str(behaviour.top_k),
        "FUNCTION": behaviour.function,
        "PROBLEM_TYPE": behaviour.problem_type,
        "LONG_TEXT": behaviour.long_text,
        "MAX_WINDOWS": str(behaviour.max_windows),
        "LENGTH_MULTIPLE": str(length_multiple(profile, behaviour)),
        "TEXT_TENSORS": config_list(texts),
        "TEXT_INPUT_MAP": "\n      ".join(tensor.mapping("input_map") for tensor in texts),
        "TOKEN_TENSORS": config_list(inputs),
        "TOKEN_OUTPUT_MAP": "\n      ".join(tensor.mapping("output_map") for tensor in inputs),
        "TOKEN_INPUT_MAP": "\n      ".join(tensor.mapping("input_map") for tensor in inputs),
        "LOGITS_NAME": logits.name,
        "LOGITS_TENSOR": logits.config(),
        "ENGINE": engine_config(profile, precision, inputs, behaviour, max_batch_size, other),
        "WARMUP_INPUTS": "\n    ".join(tensor.warmup(warmup) for tensor in inputs),
    }


def model_digest(artifacts: Path) -> str:
    """Tells graphs apart, also those that differ in the weights beside them only."""
    digest = hashlib.sha256()
    for path in (artifacts / GRAPH_FILE, artifacts / WEIGHTS_FILE):
        if path.is_file():
            digest.update(file_digest(path).encode())
    return digest.hexdigest()[:12]


def main() -> None:
    """Print NAME='value' lines for the shell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifacts", type=Path, help="folder that convert_to_onnx.py wrote")
    parser.add_argument("model_name", help="name of the ensemble")
    parser.add_argument("max_batch_size", type=int)
    parser.add_argument("--hardware", choices=profile_names(), default="cpu")
    parser.add_argument("--release", default="", help="of the server, where there are several")
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
        read_profile(arguments.hardware),
        {
            "RELEASE": arguments.release,
            "MODEL_DIGEST": model_digest(arguments.artifacts),
        },
    )
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    write_result(text, arguments.output)


if __name__ == "__main__":
    run_command(main)
