"""Answers drawn from a model in training, as the tokens they are: many prompts at once, nothing encoded again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bon.errors import ModelError, UsageError
from bon.generate.reasoning import Split, split_reasoning
from bon.generate.sampling import Sampling, next_tokens
from bon.train.order import passes
from bon.train.policy.logprobs import takes_positions
from bon.types import Candidate, Usage

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Decoding", "Rollout", "roll_out"]

_THINK = "<think>"
_TAIL = 16
"""Tokens at the end of a prompt that are looked at for an opened block of reasoning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How answers are drawn: from the whole vocabulary, without anything cut off."""

    temperature: float = 1.0
    max_tokens: int
    eos: frozenset[int]
    """Token ids that end an answer."""

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise UsageError(f"a policy is trained on draws: temperature is above 0, not {self.temperature!r}")
        if self.max_tokens < 1:
            raise UsageError(f"max_tokens is {self.max_tokens!r}: give a whole number from 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One answer."""

    prompt: int
    """The place of its prompt."""
    prompt_ids: tuple[int, ...]
    ids: tuple[int, ...]
    """The tokens drawn, the one that ended it included where one did."""
    text: str
    """As `hf:` reads them: without special tokens, and without a leading block of reasoning."""
    reasoning: str | None
    """That block, where there is one."""
    finish_reason: str
    """As `hf:` says it: "stop", or "length" where it was cut, or its reasoning was never closed."""
    ended: bool
    """Whether its last token ends an answer; otherwise it was cut at `max_tokens`, and has no end token."""
    log_probs: tuple[float, ...]
    """Shape `(len(ids),)`: of each token as it was drawn, temperature included."""

    def candidate(self, index: int) -> Candidate:
        """It as what scorers are given, the same that `hf:` makes of such a draw: F is a rank among those.

        It has no log-probabilities: a candidate's are those at temperature 1.
        """
        return Candidate(
            index=index,
            text=self.text,
            reasoning=self.reasoning,
            finish_reason=self.finish_reason,
            usage=Usage(prompt_tokens=len(self.prompt_ids), completion_tokens=len(self.ids)),
        )


def roll_out(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    generator: torch.Generator,
    *,
    draws: int = 1,
    tokens: int | None = None,
) -> list[Rollout]:
    """`draws` answers to each of P prompts of token ids, in the order of the prompts: `P * draws` of them.

    All randomness is P * draws * max_tokens numbers that the generator (on the CPU) gives first: which answers grow
    together, as `tokens` a pass (padding included) bound it, changes them by float rounding only. A prompt is read once
    for all its draws. Raises UsageError for an empty prompt, ModelError for logits that are no numbers.
    """
    import torch

    if not all(prompts):
        raise UsageError("a prompt has no tokens: there is nothing to go on from")
    rows = [place for place in range(len(prompts)) for _ in range(draws)]
    uniforms = torch.rand((len(rows), decoding.max_tokens), generator=generator, dtype=torch.float64)
    ids: dict[int, list[int]] = {}
    log_probs: dict[int, list[float]] = {}
    for cut in passes([len(prompts[place]) + decoding.max_tokens for place in rows], tokens):
        with torch.no_grad():
            drawn, said = _draw(model, [prompts[rows[row]] for row in cut], decoding, uniforms[cut])
        ids.update(zip(cut, drawn, strict=True))
        log_probs.update(zip(cut, said, strict=True))
    opened = [_thinking(tokenizer, prompt) for prompt in prompts]
    found = []
    for row, place in enumerate(rows):
        split, ended = _split(tokenizer, ids[row], opened=opened[place]), ids[row][-1] in decoding.eos
        rollout = Rollout(
            prompt=place,
            prompt_ids=tuple(prompts[place]),
            ids=tuple(ids[row]),
            text=split.text,
            reasoning=split.reasoning or None,
            finish_reason="stop" if ended and split.closed else "length",
            ended=ended,
            log_probs=tuple(log_probs[row]),
        )
        found.append(rollout)
    return found


def _draw(
    model: Any, prompts: Sequence[Sequence[int]], decoding: Decoding, uniforms: Tensor
) -> tuple[list[list[int]], list[list[float]]]:
    """Tokens and their log-probabilities of one answer a prompt; equal prompts are read once."""
    import torch

    growing = _Growing(model, prompts, decoding.max_tokens)
    sampling = Sampling(temperature=decoding.temperature)
    device = growing.logits.device
    ends = torch.tensor(sorted(decoding.eos), device=device, dtype=torch.long)
    rows = torch.arange(len(prompts), device=device)
    tokens = torch.zeros(uniforms.shape, dtype=torch.long, device=device)
    said = torch.zeros(uniforms.shape, device=device)
    lengths = torch.full((len(prompts),), decoding.max_tokens, device=device)
    uniforms = uniforms.to(device) if device.type != "mps" else uniforms
    for at in range(decoding.max_tokens):
        chosen = next_tokens(growing.logits, sampling, uniforms[rows.to(uniforms.device), at]).to(device)
        scaled = growing.logits / decoding.temperature
        tokens[rows, at] = chosen
        said[rows, at] = scaled.gather(-1, chosen[:, None]).squeeze(-1) - scaled.logsumexp(dim=-1)
        done = torch.isin(chosen, ends)
        lengths[rows[done & (lengths[rows] > at + 1)]] = at + 1
        going = lengths[rows] > at + 1
        left = int(going.sum())
        if not left or at + 1 == decoding.max_tokens:
            break
        if 2 * left <= len(rows):  # what has ended costs as much as what has not, and leaving costs a copy
            growing.keep(going.nonzero().squeeze(-1))
            rows, chosen = rows[going], chosen[going]
        growing.append(chosen)
    if not bool(torch.isfinite(said).all()):
        raise ModelError(
            "the policy gives logits that are no numbers: its weights are damaged, or training went too far; train "
            "anew with a smaller lr"
        )
    counts = lengths.tolist()
    return (
        [row[:count] for row, count in zip(tokens.tolist(), counts, strict=True)],
        [row[:count] for row, count in zip(said.tolist(), counts, strict=True)],
    )


class _Growing:
    """Rows of a key-value cache that grow by a token at a time; prompts are padded at the left where they differ."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], room: int) -> None:
        import torch

        self._model = model
        distinct = {tuple(prompt): place for place, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
        device = next(model.parameters()).device
        width = max(map(len, distinct))
        ids = torch.tensor([[*[0] * (width - len(prompt)), *prompt] for prompt in distinct], device=device)
        starts = torch.tensor([width - len(prompt) for prompt in distinct], device=device)
        self._positions = int(starts.max()) > 0 and takes_positions(model)
        self._columns = torch.arange(width + room, device=device)
        self._starts = starts
        self._width = 0
        self._cache: Any = None
        self._forward(ids)
        self.keep(torch.tensor([distinct[tuple(prompt)] for prompt in prompts], device=device))

    logits: Tensor
    """Shape `(rows, V)`, float32: of the next token."""

    def keep(self, rows: Tensor) -> None:
        """Make row `i` a copy of what row `rows[i]` was."""
        self._cache.reorder_cache(rows)
        self.logits = self.logits.index_select(0, rows)
        self._starts = self._starts.index_select(0, rows)

    def append(self, tokens: Tensor) -> None:
        """Append a token to every row; shape `(rows,)`."""
        self._forward(tokens[:, None])

    def _forward(self, ids: Tensor) -> None:
        was, self._width = self._width, self._width + ids.shape[1]
        columns = self._columns[: self._width]
        inputs = {
            "input_ids": ids,
            "attention_mask": (columns >= self._starts[:, None]).long(),
            "past_key_values": self._cache,
            "use_cache": True,
            "logits_to_keep": 1,
        }
        if self._positions:
            inputs["position_ids"] = (columns[was:] - self._starts[:, None]).clamp(min=0)
        out = self._model(**inputs)
        if out.past_key_values is None:
            raise ModelError(f"{type(self._model).__name__} keeps no key-value cache, which drawing from it needs")
        self._cache, self.logits = out.past_key_values, out.logits[:, -1].float()


def _thinking(tokenizer: Any, prompt: Sequence[int]) -> bool:
    """Whether the prompt ends inside a block of reasoning that its template opened."""
    return bool(tokenizer.decode(list(prompt[-_TAIL:])).rstrip().endswith(_THINK))


def _split(tokenizer: Any, ids: Sequence[int], *, opened: bool) -> Split:
    whole = tokenizer.decode(list(ids), skip_special_tokens=True)
    return split_reasoning(_THINK + whole if opened else whole)
