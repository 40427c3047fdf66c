"""A tiny checkpoint with random weights of any type in transformers' text-classification mapping.

Sizes are chosen by the name of the configuration's attribute; OVERRIDES has what a type wants
otherwise. Blocks, windows and chunks are small too, so that ordinary texts fill more than one.
"""

import contextlib
import functools
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    CONFIG_MAPPING,
    AutoModelForSequenceClassification,
    PreTrainedTokenizerFast,
)

from tests.checkpoints import Checkpoint, byte_level_vocabulary, save
from tests.texts import texts

# More rows than the tokenizer has tokens: types that also take images want ids for these.
VOCABULARY = 416
IMAGE_TOKENS = {
    "image_token_id": 400,
    "image_token_index": 400,
    "boi_token_index": 401,
    "eoi_token_index": 402,
    "video_token_id": 403,
    "vision_start_token_id": 404,
    "vision_end_token_id": 405,
}

SPECIALS = {
    "bos": "<s>",
    "cls": "<s>",
    "eos": "</s>",
    "mask": "<mask>",
    "pad": "<pad>",
    "sep": "</s>",
    "unk": "<unk>",
}

# RoBERTa's kind leaves two rows of its position table to no token.
POSITIONS = 66

LAYERS = 2
HIDDEN = 32
HEADS = 4
INNER = 64

# Attribute of a configuration to its small value.
SMALL: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "emb_dim"), HIDDEN),
    **dict.fromkeys(("embedding_size", "input_embedding_size", "output_embedding_size"), HIDDEN),
    **dict.fromkeys(("pooler_hidden_size", "word_embed_proj_dim", "d_latents"), HIDDEN),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), LAYERS),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_decoder_layers"), LAYERS),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), HEADS),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), HEADS),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads"), 2),
    **dict.fromkeys(("head_dim", "d_head", "d_kv", "kv_channels"), HIDDEN // HEADS),
    **dict.fromkeys(("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"), HIDDEN // HEADS),
    **dict.fromkeys(("intermediate_size", "d_ff", "d_inner", "dff", "hidden_dim"), INNER),
    **dict.fromkeys(("ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim", "ffn_hidden_size"), INNER),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), HIDDEN),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_topk"), 2),
    **dict.fromkeys(("n_group", "topk_group"), 1),
    **dict.fromkeys(("kv_lora_rank", "q_lora_rank"), 16),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim"), HIDDEN // HEADS),
    **dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads"), HEADS),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "keep_window_size"), POSITIONS),
    **dict.fromkeys(("sliding_window", "block_size", "chunk_size", "window_size"), 8),
    **dict.fromkeys(("attention_window", "local_attention"), 8),
    # One layer of each kind.
    "first_k_dense_replace": LAYERS // 2,
    "vocab_size": VOCABULARY,
    "num_labels": 3,
    **IMAGE_TOKENS,
}

# Attributes that are kept when a type leaves them empty.
OPTIONAL = ("sliding_window", "hidden_dim", "intermediate_size", "n_group", "topk_group")

# Attributes of nested configurations for other modalities; what they hold is never run.
VISION: dict[str, Any] = {"image_size": 16, "patch_size": 8, "depth": 1, "out_hidden_size": HIDDEN}

# By attention type, for those that have two kinds of rotary embeddings.
MULTIMODAL_ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}

OVERRIDES: dict[str, dict[str, Any]] = {
    # Texts of more than 28 tokens are long ones.
    "big_bird": {"block_size": 4, "num_random_blocks": 1},
    "bigbird_pegasus": {"block_size": 4, "num_random_blocks": 1},
    "cohere_compass_text": {
        "rope_parameters": {
            "full_attention": MULTIMODAL_ROPE,
            "sliding_attention": MULTIMODAL_ROPE,
        },
    },
    # As their published checkpoints have it; the defaults are a plain BERT.
    "deberta": {
        "pos_att_type": ["c2p", "p2c"],
        "position_biased_input": False,
        "relative_attention": True,
    },
    "deberta-v2": {
        "norm_rel_ebd": "layer_norm",
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "position_buckets": 16,
        "relative_attention": True,
        "share_att_key": True,
    },
    "gpt_neo": {"attention_types": [[["global", "local"], LAYERS // 2]]},
    "gptj": {"rotary_dim": 4},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_dt_rank": 4},
    "layoutlmv2": {"coordinate_size": 6, "shape_size": 4},
    "layoutlmv3": {"coordinate_size": 6, "shape_size": 4},
    # A sixth of its columns goes to each of six coordinates.
    "lilt": {"hidden_size": 48},
    "luke": {"entity_vocab_size": 10, "entity_emb_size": 8},
    "markuplm": {"max_depth": 4},
    # Half of it is rotated.
    "mistral4": {"head_dim": 2 * HIDDEN // HEADS},
    "reformer": {
        "attention_head_size": 8,
        "attn_layers": ["local", "lsh"],
        "axial_pos_embds_dim": [8, 24],
        "axial_pos_shape": [8, 8],
        "feed_forward_size": INNER,
        "local_attn_chunk_length": 8,
        "lsh_attn_chunk_length": 8,
        "max_position_embeddings": 64,
    },
    "roc_bert": {
        "pronunciation_embed_dim": 16,
        "pronunciation_vocab_size": 20,
        "shape_embed_dim": 16,
        "shape_vocab_size": 20,
    },
    "smollm3": {"no_rope_layers": [1, 0]},
    "xmod": {"default_language": "en_XX"},
    # Two hybrid layers: they share weights.
    "zamba": {
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
        "mamba_dt_rank": 4,
        "num_hidden_layers": 4,
    },
}

# Standard deviation of all matrices: with 32 columns it keeps the size of what flows through.
DEVIATION = 0.2
# Tokens must outweigh what is added to them: positions, types, boxes.
TOKEN_FACTOR = 3
# Parameters whose values mean something else than a weight: decay rates and step sizes.
KEPT = ("A_log", "D", "dt_bias", "dt_proj_bias", "slope_rate")

LARGEST_PARAMETERS = 2_000_000
LARGEST_LOGIT = 10.0
CLEAR_DIFFERENCE = 0.01
SEEDS = 20


class IndistinctError(ValueError):
    """The type answers all texts alike, or nearly so."""


def samples() -> list[str]:
    """Twelve texts of one to 120 words in several alphabets."""
    return texts()[:12]


def make_tiny(model_type: str, folder: Path) -> Checkpoint:
    """Write FOLDER/model, FOLDER/tokenizer and FOLDER/id2label.json, the same in every run.

    The weights are the first random ones that give the samples different labels, clearly.

    Raises:
        ValueError: the configuration is not small.
        IndistinctError: no weights told the samples apart.
        ImportError: the type needs a package that is not installed.
    """
    config = tiny_config(model_type)
    tokenizer = _tokenizer(_takes_token_types(config), model_type in LEFT_PADDED)
    with torch.device("meta"):
        parameters = sum(
            item.numel()
            for item in AutoModelForSequenceClassification.from_config(config).parameters()
        )
    if parameters > LARGEST_PARAMETERS:
        raise ValueError(f"{model_type}: {parameters} parameters")
    model = AutoModelForSequenceClassification.from_config(
        config, attn_implementation="eager"
    ).eval()
    for seed in range(SEEDS):
        _randomise(model, seed)
        try:
            logits = _logits(model, tokenizer, samples())
        except Exception:
            # Not for text alone, or broken: the conversion says so in its own words.
            break
        if _tells_apart(logits):
            break
    else:
        raise IndistinctError(f"{model_type}: no weights tell the samples apart")
    return save(folder, model, tokenizer)


def tiny_config(model_type: str) -> Any:
    """The type's configuration with small sizes, three labels and the tokenizer's special ids."""
    config_class = CONFIG_MAPPING[model_type]
    small = _small(config_class(), OVERRIDES.get(model_type, {}))
    return config_class(**{**small, **_special_ids(), "num_labels": 3})


def _small(default: Any, override: Mapping[str, Any]) -> dict[str, Any]:
    """Small values for the attributes of a default configuration, nested ones included."""
    values: dict[str, Any] = {}
    own = vars(default)
    for name, value in own.items():
        if hasattr(value, "to_diff_dict"):
            inner = _small(value, override.get(name, {}))
            values[name] = inner | ({} if "vision" in name else _special_ids())
        elif name in SMALL and not (value is None and name in OPTIONAL):
            values[name] = SMALL[name]
        elif name in VISION:
            values[name] = VISION[name]
        elif name.endswith(("layer_types", "layers_block_type")) and value:
            kinds = list(dict.fromkeys(value))
            values[name] = [kinds[index % len(kinds)] for index in range(LAYERS)]
    if own.get("num_key_value_heads") == own.get("num_attention_heads"):
        values.pop("num_key_value_heads", None)
        if own.get("num_key_value_heads"):
            values["num_key_value_heads"] = HEADS
    return values | {
        name: value
        for name, value in override.items()
        if not isinstance(value, Mapping) or not hasattr(own.get(name), "to_diff_dict")
    }


# Types that read the answer off the last position: their own tokenizers pad on the left.
LEFT_PADDED = ("xlnet",)


def _takes_token_types(config: Any) -> bool:
    """Whether the type's own tokenizers make token_type_ids."""
    return config.model_type in ("funnel", "xlnet") or getattr(config, "type_vocab_size", 0) > 1


def _tokenizer(token_types: bool, left_padded: bool) -> Any:
    """A byte-level BPE that puts every text between <s> and </s> and knows no longest text."""
    vocabulary, merges = byte_level_vocabulary()
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        special_tokens=[(token, vocabulary[token]) for token in ("<s>", "</s>")],
    )
    names = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=names if token_types else names[::2],
        padding_side="left" if left_padded else "right",
        **{f"{name}_token": token for name, token in SPECIALS.items()},
    )


@functools.cache
def _special_ids() -> dict[str, int]:
    vocabulary, _ = byte_level_vocabulary()
    names = {**SPECIALS, "decoder_start": SPECIALS["eos"]}
    return {f"{name}_token_id": vocabulary[token] for name, token in names.items()}


def _randomise(model: Any, seed: int) -> None:
    """Give all matrices and biases new values; vectors that scale are left as they are."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name.endswith(KEPT):
            continue
        if parameter.ndim >= 2:
            parameter.data.normal_(0, DEVIATION, generator=generator)
        elif name.endswith("bias"):
            parameter.data.normal_(0, DEVIATION / 2, generator=generator)
    with contextlib.suppress(NotImplementedError, AttributeError):
        model.get_input_embeddings().weight.data.mul_(TOKEN_FACTOR)
    for module in model.modules():
        # As training leaves it.
        if isinstance(module, torch.nn.Embedding) and module.padding_idx is not None:
            module.weight.data[module.padding_idx].zero_()


def _logits(model: Any, tokenizer: Any, sentences: Sequence[str]) -> torch.Tensor:
    """[texts, 3], each text alone."""
    takes = inspect.signature(model.forward).parameters
    longest = getattr(model.config, "max_position_embeddings", None) or POSITIONS
    rows = []
    for sentence in sentences:
        encoded = tokenizer(
            sentence, truncation=True, max_length=min(longest, POSITIONS) - 2, return_tensors="pt"
        )
        with torch.inference_mode():
            output = model(**{name: item for name, item in encoded.items() if name in takes})
        rows.append(output.logits.float()[0])
    return torch.stack(rows)


def _tells_apart(logits: torch.Tensor) -> bool:
    """Whether labels differ, no first place is a near tie, no two texts answer alike."""
    first, second = logits.topk(2, dim=-1).values.unbind(-1)
    apart = torch.cdist(logits, logits) + torch.eye(len(logits))
    return bool(
        logits.isfinite().all()
        and logits.abs().max() < LARGEST_LOGIT
        and len(set(logits.argmax(-1).tolist())) > 1
        and (first - second).min() > CLEAR_DIFFERENCE
        and apart.min() > CLEAR_DIFFERENCE
    )
