"""Tiny checkpoints of published reward models: their real tensor names, their configurations, random weights.

Written here from the published files and without bon's adapters, so that what is compared with them is independent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn
from transformers import AutoModel, PreTrainedTokenizerFast

QUESTION = "Why is the sky blue?"
ANSWERS = ("Because the air scatters blue light more than red.", "No idea.", "It reflects the sea, which is blue too.")
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}

_WORDS = r"\s*[\r\n]+| ?[^\s\w]+| ?\w+|\s+"
"""Line breaks stay together, as in Llama 3's tokenizer, where two of them are one token whatever follows."""

LLAMA3 = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "[PAD]")
LLAMA3_TEMPLATE = (
    "{% for m in messages %}{% if loop.first %}{{ bos_token }}{% endif %}<|start_header_id|>{{ m['role'] }}"
    "<|end_header_id|>\n\n{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
)
GEMMA = ("<bos>", "<start_of_turn>", "<end_of_turn>", "<pad>")
GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
)
CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<extra_0>")
CHATML_TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
INTERNLM = ("<s>", "<|im_start|>", "<|im_end|>", "<|reward|>", "</s>")
DEBERTA = ("[CLS]", "[SEP]", "[PAD]", "<|source|>", "<|candidate|>", "<|candidate1|>", "<|candidate2|>")


def llama3_text(answer: str) -> str:
    """A question and its answer as Llama 3's template writes them."""
    return (
        f"<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{QUESTION}<|eot_id|>"
        f"<|start_header_id|>assistant<|end_header_id|>\n\n{answer}<|eot_id|>"
    )


def chatml_text(answer: str) -> str:
    """The same in ChatML."""
    return f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"


def gemma_text(answer: str) -> str:
    """The same as Gemma's template writes it."""
    return f"<bos><start_of_turn>user\n{QUESTION}<end_of_turn>\n<start_of_turn>model\n{answer}<end_of_turn>\n"


def tokenizer_of(
    special: tuple[str, ...],
    *,
    template: str | None = None,
    bos: str | None = None,
    pad: str | None = None,
    **names: str,
) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with these special tokens, in this order from id 0; `bos` is put before every text."""
    tokenizer = Tokenizer(models.BPE())
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(_WORDS), "isolated"), whole])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*ANSWERS, QUESTION, "yes", "no", "user", "assistant", "\n\n"], trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    if "cls_token" in names:
        cls, sep = names["cls_token"], names["sep_token"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{cls} $A {sep}",
            pair=f"{cls} $A {sep} $B:1 {sep}:1",
            special_tokens=[(cls, tokenizer.token_to_id(cls)), (sep, tokenizer.token_to_id(sep))],
        )
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos, pad_token=pad, additional_special_tokens=list(special), **names
    )
    if template:
        made.chat_template = template
    return made


def backbone_of(config: Any, *, seed: int = 0) -> Any:
    """A backbone with weights large enough for every token to matter."""
    config.initializer_range = 0.25
    torch.manual_seed(seed)
    return AutoModel.from_config(config).eval()


def linear(outputs: int, inputs: int, *, bias: bool = True, seed: int = 1) -> nn.Linear:
    """A layer whose outputs are of the order of one."""
    torch.manual_seed(seed)
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.normal_(layer.weight, std=0.3)
    if bias:
        nn.init.normal_(layer.bias, std=0.3)
    return layer


def save(
    folder: Path,
    tensors: Mapping[str, torch.Tensor],
    config: Mapping[str, Any],
    tokenizer: PreTrainedTokenizerFast,
    *,
    shards: int = 1,
) -> Path:
    """Write a checkpoint as it is published: config.json, safetensors (in shards with an index), tokenizer."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer.save_pretrained(str(folder))
    parts = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    if shards == 1:
        save_file(parts, folder / "model.safetensors", metadata={"format": "pt"})
        return folder
    index: dict[str, str] = {}
    for number in range(shards):
        name = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        chosen = {key: tensor for place, (key, tensor) in enumerate(parts.items()) if place % shards == number}
        save_file(chosen, folder / name, metadata={"format": "pt"})
        index |= dict.fromkeys(chosen, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return folder


def prefixed(model: Any, prefix: str) -> dict[str, torch.Tensor]:
    """A backbone's tensors under the name that the model with a head has it by."""
    return {f"{prefix}{name}": tensor for name, tensor in model.state_dict().items()}


def stated(model: Any, architecture: str, **more: Any) -> dict[str, Any]:
    """A backbone's configuration, as the model with a head states it."""
    return {**model.config.to_dict(), "architectures": [architecture], **more}


def states_of(model: Any, ids: list[int], **more: Any) -> torch.Tensor:
    """The last hidden states of one row, shape `(tokens, H)`: a forward pass of it alone, without padding."""
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), **more).last_hidden_state[0]
