"""A graph in fp16 for ONNX Runtime's CUDA provider, with attention and norms in fused nodes.

Everything is checked on the CPU: fused nodes in fp32 against the graph as it was, then fp16 with
all its roundings against that. Of what only a GPU has, its own kernels, nothing is known then.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from utils.artifacts import Behaviour
from utils.errors import UserError
from utils.external_data import save_graph
from utils.precision.fp16.fusion import Logits, fused, logits
from utils.precision.fp16.half import to_half
from utils.precision.fp16.probing import Feeds
from utils.precision.fp16.rounding import rounded
from utils.precision.fp16.rows import longest_row, padded_rows
from utils.served import FUNCTIONS
from utils.targets.profiles import Precision

# Tokens of a made-up row to compare fused nodes on: of plain attention, the scores of longer ones
# fill gigabytes.
LONG = 512

FUSED_TYPES = (
    "Attention",
    "MultiHeadAttention",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "BiasGelu",
    "FastGelu",
    "Gelu",
    "QuickGelu",
)


@dataclass(frozen=True)
class Half:
    """What became of a graph.

    Attributes:
        fused: number of nodes by type, of the types that stand for several plain ones.
        agreement: share of rows with the same top label in fp16.
        largest_difference: of any score.
    """

    fused: dict[str, int]
    agreement: float
    largest_difference: float


def to_fp16(
    source: Path,
    target: Path,
    batches: Sequence[Feeds],
    *,
    model_type: str,
    behaviour: Behaviour,
    padding_id: int,
    precision: Precision,
    fuse: bool = True,
) -> Half:
    """Write a graph in fp16; its inputs and outputs keep names, types and shapes.

    Args:
        source: a graph in fp32, from any exporter.
        target: the file to write; weights over 2 GB go beside it.
        batches: token tensors by input, of the graph's types; texts alone and maybe padded ones.
        model_type: transformers' name of the architecture, for errors.
        behaviour: the side of padding, the greatest length, the function of scores, windows.
        padding_id: the token that rows are filled up with.
        precision: the profile's; how far scores and labels may move.
        fuse: whether ONNX Runtime's own nodes may stand for several standard ones.

    Raises:
        UserError: fp16 cannot hold the model's values, or moves labels or scores too far.
    """
    original = onnx.load(str(source))
    rows = [*batches, *padded_rows(batches, behaviour.padding, padding_id)]
    expected = logits(original, rows)
    longest, long = (
        longest_row(batches, behaviour.padding, padding_id, length)
        for length in (behaviour.max_length, min(behaviour.max_length, LONG))
    )
    half = fused(original, [*rows, long], longest) if fuse else onnx.load(str(source))
    to_half(half)
    # ONNX Runtime's tool renames dimensions.
    del half.graph.input[:], half.graph.output[:]
    half.graph.input.extend(original.graph.input)
    half.graph.output.extend(original.graph.output)
    answers = logits(rounded(half), rows)
    subject = f"{model_type} in fp16"
    if not np.isfinite(answers).all():
        raise UserError(
            "precision", f"{subject} overflows: some answers are no numbers", "take fp32"
        )
    found = _compared(expected, answers, behaviour.function, half)
    most = np.inf if precision.difference is None else precision.difference
    if found.largest_difference > most or found.agreement < precision.agreement:
        raise UserError(
            "precision",
            f"{subject} moves a score by {found.largest_difference:.2g}"
            f" (at most {most:g}) and keeps {found.agreement:.2%} of"
            f" {len(expected)} labels (at least {precision.agreement:.2%})",
            "take fp32",
        )
    save_graph(half, target)
    return found


def _compared(expected: Logits, answers: Logits, function: str, half: onnx.ModelProto) -> Half:
    before, after = FUNCTIONS[function](expected), FUNCTIONS[function](answers)
    counts = Counter(node.op_type for node in half.graph.node)
    return Half(
        fused={name: counts[name] for name in FUSED_TYPES if counts[name]},
        agreement=float((before.argmax(axis=-1) == after.argmax(axis=-1)).mean()),
        largest_difference=float(np.abs(after - before).max()),
    )
