"""A graph with attention, norms and activations in fused nodes, as far as they answer alike.

All in fp32 and on the CPU. onnxruntime.transformers' own tool fuses norms and activations; of
attention it knows the masks of older releases of transformers alone.
"""

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions

from utils.artifacts import GRAPH_FILE
from utils.external_data import save_graph
from utils.precision.fp16.attention_fusion import MaskForm, fuse_attention
from utils.precision.fp16.attention_shapes import site_shapes
from utils.precision.fp16.attention_sites import find_sites
from utils.precision.fp16.graph_index import has_subgraphs, index_graph
from utils.precision.fp16.half import soften_masks
from utils.precision.fp16.probing import Feeds, opened
from utils.windows import INNER, MASK

# How far fused nodes may be from the plain ones.
TOLERANCE = 1e-4

# From the one that CUDA has most kernels for.
FORMS = (
    MaskForm(lengths=True, causal=False),
    MaskForm(lengths=True, causal=True),
    MaskForm(lengths=False, causal=True),
)

Logits = npt.NDArray[np.float32]


def fused(original: onnx.ModelProto, rows: Sequence[Feeds], longest: Feeds) -> onnx.ModelProto:
    """The most thoroughly fused graph that answers as the original does; a copy of it at worst.

    Args:
        original: in fp32; stays as it is.
        rows: batches to compare answers on, some padded if the model is ever padded.
        longest: a row as long as the model takes, to see what attention hides; it is not run.
    """
    expected = logits(original, rows)
    plain = _copy(original)
    soften_masks(plain)

    def attention(base: onnx.ModelProto, form: MaskForm) -> onnx.ModelProto:
        return _with_attention(base, form, rows, longest)

    tidied = cache(lambda: _tidied(plain))
    attempts: list[Callable[[], onnx.ModelProto]] = [
        *(lambda form=form: attention(tidied(), form) for form in FORMS),
        tidied,
        *(lambda form=form: attention(plain, form) for form in FORMS),
        lambda: plain,
    ]
    if has_subgraphs(plain.graph):
        attempts = []
    for attempt in attempts:
        # What cannot be fused, or is too large for ONNX Runtime's tool, is taken less fused.
        with contextlib.suppress(Exception):
            candidate = attempt()
            if np.abs(logits(candidate, rows) - expected).max() <= TOLERANCE:
                return candidate
    return _copy(original)


def _tidied(plain: onnx.ModelProto) -> onnx.ModelProto:
    """With norms and activations in fused nodes, by ONNX Runtime's own tool."""
    options = FusionOptions("bert")
    options.enable_attention = options.enable_embed_layer_norm = False
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        # Of a model in memory, ONNX Runtime does not find all weights.
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            path = Path(folder, GRAPH_FILE)
            save_graph(plain, path)
            made = optimizer.optimize_model(
                str(path), "bert", optimization_options=options, opt_level=1
            )
    finally:
        logging.disable(level)
    model: onnx.ModelProto = made.model
    used = {node.domain for node in model.graph.node} | {""}
    kept = [item for item in model.opset_import if item.domain in used]
    del model.opset_import[:]
    # ONNX Runtime names every domain it knows; an older one need not know them all.
    model.opset_import.extend(kept)
    return model


def _with_attention(
    tidy: onnx.ModelProto, form: MaskForm, rows: Sequence[Feeds], longest: Feeds
) -> onnx.ModelProto:
    model = _copy(tidy)
    index = index_graph(model.graph)
    mask = INNER + MASK if INNER + MASK in index.producers else MASK
    sites = find_sites(index)
    short = min(rows, key=lambda batch: sum(array.size for array in batch.values()))
    fuse_attention(model, sites, site_shapes(model, sites, mask, short, longest), mask, form)
    return model


def logits(model: onnx.ModelProto, rows: Sequence[Feeds], optimized: bool = True) -> Logits:
    """[rows, classes] of all batches."""
    with opened(model, optimized) as session:
        return np.concatenate([session.run(None, dict(batch))[0] for batch in rows])


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied
