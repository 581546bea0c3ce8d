"""Tiny models of every architecture that the reader is held to, saved as folders; for the tests of this room."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bon.models.loading import quiet
from bon.testing.checkpoints import tiny_tokenizer

VOCABULARY, CONTEXT = 400, 96
_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": CONTEXT,
}
_DECODER = {**_SIZES, "num_key_value_heads": 2}
_GEMMA = {**_DECODER, "num_hidden_layers": 4, "head_dim": 8, "sliding_window": 6, "query_pre_attn_scalar": 8}
_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT}
_LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
    "original_max_position_embeddings": 24,
}

DECODERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", _DECODER),
    "qwen2": ("Qwen2Config", _DECODER),
    "qwen3": ("Qwen3Config", {**_DECODER, "head_dim": 8}),
    "gemma2": ("Gemma2Config", {**_GEMMA, "attn_logit_softcapping": 5.0}),
    "gemma3": ("Gemma3TextConfig", _GEMMA),
    "mistral": ("MistralConfig", {**_DECODER, "sliding_window": 5}),
    "mistral without a window": ("MistralConfig", {**_DECODER, "sliding_window": None}),
    "qwen3_moe": (
        "Qwen3MoeConfig",
        {**_DECODER, "head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    ),
    "gpt2": ("GPT2Config", _GPT2),
    "gpt_neox": ("GPTNeoXConfig", _SIZES),
    "phi3": ("Phi3Config", {**_DECODER, "pad_token_id": 0}),
    "phi3 with longrope": (
        "Phi3Config",
        {**_DECODER, "pad_token_id": 0, "original_max_position_embeddings": 24, "rope_parameters": _LONGROPE},
    ),
}
UNPROVEN: Mapping[str, tuple[str, dict[str, Any]]] = {
    "opt": ("OPTConfig", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64}),
    "bloom": ("BloomConfig", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "mamba": ("MambaConfig", {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}),
    "gpt_neo": (
        "GPTNeoConfig",
        {
            "hidden_size": 32,
            "num_layers": 2,
            "num_heads": 4,
            "window_size": 5,
            "attention_types": [[["global", "local"], 1]],
            "max_position_embeddings": CONTEXT,
        },
    ),
    "xlnet": ("XLNetConfig", {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64}),
}
"""Decoders that are tried before a shortcut is taken, some of which allow none."""
ENCODERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "deberta": (
        "DebertaV2Config",
        {
            **_SIZES,
            "relative_attention": True,
            "position_buckets": 8,
            "pos_att_type": ["p2c", "c2p"],
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
            "conv_kernel_size": 3,
            "conv_act": "gelu",
            "type_vocab_size": 2,
        },
    ),
    "bert": ("BertConfig", _SIZES),
    "roberta": ("RobertaConfig", {**_SIZES, "max_position_embeddings": CONTEXT + 2, "pad_token_id": 1}),
    "modernbert": (
        "ModernBertConfig",
        {**_SIZES, "local_attention": 8, "global_attn_every_n_layers": 2, "pad_token_id": 0},
    ),
}
EVERY = {**DECODERS, **UNPROVEN, **ENCODERS}


def save_backbone(folder: Path, name: str) -> Any:
    """Save a random backbone of an architecture with a tokenizer; returns the model, which nothing of ours has seen."""
    import torch
    import transformers

    kind, given = EVERY[name]
    ids = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}
    config = getattr(transformers, kind)(**{"vocab_size": VOCABULARY, "initializer_range": 0.25, **ids, **given})
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AutoModel.from_config(config).eval()
        if hasattr(model, "pooler"):
            model.pooler = None
        for parameter in model.parameters():  # zero biases and unit norms would hide what is mixed up
            torch.nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.25)
        model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return model
