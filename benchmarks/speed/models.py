"""The models that are served beside benchmarks/imdb.py's, and what the originals answer."""

import hashlib
import json
from pathlib import Path

from benchmarks.imdb import LABELS, ImdbModel
from benchmarks.speed.workload import SEED
from utils.folders import cached_folder


def make_bert_base(imdb: ImdbModel, cache: Path) -> Path:
    """The folder of a BERT-base with random weights and the classifier's tokenizer and labels.

    Its answers mean nothing, its size (110 M parameters) and speed are those of real ones.
    """

    def fill(folder: Path) -> None:
        import torch
        from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

        tokenizer = AutoTokenizer.from_pretrained(imdb.model)
        torch.manual_seed(SEED)
        config = BertConfig(
            vocab_size=len(tokenizer),
            id2label=dict(enumerate(LABELS)),
            label2id={label: index for index, label in enumerate(LABELS)},
        )
        BertForSequenceClassification(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    return cached_folder(cache / "bert-base", imdb.model.parent.name, fill)


def original_labels(model: Path, texts: list[str], cache: Path) -> dict[str, str]:
    """The label that transformers' pipeline gives each text, computed once."""

    def fill(folder: Path) -> None:
        from transformers import pipeline

        classify = pipeline("text-classification", str(model), device="cpu")
        labels = [answer["label"] for answer in classify(texts, truncation=True)]
        (folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")

    parts = json.dumps([model.parent.name, model.name, texts])
    key = hashlib.sha256(parts.encode()).hexdigest()[:16]
    folder = cached_folder(cache / "labels", key, fill)
    return dict(zip(texts, json.loads((folder / "labels.json").read_text()), strict=True))
