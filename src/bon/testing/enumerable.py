"""A tiny real language model whose every response can be written down, with its probability and a reward of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bon.errors import UsageError
from bon.models.transformers import quiet
from bon.train.policy.exact import Reference, reference

if TYPE_CHECKING:
    import torch

__all__ = ["Enumerable", "save_enumerable"]

_END = "</s>"
_WIDTH = 64
_WEIGHT = 0.1
"""Standard deviation of the weights: the first letters are then unequal, and most strings still have a chance."""
_FADING = 0.6
"""How much less a letter counts for the reward than the one before it."""
_PROMPT = 8
"""Letters of a prompt there is room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enumerable:
    """All S responses of at most `length` letters to a prompt, shortest first: V^0 + V^1 + .. + V^length strings.

    One shorter than `length` ends with the end token. One of `length` letters is a complete draw of
    `max_tokens=length`, cut there: its end token is neither drawn nor counted.
    """

    folder: Path
    """A causal model of transformers with its tokenizer: a token a letter, no chat template."""
    letters: str
    length: int
    strings: tuple[str, ...] = field(repr=False)
    """Shape `(S,)`."""
    rewards: npt.NDArray[np.float64] = field(repr=False)
    """Shape `(S,)`, no two equal: sums over the letters of normal weights, a weight a letter and place, which fade."""
    values: Mapping[str, float] = field(repr=False)
    """The reward of each string."""

    def reward(self, text: str) -> float:
        """The reward of one response. Raises `UsageError` for a text that the model cannot give."""
        if text not in self.values:
            raise UsageError(f"{text!r} is no string of at most {self.length} letters of {self.letters!r}")
        return self.values[text]

    def log_probs(self, model: Any, prompt: str = "", *, temperature: float = 1.0) -> torch.Tensor:
        """Log pi of every string after a prompt, shape `(S,)`, float32, differentiable; the probabilities sum to 1.

        `model` is the folder's, or one trained from it. `prompt` is any string of the letters; a start token, which is
        the end token as in GPT-2, stands before it.
        """
        import torch

        count = len(self.letters)
        stems = list(product(range(count), repeat=self.length - 1))
        start = [count, *(self.letters.index(letter) for letter in prompt)]
        ids = torch.tensor([[*start, *stem] for stem in stems], device=model.device)
        logits = model(input_ids=ids, use_cache=False).logits[:, len(start) - 1 :].float()
        steps = torch.log_softmax(logits / temperature, dim=-1)  # (stems, length, V + 1)
        letters = steps[:, :-1].gather(-1, ids[:, len(start) :, None]).squeeze(-1)
        walked = torch.cat([letters.new_zeros(len(stems), 1), letters.cumsum(1)], dim=1)  # after 0, 1, .. letters
        ended = walked + steps[:, :, -1]
        # Each string of k letters begins V^(length - 1 - k) stems that stand together: the first of them says it.
        shorter = [ended[:: count ** (self.length - 1 - size), size] for size in range(self.length)]
        longest = walked[:, -1:] + steps[:, -1, :-1]
        return torch.cat([*shorter, longest.flatten()])

    def known(self, model: Any, prompt: str = "", *, temperature: float = 1.0) -> Reference:
        """The same as a distribution to compute with, in float64 and without gradients."""
        import torch

        with torch.no_grad():
            logs = self.log_probs(model, prompt, temperature=temperature)
        return reference(logs.double().cpu().numpy(), self.rewards)


def save_enumerable(folder: str | Path, *, letters: int = 4, length: int = 4, seed: int = 0) -> Enumerable:
    """Save a Llama of two layers over a few letters and an end token, and list all it can say with rewards for it.

    `letters` is V, from 1 to 26. The seed decides the weights and the rewards. 4 letters and a length of 4 make 341
    strings; 6 and 5 make 9,331.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    if not (1 <= letters <= len(ascii_lowercase) and length >= 1):
        raise UsageError(
            f"an enumerable model has 1 to 26 letters and a length of 1 or more, not {letters} and {length}"
        )
    used = ascii_lowercase[:letters]
    config = LlamaConfig(
        vocab_size=letters + 1,
        hidden_size=_WIDTH,
        intermediate_size=2 * _WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1 + _PROMPT + length,
        initializer_range=_WEIGHT,
        tie_word_embeddings=False,
        bos_token_id=letters,
        eos_token_id=letters,
    )
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    _tokenizer(used).save_pretrained(folder)
    strings = tuple("".join(each) for size in range(length + 1) for each in product(used, repeat=size))
    weights = np.random.default_rng(seed).standard_normal((length, letters)) * _FADING ** np.arange(length)[:, None]
    values = {
        text: float(sum(weights[place, used.index(letter)] for place, letter in enumerate(text))) for text in strings
    }
    rewards = np.array(list(values.values()))
    return Enumerable(folder=Path(folder), letters=used, length=length, strings=strings, rewards=rewards, values=values)


def _tokenizer(letters: str) -> Any:
    """A token a letter, joined without spaces; the start, the end and the padding are one token, as in GPT-2."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {token: place for place, token in enumerate((*letters, _END))}
    made = Tokenizer(models.WordLevel(words, unk_token=_END))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    made.decoder = decoders.Fuse()
    made.post_processor = processors.TemplateProcessing(single=f"{_END} $A", special_tokens=[(_END, words[_END])])
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token=_END, eos_token=_END, pad_token=_END)
