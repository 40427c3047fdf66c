"""One type from a tiny checkpoint to served answers, and the reason where it ends early."""

import inspect
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from tests.architectures.tiny import IndistinctError, make_tiny
from tests.serving import render_artifacts, serve
from tests.texts import texts
from tests.unit.converting import convert
from utils.artifacts import read_report
from utils.errors import UserError, first_line
from utils.verify_answers import verify

MAX_BATCH_SIZE = 4

NOT_FAST = "has no fast version"

# What an error of a step says, to what it comes down to; the first that is found counts.
REASONS: tuple[tuple[str, str], ...] = (
    (r"requires the (\w+) library", r"needs the package \1"),
    (r"aten::polar|complex-valued", "computes with complex numbers, which ONNX does not have"),
    (
        r"Could not guard on data-dependent",
        "computes in windows, whose number no graph leaves open",
    ),
    (r"linalg_solve_triangular", "solves triangular systems, for which ONNX has no operator"),
    (r"differ by nan", "its graph answers NaN to padded texts"),
    (
        r"fails on the exported graph|ONNXRuntimeError",
        "its graph holds only for the lengths traced",
    ),
    (r"logits differ|another label", "its graph gives other answers"),
)

# Types that transformers names no tokenizer for without the sentencepiece package.
SENTENCEPIECE_TOKENIZERS = {"gpt-sw3": "GPTSw3Tokenizer"}
# What a tokenizer may want beside the text, by the argument that takes it.
BESIDES_TEXT = {
    "boxes": "a box for each word",
    "xpaths": "an XPath for each node",
    "table": "a table",
}

# Types that PyTorch itself cannot run on some short texts: how far they come depends on the texts.
SHORT_TEXTS = {
    "canine": "its CanineTokenizer has no fast version; it fails on short texts, in PyTorch too",
    "funnel": "fails on some short texts, in PyTorch too",
}

# Types without weights that would tell texts apart.
INDISTINCT = {"mra": "its attention is all zeros without a kernel for CUDA"}


@dataclass(frozen=True)
class Outcome:
    """What became of one type.

    Attributes:
        exporter: the one whose graph passed, "" for none.
        padding: the side on which texts are padded, none, or "".
        reason: why it does not work, "" when it does.
    """

    exporter: str
    padding: str
    reason: str


def outcome(model_type: str, folder: Path, count: int) -> Outcome:
    """Convert and serve one type, and compare its answers to `count` texts."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    # More would take turns on few cores, and could add up in another order.
    torch.set_num_threads(1)
    walked = _converted_and_served(model_type, folder, count)
    own = own_tokenizer_limit(model_type)
    if own.endswith(NOT_FAST) and walked.exporter and not walked.reason:
        own += "; with a tokenizer.json it would work"
    reason = SHORT_TEXTS.get(model_type) or own or walked.reason
    return Outcome("", "", reason) if reason else walked


def own_tokenizer_limit(model_type: str) -> str:
    """Why the tokenizer that the type's checkpoints come with cannot be served, "" if it can."""
    name = TOKENIZER_MAPPING_NAMES.get(model_type) or SENTENCEPIECE_TOKENIZERS.get(model_type)
    if name is None:
        return ""
    tokenizer = getattr(transformers, name)
    if not issubclass(tokenizer, transformers.PreTrainedTokenizerFast):
        return f"its {name} {NOT_FAST}"
    takes = inspect.signature(tokenizer.__call__).parameters
    return "".join(f"its {name} wants {what}" for key, what in BESIDES_TEXT.items() if key in takes)


def plain_reason(message: str) -> str:
    """What an error comes down to, without figures, addresses and texts."""
    for pattern, reason in REASONS:
        found = re.search(pattern, message)
        if found:
            return found.expand(reason)
    line = re.sub(r"\x1b\[\d*m", "", first_line(ValueError(message)))
    return re.sub(r"0x[0-9a-f]+|\d+(\.\d+)?", "N", line)


def _converted_and_served(model_type: str, folder: Path, count: int) -> Outcome:
    try:
        checkpoint = make_tiny(model_type, folder / "checkpoint")
    except ImportError as error:
        return Outcome("", "", plain_reason(str(error)))
    except IndistinctError:
        return Outcome("", "", INDISTINCT.get(model_type, "answers all texts alike"))
    sample_file = folder / "samples.txt"
    sample_file.write_text("".join(f"{text}\n" for text in texts(count)), encoding="utf-8")
    try:
        artifacts = convert(checkpoint, folder / "artifacts", "--samples", sample_file)
    except UserError as error:
        print(f"{model_type}: {error}", file=sys.stderr)
        return Outcome("", "", plain_reason(str(error)))
    report = read_report(artifacts)
    try:
        _serve_and_compare(artifacts, report.behaviour.padding, folder)
    except (AssertionError, UserError) as error:
        print(f"{model_type}: {error}", file=sys.stderr)
        return Outcome(report.exporter, "", f"not served: {plain_reason(str(error))}")
    return Outcome(report.exporter, report.behaviour.padding, "")


def _serve_and_compare(artifacts: Path, padding: str, folder: Path) -> None:
    batch_size = 1 if padding == "none" else MAX_BATCH_SIZE
    rendered = render_artifacts(artifacts, folder, batch_size)
    with serve(rendered.repository, folder / "server.log") as served:
        for server in (served.http, served.grpc):
            verify(server, rendered.name, rendered.reference)
