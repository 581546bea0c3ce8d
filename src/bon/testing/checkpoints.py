"""Tiny real checkpoints, with random weights and a trained tokenizer, for tests of whatever loads and runs a model."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bon.errors import UsageError
from bon.models.transformers import load_language_model, quiet

__all__ = [
    "save_tiny_adapter",
    "save_tiny_gguf",
    "save_tiny_model",
    "save_tiny_process_model",
    "save_tiny_reward_model",
    "tiny_tokenizer",
]

_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_TEXTS = (
    "The quick brown fox jumps over the lazy dog, and the dog does not mind it at all.",
    "Why is the sky blue? Because the air scatters short waves of light more than it scatters long ones.",
    "One and two are three; three and four are seven; seven and eight are fifteen. The answer is 15.",
    "Über den Wolken, naïve café: não, où, señor, żółć, тихо, 天空 is blue 🙂.",
)
_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
_WEIGHT = 0.25
"""Standard deviation of the weights: the usual 0.02 leaves so small a model with an almost uniform distribution."""


def tiny_tokenizer(*, bos: bool = False, chat: bool = True) -> Any:
    """A byte-level BPE tokenizer of about 400 tokens, trained on a few sentences; any text survives encode and decode.

    `bos` adds `<|endoftext|>` before every text, as Llama's tokenizers do (its template then writes it, too); `chat`
    gives it a ChatML template, without which it is a base model's.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    start = _SPECIAL[0]
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{start} $A", special_tokens=[(start, tokenizer.token_to_id(start))]
        )
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=start if bos else None, eos_token=_SPECIAL[2], pad_token=start
    )
    if chat:
        made.chat_template = ("{{ bos_token }}" if bos else "") + _TEMPLATE
    return made


def save_tiny_model(
    folder: str | Path, family: str = "llama", *, seed: int = 0, context: int = 256, chat: bool = True
) -> Path:
    """Save a causal language model with random weights, as safetensors with its tokenizer; returns the folder.

    `family` is "llama" (its tokenizer adds a BOS), "qwen2", "qwen3", "mistral" (attends to the last 8 tokens only) or
    "gpt2". The same seed gives the same weights.
    """
    import torch

    tokenizer, config = _tiny(family, context=context, chat=chat)
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _architecture(family)(config)
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def save_tiny_reward_model(
    folder: str | Path, family: str = "llama", *, seed: int = 0, context: int = 4096, bos: bool | None = None
) -> Path:
    """Save a sequence classifier of one number with random weights, the usual shape of a reward model, as a folder.

    `family` is as for `save_tiny_model`, whose weights these are not. With `bos` its tokenizer puts a BOS before every
    text, and its chat template one more; by default where the family's tokenizers do.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    tokenizer, config = _tiny(family, context=context, bos=bos)
    config.num_labels = 1
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def save_tiny_process_model(folder: str | Path, family: str = "qwen2", *, seed: int = 0, context: int = 4096) -> Path:
    """Save a process reward model with random weights as `bon train prm` writes one; returns the folder."""
    import torch
    from transformers import AutoModel

    from bon.models.heads import make_head, save_head
    from bon.models.own import HEAD, Manifest, write_manifest

    tokenizer, config = _tiny(family, context=context)
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        AutoModel.from_config(config).save_pretrained(folder)
        save_head(Path(folder) / HEAD, make_head("linear", size=config.hidden_size))
    tokenizer.save_pretrained(folder)
    manifest = Manifest(kind="prm", base=".", adapted="full", head="linear", separator="\n\n", loss="bce")
    write_manifest(Path(folder), manifest)
    return Path(folder)


def _tiny(family: str, *, context: int, chat: bool = True, bos: bool | None = None) -> tuple[Any, Any]:
    """The tokenizer and the configuration of a tiny model."""
    tokenizer = tiny_tokenizer(bos=family == "llama" if bos is None else bos, chat=chat)
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return tokenizer, _config(family, vocab_size=len(tokenizer), max_position_embeddings=context, **ids)


def save_tiny_adapter(folder: str | Path, base: str | Path, *, seed: int = 0, rank: int = 4) -> Path:
    """Save a LoRA adapter with random, non-zero weights for a model folder; returns its folder."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(str(base)), config)
        for name, weight in model.named_parameters():
            if "lora_B" in name:  # zero at birth, which would make the adapter do nothing
                torch.nn.init.normal_(weight, std=_WEIGHT)
        model.save_pretrained(str(folder))
    return Path(folder)


def save_tiny_gguf(
    path: str | Path, family: str = "gpt2", *, seed: int = 0, context: int = 256, chat: bool = True
) -> Path:
    """Save the tiny model of the same family, seed and context as a GGUF file; returns its path.

    "llama", "qwen2" and "qwen3" have matrices in F16 and are read by llama.cpp and openvino-genai (which refuses F32);
    "gpt2" is all F32 and read by llama.cpp only. The tokenizer of "llama" adds a BOS to every text, and its chat
    template writes one, too: whoever heeds both reads two.
    """
    import gguf

    with TemporaryDirectory() as folder:
        lm = load_language_model(save_tiny_model(folder, family, seed=seed, context=context, chat=chat), device="cpu")
    config = lm.model.config
    writer = gguf.GGUFWriter(str(path), family)
    kind = gguf.LlamaFileType.ALL_F32 if family == "gpt2" else gguf.LlamaFileType.MOSTLY_F16
    writer.add_file_type(kind)
    writer.add_context_length(context)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(getattr(config, "intermediate_size", 4 * config.hidden_size))
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    if family == "gpt2":
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    else:
        head = config.hidden_size // config.num_attention_heads
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_key_length(head)
        writer.add_value_length(head)
        writer.add_rope_dimension_count(head)
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, lm.tokenizer)
    _add_weights(writer, lm.model, family)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Path(path)


def _add_tokenizer(writer: Any, tokenizer: Any) -> None:
    import gguf

    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    kinds = [gguf.TokenType.CONTROL if token in _SPECIAL else gguf.TokenType.NORMAL for token in tokens]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(tokenizer.bos_token_id is not None)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _add_weights(writer: Any, model: Any, family: str) -> None:
    import gguf

    config = model.config
    arch = next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == family)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": getattr(config, "num_key_value_heads", None)}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        weight, layer = tensor.numpy(), name.split(".")[-2]
        if family == "gpt2" and weight.ndim == 2 and ".h." in name:
            weight = weight.T  # GPT-2 keeps the matrices of its layers transposed, and its embeddings not
        elif family == "llama" and layer in heads:
            weight = _interleaved(weight, heads[layer])
        kind = "float16" if weight.ndim == 2 and family != "gpt2" else "float32"
        writer.add_tensor(names.get_name(name, (".weight", ".bias")), weight.astype(kind, order="C"))


def _interleaved(weight: Any, heads: int) -> Any:
    """Rows of a query or key projection in GGUF's order for Llama, which turns neighbours rather than halves."""
    return weight.reshape(heads, 2, -1, weight.shape[-1]).swapaxes(1, 2).reshape(weight.shape)


def _config(family: str, **common: Any) -> Any:
    import transformers

    common["initializer_range"] = _WEIGHT
    match family:
        case "llama":
            return transformers.LlamaConfig(**common, **_SIZES)
        case "qwen2":
            return transformers.Qwen2Config(**common, **_SIZES)
        case "qwen3":
            return transformers.Qwen3Config(**common, **_SIZES, head_dim=8)
        case "mistral":
            return transformers.MistralConfig(**common, **_SIZES, sliding_window=8)
        case "gpt2":
            return transformers.GPT2Config(**common, n_embd=32, n_layer=2, n_head=4)
    raise UsageError(f"there is no tiny {family!r}; there are 'llama', 'qwen2', 'qwen3', 'mistral' and 'gpt2'")


def _architecture(family: str) -> Any:
    import transformers

    names = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3", "mistral": "Mistral", "gpt2": "GPT2LMHead"}
    suffix = "Model" if family == "gpt2" else "ForCausalLM"
    return getattr(transformers, names[family] + suffix)
