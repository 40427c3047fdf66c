"""A rendered repository with all its files: three words, three labels, a graph that gives zeros."""

import json
import shutil
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tests.golden.update import CASES, render
from utils.artifacts import GRAPH_FILE

LABELS = ["negative", "тревога", "👍"]
MAX_LENGTH = 8

UNKNOWN, PADDING = "[UNK]", "[PAD]"


def filled_repository(folder: Path) -> Path:
    """Write one into a folder; its ensemble is called ratings."""
    repository = render(CASES["bert"], folder)
    shutil.copy(folder / "artifacts" / GRAPH_FILE, repository / "model_onnx" / "1" / "model.onnx")
    _write_tokenizer(repository / "text_preprocessing" / "1" / "tokenizer.json")
    labels = {str(number): label for number, label in enumerate(LABELS)}
    (repository / "post_processing" / "1" / "id2label.json").write_text(json.dumps(labels))
    return repository


def joined_model(repository: Path) -> Path:
    """The folder of the joined steps."""
    return repository / "ratings" / "joined" / "ratings"


def _write_tokenizer(path: Path) -> None:
    vocabulary = {PADDING: 0, UNKNOWN: 1, "[CLS]": 2, "[SEP]": 3, "one": 4, "two": 5, "три": 6}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_truncation(MAX_LENGTH)
    tokenizer.enable_padding(pad_id=0, pad_token=PADDING)
    tokenizer.save(str(path))
