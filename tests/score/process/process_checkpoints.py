"""Tiny checkpoints of published process reward models: their real tensor names, configurations and special tokens.

Written from the published files and without bon's formats, so that what is compared with them is independent.
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaTokenizer,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2ForTokenClassification,
)

from bon.models.transformers import quiet

PROBLEM = "Tom has 3 apples and buys 4 more. How many has he?"
STEPS = (
    "Step 1: Tom begins with 3 apples.",
    "Step 2: He buys 4, so 3 + 4 = 7.\nThat is all.",
    "Step 3: The answer is 7.",
)
SYSTEM = r"Please reason step by step, and put your final answer within \boxed{}."
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.25,
}
QWEN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<extra_0>")
QWEN_TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}<|im_start|>system\n{{ messages[0]['content'] }}<|im_end|>\n"
    "{% else %}<|im_start|>system\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
    "{% endif %}{% for m in messages %}{% if m['role'] != 'system' %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
"""How Llama 3 and Qwen 2 cut a text before they merge: a full stop and the newlines after it are one word."""
LLAMA = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
LLAMA_TEMPLATE = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
    "Today Date: 26 Jul 2024\n\n<|eot_id|>"
    "{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def byte_tokenizer(special: tuple[str, ...], *, template: str | None = None, **names: str) -> Any:
    """A byte-level tokenizer, in which a full stop and a blank line, and runs of newlines, are one token each."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(_WORDS), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([PROBLEM, *STEPS, ".\n\n", "user assistant system", "\n\n"] * 2, trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, additional_special_tokens=list(special), **names)
    made.chat_template = template
    return made


def mistral_tokenizer() -> Any:
    """A SentencePiece tokenizer as Mistral's: a mark for a space, bytes for what is not in it, a BOS of its own."""
    vocabulary = {token: place for place, token in enumerate(["<unk>", "<s>", "</s>"])}
    for byte in range(256):
        vocabulary[f"<0x{byte:02X}>"] = len(vocabulary)
    for character in f"\u2581{string.ascii_letters}{string.digits}.,?=:'+-ки":
        vocabulary.setdefault(character, len(vocabulary))
    merges = [
        ("к", "и"),
        ("\u2581", "+"),
        ("\u2581", "-"),
        ("\u2581", "S"),
        ("t", "e"),
        ("te", "p"),
        ("\u2581S", "tep"),
    ]
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    return LlamaTokenizer(vocab=vocabulary, merges=merges, add_bos_token=True, **names)


def save(folder: Path, tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any], tokenizer: Any) -> Path:
    """Write a checkpoint as it is published: config.json, safetensors, tokenizer."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer.save_pretrained(str(folder))
    parts = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    save_file(parts, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def made(model_class: Any, config: Any, *, seed: int = 0) -> Any:
    with quiet():
        torch.manual_seed(seed)
        return model_class(config).eval()


def layer(inputs: int, outputs: int, *, seed: int = 1, std: float = 0.3) -> nn.Linear:
    torch.manual_seed(seed)
    made_layer = nn.Linear(inputs, outputs)
    nn.init.normal_(made_layer.weight, std=std)
    nn.init.normal_(made_layer.bias, std=std)
    return made_layer


def qwen(folder: Path) -> tuple[Path, Any, nn.Sequential]:
    """Qwen2.5-Math-PRM: its class with a head of two layers, `score.0` and `score.2`, and an unused language head."""
    tokenizer = byte_tokenizer(QWEN, template=QWEN_TEMPLATE, pad_token="<|endoftext|>", eos_token="<|im_end|>")
    model = made(Qwen2ForCausalLM, Qwen2Config(vocab_size=len(tokenizer), pad_token_id=0, **SIZES))
    head = nn.Sequential(layer(32, 32, seed=1), nn.ReLU(), layer(32, 2, seed=2))
    config = {
        **model.config.to_dict(),
        "architectures": ["Qwen2ForProcessRewardModel"],
        "auto_map": {
            "AutoConfig": "configuration_qwen2_rm.Qwen2RMConfig",
            "AutoModel": "modeling_qwen2_rm.Qwen2ForProcessRewardModel",
        },
    }
    tensors = {**model.state_dict(), **{f"score.{name}": tensor for name, tensor in head.state_dict().items()}}
    return save(folder, tensors, config, tokenizer), model, head


def math_shepherd(folder: Path) -> tuple[Path, Any]:
    """Math-Shepherd: a Mistral language model; nothing but its name tells it."""
    tokenizer = mistral_tokenizer()
    config = MistralConfig(vocab_size=len(tokenizer), sliding_window=4096, tie_word_embeddings=False, **SIZES)
    model = made(MistralForCausalLM, config)
    stated = {**model.config.to_dict(), "architectures": ["MistralForCausalLM"]}
    return save(folder, model.state_dict(), stated, tokenizer), model


def rlhflow(folder: Path, *, tied: bool = False) -> tuple[Path, Any]:
    """RLHFlow's PRMs: a Llama language model; nothing but its name tells it."""
    names = {"bos_token": LLAMA[0], "eos_token": LLAMA[3], "pad_token": LLAMA[3]}
    tokenizer = byte_tokenizer(LLAMA, template=LLAMA_TEMPLATE, **names)
    model = made(LlamaForCausalLM, LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=tied, **SIZES))
    stated = {**model.config.to_dict(), "architectures": ["LlamaForCausalLM"]}
    tensors = {name: tensor for name, tensor in model.state_dict().items() if not tied or name != "lm_head.weight"}
    return save(folder, tensors, stated, tokenizer), model


def skywork(folder: Path) -> tuple[Path, Any, nn.Linear]:
    """Skywork-o1-Open-PRM: a Qwen2 language model with `v_head.summary` beside it."""
    names = {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    tokenizer = byte_tokenizer(QWEN[:3], template=QWEN_TEMPLATE, **names)
    model = made(Qwen2ForCausalLM, Qwen2Config(vocab_size=len(tokenizer), **SIZES))
    head = layer(32, 1)
    stated = {**model.config.to_dict(), "architectures": ["Qwen2ForPrmModel"]}
    tensors = {**model.state_dict(), "v_head.summary.weight": head.weight, "v_head.summary.bias": head.bias}
    return save(folder, tensors, stated, tokenizer), model, head


def trl(folder: Path) -> tuple[Path, Any]:
    """What TRL's PRMTrainer saves: a token classifier of two labels."""
    tokenizer = byte_tokenizer(QWEN[:3], bos_token="<|endoftext|>", pad_token="<|endoftext|>")
    model = made(Qwen2ForTokenClassification, Qwen2Config(vocab_size=len(tokenizer), num_labels=2, **SIZES))
    with quiet():
        model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return folder, model


def own(folder: Path, *, loss: str = "ce", head: str = "mlp", separator: str | None = None) -> tuple[Path, Any, Any]:
    """What `bon train prm` saves: a backbone, a head beside it, and what it is."""
    from bon.models.heads import make_head, save_head
    from bon.models.own import Manifest, write_manifest

    tokenizer = byte_tokenizer(QWEN, template=QWEN_TEMPLATE, pad_token="<|endoftext|>", eos_token="<|im_end|>")
    model = made(Qwen2ForCausalLM, Qwen2Config(vocab_size=len(tokenizer), **SIZES)).model
    outputs = 2 if loss == "ce" else 1
    torch.manual_seed(5)
    made_head = make_head(head, size=32, outputs=outputs).eval()
    with quiet():
        model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    save_head(folder / "head.safetensors", made_head)
    write_manifest(
        folder,
        Manifest(
            kind="prm", base="tiny", adapted="full", head=head, outputs=outputs, loss=loss, separator=separator,
            max_length=200,
        ),
    )  # fmt: skip
    return folder, model, made_head
