"""The parity gate: does ONNX Runtime give the original model's answers?"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from utils.artifacts import DEFAULT_TOLERANCE, Behaviour, Parity
from utils.checkpoint import Classifier
from utils.encoding import encode, longer
from utils.errors import UserError
from utils.frameworks import onnxruntime, torch
from utils.original import Logits, original_logits, run_original
from utils.samples import Example
from utils.served import INPUT_NAMES, Tokenization
from utils.tokenizer_export import plain_tokenization

PADDED_BATCH = 4


def check_parity(
    graph_file: Path,
    behaviour: Behaviour,
    tokenization: Tokenization,
    examples: Sequence[Example],
    original: Logits,
    tolerance: float,
) -> Parity:
    """Compare ONNX Runtime's logits on the exported files with PyTorch's on the original.

    Every text is run alone and, unless the model cannot be padded, in a batch with a longer one;
    the original had it alone both times, so that padding which leaks into answers shows.

    Args:
        graph_file: the exported model.
        behaviour: how texts are treated.
        tokenization: the served one.
        examples: texts.
        original: PyTorch's logits [texts, classes].
        tolerance: largest absolute difference.

    Raises:
        UserError: a larger difference, or, at the default tolerance, another top label.
    """
    session = open_session(graph_file)
    sizes = {"alone": 1, "in a padded batch": PADDED_BATCH}
    if behaviour.padding == "none":
        del sizes["in a padded batch"]
    largest, changed = 0.0, 0
    for kind, batch_size in sizes.items():
        filler = [longer(examples)] if batch_size > 1 else []
        logits = exported_logits(session, tokenization, examples, batch_size, filler)
        difference = np.abs(logits - original).max(axis=-1)
        worst = int(difference.argmax())
        if not difference[worst] <= tolerance:
            raise UserError(
                "parity gate",
                f"logits differ by {difference[worst]:.2g} (at most {tolerance:g}) for a text"
                f" {kind}: {examples[worst].text[:60]!r}",
            )
        others = np.flatnonzero(logits.argmax(axis=-1) != original.argmax(axis=-1))
        if others.size and tolerance <= DEFAULT_TOLERANCE:
            text = examples[others[0]].text
            raise UserError("parity gate", f"another label for a text {kind}: {text[:60]!r}")
        changed = max(changed, others.size)
        largest = max(largest, float(difference[worst]))
    return Parity(len(examples), largest, tolerance, changed)


def open_session(graph_file: Path) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the CPU.

    Raises:
        UserError: it cannot load the file, or the graph takes what no tokenizer makes.
    """
    try:
        session = onnxruntime.InferenceSession(str(graph_file), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UserError(graph_file, f"ONNX Runtime cannot load it: {error}") from error
    unknown = [item.name for item in session.get_inputs() if item.name not in INPUT_NAMES]
    if unknown:
        raise UserError(graph_file, f"takes {', '.join(unknown)}, which no tokenizer makes")
    return session


def exported_logits(
    session: onnxruntime.InferenceSession,
    tokenization: Tokenization,
    examples: Sequence[Example],
    batch_size: int,
    filler: Sequence[Example] = (),
) -> Logits:
    """ONNX Runtime's logits [texts, classes].

    Args:
        session: of the exported model.
        tokenization: the served one.
        examples: the texts.
        batch_size: most texts in a batch, `filler` included.
        filler: texts that every batch begins with and whose answers nobody wants.

    Raises:
        UserError: the graph fails on a batch.
    """
    names = [item.name for item in session.get_inputs()]
    logits = []
    step = batch_size - len(filler)
    for start in range(0, len(examples), step):
        rows = encode(tokenization, [*filler, *examples[start : start + step]]).rows
        tensors = tokenization.tensors(rows)
        try:
            outputs = session.run(None, {name: tensors[name] for name in names})
        except Exception as error:
            raise UserError(
                "parity gate", f"ONNX Runtime fails on the exported graph: {error}"
            ) from error
        logits.append(outputs[0][len(filler) :])
    return np.concatenate(logits)


def padding_side(
    classifier: Classifier,
    behaviour: Behaviour,
    examples: Sequence[Example],
    tolerance: float = DEFAULT_TOLERANCE,
) -> str:
    """The side on which padding leaves the original's own answers as they are, or none.

    The tokenizer's own side is tried first. A decoder with absolute positions counts padding on
    its left as words, whatever its tokenizer asks for; a model that mixes all positions (FNet)
    cannot be padded at all.
    """
    by_length = sorted(examples, key=lambda example: len(example.text))
    chosen = [by_length[0], by_length[len(by_length) // 2], by_length[-1], longer(examples)]
    alone = original_logits(classifier, replace(behaviour, long_text="truncate"), chosen)
    own = classifier.tokenizer.padding_side
    for side in (own, "left" if own == "right" else "right"):
        tokenization = plain_tokenization(classifier, behaviour, side)
        tensors = tokenization.tensors(encode(tokenization, chosen).rows)
        try:
            padded = run_original(
                classifier, {name: torch.from_numpy(array) for name, array in tensors.items()}
            )
        except UserError:
            continue
        if np.abs(padded.numpy() - alone).max() <= tolerance:
            return side
    return "none"
