"""Linear layers in 8 bits for ONNX Runtime on the CPU.

Weights have a scale for each output channel, what flows into them one scale for all rows: fixed, so
that no answer depends on what else is in a batch, and computed from sample texts. Transformers have
a few input channels whose values are far greater than the others', the same for all texts (Dettmers
et al., "LLM.int8()", 2022). These stay in 32 bits, and the scale is that of the others: the
8-bit product has zeros for weights there, so that it does not matter that these channels saturate.

The graph's new nodes are QuantizeLinear, Gather and com.microsoft's MatMulIntegerToFloat; opset and
IR version stay. Weights are signed: unsigned ones take no VNNI path (1.4 times as fast as 32 bits
instead of 2.1, measured). Without VNNI, x86 adds up pairs of products in 16 bits, which weights and
values near their limits overflow.
"""

from collections.abc import Sequence
from pathlib import Path

import onnx

from utils.errors import UserError, first_line
from utils.external_data import save_graph
from utils.precision.int8.linears import FloatArray, find_linears, matrix
from utils.precision.int8.nodes import rewrite
from utils.precision.int8.observed import Batch, Observed, observe
from utils.precision.int8.products import Recipe, make_products

__all__ = ["RECIPES", "Recipe", "quantise"]

# Heads and routers cost nothing and decide much: so narrow is nothing else.
NARROW = 16

# From the fastest to the most exact.
RECIPES = (
    Recipe("outliers", channels=1 / 48, beyond=3),
    Recipe("many-outliers", channels=1 / 48, beyond=1.5),
)


def quantise(
    source: Path,
    target: Path,
    recipe: Recipe,
    batches: Sequence[Batch],
) -> None:
    """Write `target`, and model.onnx.data beside it when the weights exceed 2 GB.

    Inputs and outputs of the graph stay as they are.

    Args:
        source: an exported graph, its weights within it or beside it.
        target: the file to write; not in the folder of `source`.
        recipe: what to leave in 32 bits.
        batches: input tensors of sample texts. They tell which channels are great and what range
            the others have; a few short texts are enough, those to be served are better.

    Raises:
        UserError: the graph has no linear layers over tokens, or cannot be run or written.
    """
    try:
        model = onnx.load(str(source))
    except Exception as error:
        raise UserError("precision", f"{source.name}: {first_line(error)}") from error
    linears = list(find_linears(model.graph))
    names = sorted({linear.source for linear in linears})
    observed = observe(source, names, batches) if names else {}
    tensors = {item.name: item for item in model.graph.initializer}
    matrices = {item: matrix(tensors[item.weight], item.transposed) for item in linears}
    linears = [item for item in linears if _worthwhile(matrices[item], observed[item.source])]
    if not linears:
        raise UserError("precision", f"{source.name} has no linear layers over tokens")
    rewrite(model, make_products(linears, matrices, observed, recipe))
    try:
        save_graph(model, target)
    except ValueError as error:
        raise UserError("precision", f"cannot be written: {first_line(error)}") from error


def _worthwhile(array: FloatArray, observed: Observed) -> bool:
    inputs, outputs = array.shape
    return observed.of_tokens and outputs >= max(NARROW, inputs / NARROW)
