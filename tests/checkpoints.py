"""Tiny checkpoints with random weights, as `save_pretrained` leaves them: model, tokenizer, labels.

Each `make_*` writes FOLDER/model, FOLDER/tokenizer and FOLDER/id2label.json in well under a second
and the same bytes every time. Keyword arguments replace attributes of the model's configuration,
such as num_labels, problem_type or max_position_embeddings.
"""

import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before torch is imported: its threads spin while they wait, which takes seconds of every
# conversion where cores are shared.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import sentencepiece
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertTokenizer,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2Tokenizer,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    Qwen2Tokenizer,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaTokenizer,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
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
SENTENCEPIECE_VOCABULARY = 85

# Seed and standard deviation of the random weights. Chosen so that the built-in samples get
# different labels, that no first place is a near tie, and that logits are small enough to differ by
# less than 1e-6 after export.
BERT_WEIGHTS = (7, 0.2)
DISTILBERT_WEIGHTS = (10, 0.15)
ROBERTA_WEIGHTS = (2, 0.15)
XLM_ROBERTA_WEIGHTS = (3, 0.15)
GPT2_WEIGHTS = (5, 0.3)
QWEN2_WEIGHTS = (6, 0.15)

# Of the models that name them alike.
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}

END_OF_TEXT = "<|endoftext|>"


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
        **SIZES,
        "max_position_embeddings": 64,
        "initializer_range": BERT_WEIGHTS[1],
        "num_labels": 3,
    } | config
    torch.manual_seed(BERT_WEIGHTS[0])
    return save(
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
    return save(
        folder,
        DistilBertForSequenceClassification(DistilBertConfig(**settings)),
        DistilBertTokenizer(vocab=vocabulary, model_max_length=64),
    )


def make_roberta(folder: Path, **config: Any) -> Checkpoint:
    """A RobertaForSequenceClassification: two rows of its position table belong to no token.

    Its tokenizer knows no longest text, so that the model's limit decides.
    """
    vocabulary, merges = byte_level_vocabulary()
    settings = {
        "vocab_size": len(vocabulary),
        **SIZES,
        "max_position_embeddings": 66,
        "type_vocab_size": 1,
        "pad_token_id": vocabulary["<pad>"],
        "bos_token_id": vocabulary["<s>"],
        "eos_token_id": vocabulary["</s>"],
        "initializer_range": ROBERTA_WEIGHTS[1],
        "num_labels": 3,
    } | config
    torch.manual_seed(ROBERTA_WEIGHTS[0])
    return save(
        folder,
        RobertaForSequenceClassification(RobertaConfig(**settings)),
        RobertaTokenizer(vocab=vocabulary, merges=merges),
    )


def make_xlm_roberta(folder: Path, **config: Any) -> Checkpoint:
    """An XLMRobertaForSequenceClassification; its tokenizer is a SentencePiece model alone."""
    settings = {
        **SIZES,
        "max_position_embeddings": 66,
        "type_vocab_size": 1,
        "initializer_range": XLM_ROBERTA_WEIGHTS[1],
        "num_labels": 3,
        # The model's table begins with <s>, <pad>, </s>, <unk> and ends with <mask>.
        "vocab_size": SENTENCEPIECE_VOCABULARY + 2,
    } | config
    torch.manual_seed(XLM_ROBERTA_WEIGHTS[0])
    checkpoint = save(
        folder, XLMRobertaForSequenceClassification(XLMRobertaConfig(**settings)), None
    )
    checkpoint.tokenizer.mkdir()
    (checkpoint.tokenizer / "sentencepiece.bpe.model").write_bytes(_sentencepiece_model())
    (checkpoint.tokenizer / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 64})
    )
    return checkpoint


def make_gpt2(folder: Path, **config: Any) -> Checkpoint:
    """A GPT2ForSequenceClassification: it takes the last token, and knows no padding."""
    vocabulary, merges = byte_level_vocabulary((END_OF_TEXT,))
    settings = {
        "vocab_size": len(vocabulary),
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 64,
        "bos_token_id": vocabulary[END_OF_TEXT],
        "eos_token_id": vocabulary[END_OF_TEXT],
        "initializer_range": GPT2_WEIGHTS[1],
        "num_labels": 3,
    } | config
    torch.manual_seed(GPT2_WEIGHTS[0])
    return save(
        folder,
        GPT2ForSequenceClassification(GPT2Config(**settings)),
        GPT2Tokenizer(vocab=vocabulary, merges=merges),
    )


def make_qwen2(folder: Path, **config: Any) -> Checkpoint:
    """A Qwen2ForSequenceClassification: it takes the last token, and is padded on the left."""
    vocabulary, merges = byte_level_vocabulary((END_OF_TEXT,))
    settings = {
        "vocab_size": len(vocabulary),
        **SIZES,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "pad_token_id": vocabulary[END_OF_TEXT],
        "eos_token_id": vocabulary[END_OF_TEXT],
        "bos_token_id": None,
        "initializer_range": QWEN2_WEIGHTS[1],
        "num_labels": 3,
    } | config
    torch.manual_seed(QWEN2_WEIGHTS[0])
    return save(
        folder,
        Qwen2ForSequenceClassification(Qwen2Config(**settings)),
        Qwen2Tokenizer(vocab=vocabulary, merges=merges, padding_side="left"),
    )


BUILDERS: dict[str, Callable[[Path], Checkpoint]] = {
    "bert": make_bert,
    "distilbert": make_distilbert,
    "gpt2": make_gpt2,
    "qwen2": make_qwen2,
    "roberta": make_roberta,
    "xlm_roberta": make_xlm_roberta,
}


def cast(checkpoint: Checkpoint, dtype: str) -> None:
    """Rewrite the weights in another precision, as checkpoints for GPUs have them."""
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint.model)
    model.to(getattr(torch, dtype)).save_pretrained(checkpoint.model)


def configure_tokenizer(checkpoint: Checkpoint, **settings: Any) -> None:
    """Change tokenizer_config.json, such as truncation_side or model_max_length."""
    path = checkpoint.tokenizer / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | settings
    path.write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")


def save(folder: Path, model: Any, tokenizer: Any) -> Checkpoint:
    """Write model, tokenizer (unless None) and labels."""
    checkpoint = Checkpoint(folder / "model", folder / "tokenizer", folder / "id2label.json")
    model.save_pretrained(checkpoint.model)
    if tokenizer is not None:
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


def byte_level_vocabulary(
    special_tokens: tuple[str, ...] = ROBERTA_SPECIALS,
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Tokens and merges of a byte-level BPE; its special tokens come first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=ROBERTA_VOCABULARY,
        special_tokens=list(special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    return trained["vocab"], [(left, right) for left, right in trained["merges"]]


def _sentencepiece_model() -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 30),
        model_writer=model,
        model_type="unigram",
        vocab_size=SENTENCEPIECE_VOCABULARY,
        character_coverage=1.0,
        minloglevel=2,
    )
    return model.getvalue()
