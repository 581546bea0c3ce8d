"""A language model of 0.8 million weights that has read sentences of film reviews: the reference of the comparison.

It is trained from nothing, in the loop that bon trains everything in, on the next token; its folder is an ordinary one
(`hf:DIR`). Its chat is the contents one after the other, so that an answer goes on where the prompt ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bon.train.loop import fit
from bon.train.recipe import Recipe, Step, Task

__all__ = ["token_counts", "train_language", "train_tokenizer"]

WORDS = 3000
"""Tokens: bytes, and what is joined of them most often."""
SIZES = {
    "hidden_size": 112,
    "intermediate_size": 304,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}
RECIPE = Recipe(epochs=8, lr=3e-3, schedule="cosine", batch=32, warmup=0.05, weight_decay=0.1)
TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}"


def train_tokenizer(texts: Sequence[str]) -> Any:
    """Byte pairs of these texts (Sennrich et al. 2016), with tokens for the beginning and the end."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    found = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    found.chat_template = TEMPLATE
    return found


def token_counts(tokenizer: Any, text: str) -> list[int]:
    """How many tokens the first 1, 2, ... words of a text take."""
    words = text.split(" ")
    pieces = [" ".join(words[:count]) for count in range(1, len(words) + 1)]
    return [len(ids) for ids in tokenizer(pieces, add_special_tokens=False)["input_ids"]]


def train_language(
    texts: Sequence[str],
    folder: Path,
    *,
    held_out: int = 160,
    epochs: int = RECIPE.epochs,
    progress: Callable[[Step], None] | None = None,
) -> Mapping[str, float]:
    """Train on texts, and save what comes of it in `folder`/model.

    The last of them, `held_out` many, say which epoch was best; returned is the
    loss a token on them, in nats. The same call goes on where one was stopped.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    read, watched = texts[:-held_out], texts[-held_out:]
    words = train_tokenizer(read)
    pad = words.pad_token_id
    rows, others = (
        [[words.bos_token_id, *ids, words.eos_token_id] for ids in words(list(some))["input_ids"] if len(ids) < 126]
        for some in (read, watched)
    )
    config = LlamaConfig(
        vocab_size=len(words),
        pad_token_id=pad,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        **SIZES,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)

    def losses(network: Any, some: Sequence[list[int]]) -> tuple[Any, Mapping[str, Any]]:
        """Cross-entropy of each row's tokens, summed over the row."""
        longest = max(map(len, some))
        ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in some])
        logits = network(input_ids=ids, attention_mask=(ids != pad).long(), use_cache=False).logits[:, :-1]
        return torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), ids[:, 1:], reduction="none", ignore_index=pad
        ).sum(1), {}

    def on_held_out(network: Any) -> Mapping[str, float]:
        total = sum(float(losses(network, others[at : at + 64])[0].sum()) for at in range(0, len(others), 64))
        return {"loss": total / sum(len(row) - 1 for row in others)}

    task = Task(rows=rows, objective=losses, length=len, weight=lambda row: len(row) - 1.0, held_out=on_held_out)
    done = fit(model, task, replace(RECIPE, epochs=epochs), folder=folder / "training", progress=progress, device="cpu")
    model.save_pretrained(str(folder / "model"))
    words.save_pretrained(str(folder / "model"))
    return {"loss": done.best["loss"], "weights": float(sum(weight.numel() for weight in model.parameters()))}
