"""The parity gate: does ONNX Runtime give the original model's answers?"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch
from tokenizers import Encoding, Tokenizer
from transformers import pipeline

from utils.artifacts import GRAPH_FILE, Answer
from utils.checkpoint import Classifier
from utils.errors import UserError

# [texts, classes]
Logits = npt.NDArray[np.float32]

LOGIT_TOLERANCE = 1e-4
PADDED_BATCH = 4

# As the server has it, in model_repository/text_preprocessing/1/model.py.
ENCODING_ATTRIBUTES = {
    "input_ids": "ids",
    "attention_mask": "attention_mask",
    "token_type_ids": "type_ids",
}


@dataclass(frozen=True)
class Parity:
    """Largest absolute difference between logits over `texts` texts, alone and padded."""

    texts: int
    largest_difference: float


def check_parity(
    classifier: Classifier, folder: Path, exported: Tokenizer, texts: Sequence[str]
) -> Parity:
    """Compare ONNX Runtime's logits on the exported files with PyTorch's on the original.

    Every text is run alone and in a padded batch of up to four; the original gets it alone both
    times, so that padding which leaks into answers shows.

    Raises:
        UserError: a difference over LOGIT_TOLERANCE, a changed label, or an input of the graph
            that no tokenizer output fills.
    """
    session = _session(folder / GRAPH_FILE)
    original = np.concatenate([_original_logits(classifier, text) for text in texts])
    alone = np.concatenate([_logits(session, exported.encode_batch([text])) for text in texts])
    padded = np.concatenate(
        [
            _logits(session, exported.encode_batch(list(texts[start : start + PADDED_BATCH])))
            for start in range(0, len(texts), PADDED_BATCH)
        ]
    )
    largest = 0.0
    for kind, logits in (("alone", alone), ("in a padded batch", padded)):
        difference = np.abs(logits - original).max(axis=-1)
        worst = int(difference.argmax())
        if not difference[worst] <= LOGIT_TOLERANCE:
            raise UserError(
                "parity gate",
                f"logits differ by {difference[worst]:.2g} (at most {LOGIT_TOLERANCE:g}) for a text"
                f" {kind}: {texts[worst][:60]!r}",
            )
        changed = np.flatnonzero(logits.argmax(axis=-1) != original.argmax(axis=-1))
        if changed.size:
            raise UserError(
                "parity gate", f"another label for a text {kind}: {texts[changed[0]][:60]!r}"
            )
        largest = max(largest, float(difference[worst]))
    return Parity(len(texts), largest)


def reference_answers(
    classifier: Classifier, labels: dict[int, str], texts: Sequence[str]
) -> list[Answer]:
    """What transformers' own text-classification pipeline answers, all labels by falling score."""
    classifier.model.config.id2label = labels
    classify = pipeline(
        "text-classification", model=classifier.model, tokenizer=classifier.tokenizer, device="cpu"
    )
    answers = []
    for text in texts:
        ranked = classify(text, top_k=None, truncation=True, max_length=classifier.max_length)
        answers.append(
            Answer(
                text,
                [str(item["label"]) for item in ranked],
                [float(item["score"]) for item in ranked],
            )
        )
    return answers


def _session(graph_file: Path) -> ort.InferenceSession:
    ort.disable_telemetry_events()
    try:
        session = ort.InferenceSession(str(graph_file), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UserError(graph_file, f"ONNX Runtime cannot load it: {error}") from error
    unknown = [item.name for item in session.get_inputs() if item.name not in ENCODING_ATTRIBUTES]
    if unknown:
        raise UserError(graph_file, f"takes {', '.join(unknown)}, which no tokenizer makes")
    return session


def _logits(session: ort.InferenceSession, encodings: list[Encoding]) -> Logits:
    feeds = {
        item.name: np.array(
            [getattr(encoding, ENCODING_ATTRIBUTES[item.name]) for encoding in encodings],
            dtype=np.int64,
        )
        for item in session.get_inputs()
    }
    logits: Logits = session.run(None, feeds)[0]
    return logits


def _original_logits(classifier: Classifier, text: str) -> Logits:
    with torch.inference_mode():
        output = classifier.model(**classifier.encode([text]))
    logits: Logits = output.logits.float().numpy()
    return logits
