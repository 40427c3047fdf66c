"""Tokenizers of every kind, made in memory, and what the server makes of them."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from tests.checkpoints import CORPUS, WORDPIECE_SPECIALS
from tests.unit.reports import make_behaviour
from utils.checkpoint import Classifier
from utils.served import Tokenization
from utils.tokenizer_export import export_tokenizer

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
UNKNOWN = WORDPIECE_SPECIALS[1]
TENSORS = ["input_ids", "token_type_ids", "attention_mask"]


def wordpiece(**options: Any) -> Any:
    """BERT's: lower case, a mark for continued words."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=200, special_tokens=list(WORDPIECE_SPECIALS), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = bert_processor(tokenizer)
    return fast(tokenizer, WORDPIECE_SPECIALS, **options)


def byte_level_bpe(**options: Any) -> Any:
    """RoBERTa's: no character is unknown."""
    tokenizer = byte_level()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return fast(tokenizer, SPECIALS, **options)


def bpe_with_added_tokens(**options: Any) -> Any:
    """Tokens beside the vocabulary: special ones and words, which take in spaces or do not."""
    tokenizer = byte_level()
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True), AddedToken("<user>")])
    tokenizer.add_tokens(
        [
            AddedToken("fox", single_word=True),
            AddedToken("заказ", rstrip=True),
            AddedToken("👍👍", normalized=False),
            AddedToken("\n\n", lstrip=True, rstrip=True),
        ]
    )
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<s> $A", pair="<s> $A </s> $B", special_tokens=[("<s>", 0), ("</s>", 2)]
            ),
        ]
    )
    return fast(tokenizer, SPECIALS, **options)


def unigram(**options: Any) -> Any:
    """T5's and XLM-RoBERTa's: spaces are signs, and the most likely parts win."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=list(SPECIALS), unk_token=SPECIALS[3], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)]
    )
    return fast(tokenizer, SPECIALS, **options)


def custom_normalisers(**options: Any) -> Any:
    """A chain of normalisers that adds, replaces and takes away characters."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Nmt(),
            normalizers.NFD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.Replace("👍", "great"),
            normalizers.Replace(Regex(r"(.)\1{3,}"), "x"),
            normalizers.Strip(),
            normalizers.Prepend("the "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    trainer = trainers.WordPieceTrainer(
        vocab_size=200, special_tokens=list(WORDPIECE_SPECIALS), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = bert_processor(tokenizer)
    return fast(tokenizer, WORDPIECE_SPECIALS, **options)


def template_processor(**options: Any) -> Any:
    """More special tokens than one at each place, and type ids of their own."""
    tokenizer = wordpiece().backend_tokenizer
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A:2 [END] [SEP]:1",
        pair="[CLS]:3 [CLS] $A:2 [END]:1 $B:4 [SEP] [END]:5",
        special_tokens=[
            ("[CLS]", cls),
            ("[SEP]", sep),
            {"id": "[END]", "ids": [sep, cls], "tokens": ["[SEP]", "[CLS]"]},
        ],
    )
    return fast(tokenizer, WORDPIECE_SPECIALS, **options)


def truncated_on_the_left(**options: Any) -> Any:
    """The end of a long text is kept."""
    return wordpiece(truncation_side="left", **options)


def padded_on_the_left(**options: Any) -> Any:
    """Rows are filled up in front."""
    return byte_level_bpe(padding_side="left", **options)


KINDS: dict[str, Callable[..., Any]] = {
    "WordPiece": wordpiece,
    "byte-level BPE": byte_level_bpe,
    "BPE with added tokens": bpe_with_added_tokens,
    "Unigram": unigram,
    "custom normalisers": custom_normalisers,
    "template post-processor": template_processor,
    "truncation side left": truncated_on_the_left,
    "padding side left": padded_on_the_left,
}


def word_level(processor: Any = "bert", **options: Any) -> Any:
    """Words w0, w1, … w199, each one token, so that lengths can be counted."""
    tokens = [*WORDPIECE_SPECIALS, *(f"w{number}" for number in range(200))]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if processor == "bert":
        processor = bert_processor(tokenizer)
    if processor is not None:
        tokenizer.post_processor = processor
    return fast(tokenizer, WORDPIECE_SPECIALS, **options)


def words(count: int, first: int = 0) -> str:
    """A text of so many tokens of `word_level`."""
    return " ".join(f"w{number % 200}" for number in range(first, first + count))


def served_tokenization(tokenizer: Any, **behaviour: Any) -> Tokenization:
    """What the server makes of a transformers tokenizer, by way of the exported file."""
    classifier = Classifier(
        model=None,
        tokenizer=tokenizer,
        max_length=0,
        padding_id=tokenizer.pad_token_id,
        input_names=tuple(TENSORS),
    )
    settled = make_behaviour(**{"padding": tokenizer.padding_side, **behaviour})
    with tempfile.TemporaryDirectory() as folder:
        return export_tokenizer(classifier, settled, Path(folder))


def byte_level() -> Any:
    """A byte-level BPE tokenizer without post-processor."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def bert_processor(tokenizer: Any) -> Any:
    """[CLS] A [SEP] B [SEP]."""
    return processors.BertProcessing(
        ("[SEP]", tokenizer.token_to_id("[SEP]")), ("[CLS]", tokenizer.token_to_id("[CLS]"))
    )


def fast(tokenizer: Any, specials: tuple[str, ...], **options: Any) -> Any:
    """The transformers tokenizer around one of the tokenizers library."""
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    if specials == SPECIALS:
        names = ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=TENSORS,
        **dict(zip(names, specials, strict=True)),
        **options,
    )
