"""Tiny checkpoints with random weights, as `save_pretrained` leaves them: model, tokenizer, labels.

Each `make_*` writes FOLDER/model, FOLDER/tokenizer and FOLDER/id2label.json in well under a second
and the same bytes every time. Keyword arguments replace attributes of the model's configuration,
such as num_labels, problem_type or max_position_embeddings.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before torch is imported: its threads spin while they wait, which takes seconds of every
# conversion where cores are shared.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertTokenizer,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaTokenizer,
)

# What the vocabularies are made of; other characters are unknown to the WordPiece tokenizers.
CORPUS = (
    "the quick brown fox jumps over the lazy dog",
    "thank you , everything works ! why ? 0 1 2 3 4 5 6 7 8 9",
    "помогите мне , заказ не пришёл",
    "съешь же ещё этих мягких французских булок , да выпей чаю",
    "👍 😡 🚀 ❤",
)

LABELS = ("тревога", "👍 great", "neutral", "negative", "spam")

# BERT's own, in their order.
WORDPIECE_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROBERTA_SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
ROBERTA_VOCABULARY = 400

# Seed and standard deviation of the random weights. Chosen so that the built-in samples get
# different labels, that no first place is a near tie, and that logits are small enough to differ by
# less than 1e-6 after export.
BERT_WEIGHTS = (7, 0.2)
DISTILBERT_WEIGHTS = (10, 0.15)
ROBERTA_WEIGHTS = (2, 0.15)


@dataclass(frozen=True)
class Checkpoint:
    """Where the three inputs of a conversion lie."""

    model: Path
    tokenizer: Path
    labels: Path


def make_bert(folder: Path, **config: Any) -> Checkpoint:
    """A BertForSequenceClassification; its graph takes token_type_ids."""
    vocabulary = _wordpiece_vocabulary()
    settings = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "initializer_range": BERT_WEIGHTS[1],
        "num_labels": 3,
    } | config
    torch.manual_seed(BERT_WEIGHTS[0])
    return _save(
        folder,
        BertForSequenceClassification(BertConfig(**settings)),
        BertTokenizer(vocab=vocabulary, model_max_length=64),
    )


def make_distilbert(folder: Path, **config: Any) -> Checkpoint:
    """A DistilBertForSequenceClassification; its graph takes no token_type_ids."""
    vocabulary = _wordpiece_vocabulary()
    settings = {
        "vocab_size": len(vocabulary),
        "dim": 32,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 64,
        "max_position_embeddings": 64,
        "initializer_range": DISTILBERT_WEIGHTS[1],
        "num_labels": 2,
    } | config
    torch.manual_seed(DISTILBERT_WEIGHTS[0])
    return _save(
        folder,
        DistilBertForSequenceClassification(DistilBertConfig(**settings)),
        DistilBertTokenizer(vocab=vocabulary, model_max_length=64),
    )


def make_roberta(folder: Path, **config: Any) -> Checkpoint:
    """A RobertaForSequenceClassification: two rows of its position table belong to no token.

    Its tokenizer knows no longest text, so that the model's limit decides.
    """
    vocabulary, merges = _byte_level_vocabulary()
    settings = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 66,
        "type_vocab_size": 1,
        "pad_token_id": vocabulary["<pad>"],
        "bos_token_id": vocabulary["<s>"],
        "eos_token_id": vocabulary["</s>"],
        "initializer_range": ROBERTA_WEIGHTS[1],
        "num_labels": 3,
    } | config
    torch.manual_seed(ROBERTA_WEIGHTS[0])
    return _save(
        folder,
        RobertaForSequenceClassification(RobertaConfig(**settings)),
        RobertaTokenizer(vocab=vocabulary, merges=merges),
    )


BUILDERS: dict[str, Callable[[Path], Checkpoint]] = {
    "bert": make_bert,
    "distilbert": make_distilbert,
    "roberta": make_roberta,
}


def _save(folder: Path, model: Any, tokenizer: Any) -> Checkpoint:
    checkpoint = Checkpoint(folder / "model", folder / "tokenizer", folder / "id2label.json")
    model.save_pretrained(checkpoint.model)
    tokenizer.save_pretrained(checkpoint.tokenizer)
    count = model.config.num_labels
    labels = [LABELS[i] if i < len(LABELS) else f"class {i}" for i in range(count)]
    checkpoint.labels.write_text(
        json.dumps(dict(enumerate(labels)), ensure_ascii=False), encoding="utf-8"
    )
    return checkpoint


def _wordpiece_vocabulary() -> dict[str, int]:
    """Every character of the corpus, alone and as a continuation, and every third word."""
    words = sorted({word for text in CORPUS for word in text.split()})
    characters = sorted({character for word in words for character in word})
    tokens = [
        *WORDPIECE_SPECIALS,
        *characters,
        *(f"##{character}" for character in characters),
        *(word for word in words[::3] if len(word) > 1),
    ]
    return {token: index for index, token in enumerate(tokens)}


def _byte_level_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=ROBERTA_VOCABULARY,
        special_tokens=list(ROBERTA_SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    return trained["vocab"], [(left, right) for left, right in trained["merges"]]
