"""The conversion itself: load, export, compare, write down."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tokenizers import Tokenizer

from utils.artifacts import LABELS_FILE, Settings, write_reference, write_settings
from utils.checkpoint import Classifier, load_classifier, score_function
from utils.errors import UserError
from utils.labels import check_class_count, dump_labels, parse_labels, read_label_file
from utils.onnx_export import AUTOMATIC, export_onnx
from utils.parity import Parity, check_parity, reference_answers
from utils.samples import read_samples
from utils.tokenizer_export import check_same_ids, export_tokenizer

PACKAGES = ("torch", "transformers", "tokenizers", "onnx", "onnxruntime", "numpy")


@dataclass(frozen=True)
class Conversion:
    """What to convert and how.

    Attributes:
        model: folder of the checkpoint.
        tokenizer: folder of the tokenizer.
        labels: label file, None for the names in the checkpoint's config.json.
        max_length: tokens at which texts are cut, 0 for all that the model takes.
        samples: file of texts for the gates, None for the built-in ones.
        exporter: auto, torchscript, dynamo or optimum.
        digests: sha256 of the files that are read, by "model/<name>" and the like.
    """

    model: Path
    tokenizer: Path
    labels: Path | None
    max_length: int
    samples: Path | None
    exporter: str
    digests: dict[str, str]


def convert(conversion: Conversion, folder: Path) -> None:
    """Write all artifacts to `folder`, an existing empty folder.

    Raises:
        UserError: the checkpoint, tokenizer or labels are unfit, or the parity gate is not passed;
            `folder` may then hold some of the files.
    """
    texts = read_samples(conversion.samples)
    classifier = load_classifier(conversion.model, conversion.tokenizer, conversion.max_length)
    labels = _labels(conversion, classifier)
    (folder / LABELS_FILE).write_text(dump_labels(labels), encoding="utf-8")
    tokenizer = export_tokenizer(classifier, folder)
    check_same_ids(classifier, tokenizer, texts)
    exporter, parity = _export(conversion.exporter, classifier, tokenizer, texts, folder)
    write_reference(folder, reference_answers(classifier, labels, texts))
    write_settings(
        folder,
        Settings(
            classes=len(labels),
            function=score_function(classifier.model.config),
            max_length=classifier.max_length,
            model_type=classifier.model.config.model_type,
            exporter=exporter,
            largest_difference=parity.largest_difference,
            compared_texts=parity.texts,
            sources={
                "model": str(conversion.model),
                "tokenizer": str(conversion.tokenizer),
                "labels": str(conversion.labels or conversion.model / "config.json"),
            },
            digests=conversion.digests,
            versions={package: version(package) for package in PACKAGES},
        ),
    )


def _labels(conversion: Conversion, classifier: Classifier) -> dict[int, str]:
    config = classifier.model.config
    if conversion.labels is None:
        named = {str(index): label for index, label in config.id2label.items()}
        return parse_labels(named, conversion.model / "config.json")
    labels = read_label_file(conversion.labels)
    check_class_count(labels, config.num_labels, conversion.labels)
    return labels


def _export(
    exporter: str,
    classifier: Classifier,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    folder: Path,
) -> tuple[str, Parity]:
    """Export and compare; `auto` takes the first exporter whose graph passes the parity gate."""
    candidates = AUTOMATIC if exporter == "auto" else (exporter,)
    failures = []
    for name in candidates:
        with tempfile.TemporaryDirectory(dir=folder) as draft:
            try:
                export_onnx(classifier, Path(draft), name)
                parity = check_parity(classifier, Path(draft), tokenizer, texts)
            except UserError as error:
                failures.append(error)
                continue
            for path in Path(draft).iterdir():
                shutil.move(path, folder / path.name)
            return name, parity
    if len(failures) == 1:
        raise failures[0]
    raise UserError("export", "; ".join(str(error) for error in failures))
