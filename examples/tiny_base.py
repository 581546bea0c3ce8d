"""A language model of 1.2 million weights that has read sums worked out right: what reward models of sums begin with.

It is trained from nothing, in the loop that bon trains everything in, on the next token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bon.train.loop import fit
from bon.train.recipe import Hook, Recipe, Task

__all__ = ["adds", "tokenizer", "train_base"]

TOKEN = r"[+=-]?\d|\n"
"""A digit with the sign before it: `3+4=7` is `3`, `+4`, `=7`. By single characters, the same takes several times as
many examples to learn."""
WORDS = ("<pad>", "<unk>", *(f"{sign}{digit}" for sign in ("", "+", "-", "=") for digit in range(10)), "\n")
SIZES = {
    "hidden_size": 160,
    "intermediate_size": 426,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.08,
}
"""Weights begin about as large as one over the root of the width. From the usual 0.02 the language model learns to add
as well, but what is trained on it then sees only whether a sum is off by an odd number."""
RECIPE = Recipe(epochs=2, lr=1.5e-3, batch=32, warmup=0.2, weight_decay=0.01)


def tokenizer() -> Any:
    """The chat of it is its contents and a line break."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(TOKEN), "isolated")
    made.decoder = decoders.Fuse()
    found = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", unk_token="<unk>")
    found.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}\n"
    return found


def train_base(texts: Sequence[str], folder: Path, *, progress: Hook | None = None) -> Path:
    """Train on texts (a problem, a line break, its right solution), and return the folder of what comes of it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    words = tokenizer()
    rows = [words(f"{text}\n", add_special_tokens=False)["input_ids"] for text in texts]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(vocab_size=len(words), pad_token_id=words.pad_token_id, **SIZES))

    def losses(network: Any, some: Sequence[list[int]]) -> tuple[Any, Mapping[str, Any]]:
        """The cross-entropy of each row's next tokens, those of the problem too: its mean over the row."""
        longest = max(map(len, some))
        ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in some])
        logits = network(input_ids=ids, attention_mask=(ids != 0).long(), use_cache=False).logits[:, :-1]
        each = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none", ignore_index=0)
        return each.sum(1) / (ids[:, 1:] != 0).sum(1), {}

    task = Task(rows=rows, objective=losses, length=len)
    fit(model, task, RECIPE, folder=folder / "training", progress=progress, device="cpu")
    model.save_pretrained(str(folder))
    words.save_pretrained(str(folder))
    return folder


def adds(folder: Path, texts: Sequence[str]) -> float:
    """Share of the results in texts (as they were trained on) that the model in `folder` holds for the likeliest."""
    import torch
    from transformers import LlamaForCausalLM

    words, model = tokenizer(), LlamaForCausalLM.from_pretrained(str(folder)).eval()
    results = torch.tensor([word.startswith("=") for word in words.convert_ids_to_tokens(range(len(words)))])
    right: list[bool] = []
    for text in texts:
        ids = torch.tensor(words(text, add_special_tokens=False)["input_ids"])
        with torch.no_grad():
            likeliest = model(input_ids=ids[None]).logits[0, :-1].argmax(-1)
        right += (likeliest == ids[1:])[results[ids[1:]]].tolist()
    return sum(right) / len(right)
