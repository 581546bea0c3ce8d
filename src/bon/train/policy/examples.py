"""Chosen draws as token ids: those that were drawn where they are known, else of the text; it trains nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bon.errors import UsageError
from bon.generate.planning import encoded_prompt
from bon.score.reward.encoding import as_text
from bon.train.policy.choices import Choice
from bon.types import Candidate, Prompt

__all__ = ["Example", "Examples", "Speaker", "examples"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One row to learn from: a prompt, and one response to it or two."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    """With the token that ended it, where one did: a draw that was cut off has none."""
    rejected: tuple[int, ...] = ()

    @property
    def tokens(self) -> int:
        """Of its sequences, padding included: what a pass over it takes."""
        return self._sequences * (len(self.prompt) + max(len(self.chosen), len(self.rejected)))

    @property
    def tokens_read(self) -> int:
        """The same without padding."""
        return self._sequences * len(self.prompt) + len(self.chosen) + len(self.rejected)

    @property
    def _sequences(self) -> int:
        return 2 if self.rejected else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """What is known of a model to write its tokens."""

    tokenizer: Any
    eos: Collection[int]
    """Token ids that end an answer."""
    limit: int | None = None
    """Most tokens of a prompt and its answer."""

    def prompt(self, prompt: Prompt) -> tuple[int, ...]:
        """The token ids of a prompt, as `hf:` makes them."""
        return tuple(encoded_prompt(self.tokenizer, prompt.messages, prompt.request)[1])

    def response(self, candidate: Candidate) -> tuple[int, ...] | str:
        """The token ids of a draw, or why there are none to learn from.

        Those that were drawn, where the pool has them and they say the text. Else those of the text, if they say it
        when they are read again: not where reasoning or a call of a tool is missing from it, which the model would be
        taught to leave out. A draw that came to its own end ends with an EOS, once; one that was cut off has none.
        """
        ended = candidate.complete
        if candidate.token_ids is not None:
            ids = [*candidate.token_ids]
            if any(not 0 <= token < len(self.tokenizer) for token in ids):
                return "its token ids are of another tokenizer"
            said = self.tokenizer.decode(ids, skip_special_tokens=True)
            if candidate.text not in said:
                return "its token ids are of another tokenizer"
            marked = said != candidate.text  # a stop string ended it, or there is reasoning before it
            if ended and not marked and (not ids or ids[-1] not in self.eos):
                ids.append(self._end())
            return tuple(ids) or "it has no tokens"
        if candidate.reasoning or candidate.tool_calls:
            return "its tokens are not known, and its text is not all that was said (return_token_ids keeps them)"
        ids = as_text(self.tokenizer, candidate.text)
        if self.tokenizer.decode(ids, skip_special_tokens=True) != candidate.text:
            return "its tokens are not known, and its text does not survive the tokenizer (return_token_ids keeps them)"
        return tuple([*ids, self._end()] if ended else ids) or "it has no tokens"

    def _end(self) -> int:
        own = self.tokenizer.eos_token_id
        return int(own) if own in self.eos else min(self.eos)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Rows as token ids, and what became of the others."""

    rows: Sequence[Example]
    answers: int
    """Distinct draws in these rows."""
    encoded: int
    """Of them, those that carried no token ids: their texts were encoded, perhaps not as they were drawn."""
    left_out: Mapping[str, int]
    """Why -> how many rows."""


def examples(rows: Sequence[Choice], speaker: Speaker) -> Examples:
    """The rows as token ids; some may be left out, and nothing is ever cut.

    Raises UsageError where a model has no token that ends an answer, and where not a single row is left.
    """
    if not speaker.eos:
        raise UsageError("the model has no token that ends an answer (eos_token): it cannot learn to end one")
    prompts: dict[str, tuple[int, ...]] = {}
    responses: dict[tuple[str, int], tuple[int, ...] | str] = {}

    def said(row: Choice, candidate: Candidate) -> tuple[int, ...] | str:
        key = (row.prompt.id, candidate.index)
        if key not in responses:
            responses[key] = speaker.response(candidate)
        return responses[key]

    found: list[Example] = []
    left_out: Counter[str] = Counter()
    carried: dict[tuple[str, int], bool] = {}
    for row in rows:
        if row.prompt.id not in prompts:
            prompts[row.prompt.id] = speaker.prompt(row.prompt)
        prompt = prompts[row.prompt.id]
        draws = [candidate for candidate in (row.chosen, row.rejected) if candidate is not None]
        both = [said(row, candidate) for candidate in draws]
        ids = [each for each in both if not isinstance(each, str)]
        if len(ids) < len(both):
            left_out[f"a draw's row: {next(each for each in both if isinstance(each, str))}"] += 1
        elif speaker.limit is not None and len(prompt) + max(map(len, ids)) > speaker.limit:
            left_out[f"a prompt and its answer are longer than {speaker.limit} tokens"] += 1
        else:
            found.append(Example(prompt=prompt, chosen=ids[0], rejected=ids[1] if len(ids) > 1 else ()))
            carried |= {(row.prompt.id, candidate.index): candidate.token_ids is not None for candidate in draws}
    if not found:
        told = "; ".join(f"{count}: {why}" for why, count in left_out.items())
        raise UsageError(
            f"not a row is left to learn from ({told}): draw with the reference itself, or shorter answers"
        )
    encoded = sum(not known for known in carried.values())
    return Examples(rows=found, answers=len(carried), encoded=encoded, left_out=dict(left_out))
