"""The conversion itself: load, export, compare, write down."""

import shutil
import tempfile
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from utils.accuracy import measure
from utils.artifacts import (
    GRAPH_FILE,
    LABELS_FILE,
    REFERENCE_FILE,
    SELF_TEST_FILE,
    WARMUP_FOLDER,
    Accuracy,
    Answer,
    Behaviour,
    Parity,
    Reference,
    Report,
    write_reference,
    write_report,
    write_thresholds,
)
from utils.behaviour import Options, settle
from utils.checkpoint import Classifier, load_classifier
from utils.encoding import encode
from utils.errors import UserError
from utils.labels import check_class_count, dump_labels, parse_labels, read_label_file
from utils.onnx_export import AUTOMATIC, TRACED, export_onnx
from utils.original import Logits, original_logits, reference_answers
from utils.parity import check_parity, exported_logits, open_session, padding_side
from utils.samples import Example, read_samples
from utils.served import Tokenization
from utils.sources import Sources
from utils.tokenizer_export import check_same_ids, export_tokenizer, plain_tokenization
from utils.windows import merge_windows

NUMPY_TYPES = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}

PACKAGES = ("torch", "transformers", "tokenizers", "onnx", "onnxruntime", "numpy")


@dataclass(frozen=True)
class Conversion:
    """What to convert and how.

    Attributes:
        sources: model, tokenizer and labels.
        options: what the user asks of the answers.
        samples: texts for the gates.
        labelled: labelled texts, maybe none.
        tolerance: largest absolute difference between logits or scores.
        exporter: auto, torchscript, dynamo or optimum.
        digests: sha256 of the files that are read, by "model/<name>" and the like.
    """

    sources: Sources
    options: Options
    samples: list[Example]
    labelled: list[Example]
    tolerance: float
    exporter: str
    digests: dict[str, str]


def convert(conversion: Conversion, folder: Path) -> None:
    """Write all artifacts to `folder`, an existing empty folder.

    Raises:
        UserError: the checkpoint, tokenizer or labels are unfit, or the parity gate is not passed;
            `folder` may then hold some of the files.
    """
    sources = conversion.sources
    classifier = load_classifier(sources.model, sources.tokenizer, conversion.options.max_length)
    labels = _labels(conversion, classifier)
    behaviour, thresholds = settle(
        conversion.options,
        classifier.model.config,
        classifier.max_length,
        classifier.tokenizer.num_special_tokens_to_add(pair=conversion.options.pairs),
        labels,
    )
    (folder / LABELS_FILE).write_text(dump_labels(labels), encoding="utf-8")
    if thresholds is not None:
        write_thresholds(folder, thresholds)
    padding = padding_side(classifier, behaviour, conversion.samples, conversion.tolerance)
    behaviour = replace(behaviour, padding=padding)
    tokenization = export_tokenizer(classifier, behaviour, folder)
    check_same_ids(classifier, behaviour, tokenization, conversion.samples)
    gate = _Gate(conversion, classifier, behaviour, tokenization)
    logits = original_logits(classifier, behaviour, conversion.samples)
    exporter, parity = _export(gate, logits, folder)
    _write_warmup(gate, folder)
    reference = Reference(
        labels=list(labels.values()),
        thresholds=list(thresholds.values()) if thresholds else None,
        problem_type=behaviour.problem_type,
        top_k=behaviour.top_k,
        tolerance=conversion.tolerance,
        answers=_answers(gate, labels, conversion.samples, logits),
    )
    write_reference(folder / REFERENCE_FILE, reference)
    write_reference(folder / SELF_TEST_FILE, _self_test(gate, labels, reference))
    write_report(
        folder,
        Report(
            model_type=classifier.model.config.model_type,
            classes=len(labels),
            exporter=exporter,
            behaviour=behaviour,
            parity=parity,
            precision=None,
            accuracy=_accuracy(gate, labels, thresholds, folder),
            sources=sources.references(),
            revisions=sources.revisions(),
            pickle_scanner=sources.model.scanner,
            digests=conversion.digests,
            versions={package: version(package) for package in PACKAGES},
        ),
    )


@dataclass(frozen=True)
class _Gate:
    """Both sides of every comparison."""

    conversion: Conversion
    classifier: Classifier
    behaviour: Behaviour
    tokenization: Tokenization


def _answers(
    gate: _Gate, labels: dict[int, str], examples: list[Example], logits: Logits
) -> list[Answer]:
    return reference_answers(
        gate.classifier,
        gate.behaviour,
        gate.conversion.options.function,
        labels,
        examples,
        logits,
    )


def _self_test(gate: _Gate, labels: dict[int, str], reference: Reference) -> Reference:
    """The reference for the built-in texts: the user's own are not for an image to carry about."""
    examples = read_samples(None, gate.conversion.options.pairs)
    if examples == gate.conversion.samples:
        return reference
    usable = [example for example in examples if _has_tokens(gate.tokenization, example)]
    if not usable:
        return replace(reference, answers=[])
    logits = original_logits(gate.classifier, gate.behaviour, usable)
    return replace(reference, answers=_answers(gate, labels, usable, logits))


def _has_tokens(tokenization: Tokenization, example: Example) -> bool:
    try:
        encode(tokenization, [example])
    except UserError:
        return False
    return True


def _labels(conversion: Conversion, classifier: Classifier) -> dict[int, str]:
    config = classifier.model.config
    source = conversion.sources.labels
    if source is None:
        named = {str(index): label for index, label in config.id2label.items()}
        return parse_labels(named, conversion.sources.references()["labels"])
    labels = read_label_file(Path(source.path))
    check_class_count(labels, config.num_labels, source.reference)
    return labels


def _export(gate: _Gate, logits: Logits, folder: Path) -> tuple[str, Parity]:
    """Export and compare; `auto` takes the first exporter whose graph passes the parity gate."""
    exporter = gate.conversion.exporter
    candidates = AUTOMATIC if exporter == "auto" else (exporter,)
    failures = []
    for name in candidates:
        with tempfile.TemporaryDirectory(dir=folder) as draft:
            try:
                export_onnx(gate.classifier, gate.behaviour, Path(draft), name)
                if gate.behaviour.long_text == "window":
                    merge_windows(Path(draft) / GRAPH_FILE, gate.behaviour.merge)
                parity = check_parity(
                    Path(draft) / GRAPH_FILE,
                    gate.behaviour,
                    gate.tokenization,
                    gate.conversion.samples,
                    logits,
                    gate.conversion.tolerance,
                )
            except UserError as error:
                failures.append(error)
                continue
            for path in Path(draft).iterdir():
                shutil.move(path, folder / path.name)
            return name, parity
    if len(failures) == 1:
        raise failures[0]
    raise UserError("export", "; ".join(str(error) for error in failures))


def _write_warmup(gate: _Gate, folder: Path) -> None:
    # One row of tokens, also where the graph takes windows: it is then a text's only one.
    tokenization = plain_tokenization(gate.classifier, gate.behaviour, gate.behaviour.padding)
    tensors = tokenization.tensors(encode(tokenization, TRACED[:1]).rows)
    (folder / WARMUP_FOLDER).mkdir()
    for item in open_session(folder / GRAPH_FILE).get_inputs():
        values = tensors[item.name].astype(NUMPY_TYPES[item.type])
        values.tofile(folder / WARMUP_FOLDER / item.name)


def _accuracy(
    gate: _Gate, labels: dict[int, str], thresholds: dict[str, float] | None, folder: Path
) -> Accuracy | None:
    examples = gate.conversion.labelled
    if not examples:
        return None
    return measure(
        examples,
        gate.behaviour,
        list(labels.values()),
        list(thresholds.values()) if thresholds else None,
        original_logits(gate.classifier, gate.behaviour, examples),
        exported_logits(open_session(folder / GRAPH_FILE), gate.tokenization, examples, 1),
    )
