"""The five nouns of bon and what they are made of: frozen, keyword-only, plain data; no behaviour beyond reading."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from bon.values import quick

__all__ = [
    "Candidate",
    "Delta",
    "Draw",
    "Failure",
    "Logprobs",
    "Message",
    "Pool",
    "Prompt",
    "Score",
    "Seconds",
    "Spent",
    "Usage",
    "as_messages",
    "text_of",
]

Message: TypeAlias = Mapping[str, Any]
"""An OpenAI chat message, kept whole: whatever keys it came with are passed on untouched."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one or more calls, as the provider counts them (or as we count, where it does not)."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that the provider did not have to read again; contained in `prompt_tokens`."""
    money: float | None = None
    """US dollars, where the provider states them or a price is known; a sum leaves out what has no price."""

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            money=_sum(self.money, other.money),
        )


def _sum(one: float | None, other: float | None) -> float | None:
    """What is known of a sum: None where neither part is."""
    if one is None or other is None:
        return other if one is None else one
    return one + other


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """How long a draw took, in seconds since it was asked for."""

    total: float
    first_token: float | None = None
    """None where the answer came in one piece."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Logprobs:
    """What the generator said of each token of the answer, in nats; `T` tokens."""

    tokens: tuple[float, ...]
    """Shape `(T,)`: log-probability of each sampled token."""
    top: tuple[tuple[float, ...], ...] | None = None
    """Shape `(T, <=k)`: the k largest log-probabilities at each position, where the endpoint gives them."""
    certainty: tuple[float, ...] | None = None
    """Shape `(T,)`: KL(uniform || p) over the whole vocabulary, where the generator has the logits."""
    texts: tuple[str, ...] | None = None
    """Shape `(T,)`: what each sampled token says, where `top` is known and the generator says it. Pools on disk keep
    the numbers alone."""
    top_texts: tuple[tuple[str, ...], ...] | None = None
    """Shape `(T, <=k)`: the tokens that `top` speaks of, in its order; known where `texts` is."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What is asked."""

    id: str
    messages: tuple[Message, ...]
    request: Mapping[str, Any] = field(default_factory=dict)
    """OpenAI field names (temperature, max_tokens, seed, tools, response_format ...); overrides the generator's
    defaults. `seed` is the run's seed: each draw derives its own from it, the prompt's id and its index."""
    reference: str | None = None
    """The known right answer, for verifiers."""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text of the last user message: what scorers and people read as the question."""
        for message in reversed(self.messages):
            if message.get("role") == "user":
                return text_of(message)
        return text_of(self.messages[-1]) if self.messages else ""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One complete draw."""

    index: int
    """Which draw of its prompt this is, from 0."""
    text: str
    """The answer, without any reasoning block."""
    reasoning: str | None = None
    """`reasoning_content`, or a leading <think> block; never part of `text`."""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    answer: str | None = None
    """The final answer as the extractor read it; equivalent answers have the same string."""
    finish_reason: str | None = "stop"
    """"stop", "length" (cut by max_tokens: scored, but does not vote), "tool_calls", ..."""
    seed: int | None = None
    """The seed of this draw, as sent to the generator."""
    seconds: Seconds | None = None
    usage: Usage | None = None
    logprobs: Logprobs | None = None
    token_ids: tuple[int, ...] | None = None
    generator: str = ""
    """Who made it: the generator's name, model included."""
    variation: str | None = None
    """Which prompt variation it answers."""
    cached: bool = False
    """Whether it came out of the response cache: `usage` is what it cost when drawn, and nothing was paid now."""

    @property
    def complete(self) -> bool:
        """Whether the answer came to its own end; only complete candidates vote."""
        return self.finish_reason not in (None, "length")


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a scorer said of one candidate. Missing is `value=None` with a reason; never NaN, never an invented 0."""

    value: float | None
    reason: str = ""
    parts: Mapping[str, float | None] = field(default_factory=dict)
    """Named sub-scores."""
    steps: tuple[float, ...] | None = None
    """Process scores, one a step."""
    usage: Usage | None = None
    """Tokens that scoring cost."""
    seconds: float | None = None
    """Seconds that scoring took."""
    calls: int | None = None
    """Calls that scoring took, failed ones included; None: one where there is a usage, else none."""
    cached: bool = False
    """Whether it came out of the response cache: nothing was paid for it now."""

    def __post_init__(self) -> None:
        if self.calls is not None and self.calls < 0:
            raise ValueError(f"the calls of a Score are counted from 0, not {self.calls!r}")
        if self.value is None:
            if not self.reason:
                raise ValueError("a Score without a value needs a reason: Score(value=None, reason='...')")
        elif not math.isfinite(self.value):
            raise ValueError(f"a Score is finite or None with a reason, not {self.value!r}: use Score.missing('...')")
        if self.parts or self.steps:
            for part in (*self.parts.values(), *(self.steps or ())):
                if part is not None and not math.isfinite(part):
                    raise ValueError(f"the parts and steps of a Score are finite, not {part!r}: a missing part is None")

    @property
    def paid_calls(self) -> int:
        """How many calls were paid for now: `calls`, and none where it is `cached`."""
        if self.cached:
            return 0
        return int(self.usage is not None) if self.calls is None else self.calls

    @classmethod
    def missing(cls, reason: str) -> Score:
        """A score that is not there, and why."""
        return cls(value=None, reason=reason)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Something that went wrong and did not end the run."""

    stage: str
    """"generate", "extract", "score", "select" or "hook"."""
    error: str
    """The error's class name."""
    message: str
    index: int | None = None
    """The draw it befell, where it befell one."""
    by: str | None = None
    """The generator, scorer or selector that failed."""

    @property
    def reason(self) -> str:
        """The reason of a Score that is missing because of it."""
        return f"{self.error}: {self.message}"

    def explains(self, score: Score, index: int) -> bool:
        """Whether the score of the candidate of this index is missing because of this failure of its scorer."""
        return score.value is None and self.index in (None, index) and score.reason == self.reason

    @classmethod
    def of(cls, error: BaseException, *, stage: str, index: int | None = None, by: str | None = None) -> Failure:
        """The failure that an exception is."""
        return cls(stage=stage, error=type(error).__name__, message=str(error), index=index, by=by)


Draw: TypeAlias = Candidate | Failure
"""How a draw ends: with a candidate, or with a failure of stage "generate" that names its index."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of an answer as it grows. The last one carries the finished candidate."""

    text: str = ""
    reasoning: str = ""
    candidate: Candidate | None = None


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was paid for a pool so far: failed calls and the scorers' own calls included."""

    usage: Usage = Usage()
    calls: int = 0
    """Draws that ended, either way, and calls made by scorers."""
    money: float | None = None
    """US dollars; None where no price is known."""
    seconds: float = 0.0
    """Wall-clock seconds of the runs that made this pool."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A prompt, its candidates, what scorers said of them, what failed and what was spent: enough to select again."""

    prompt: Prompt
    candidates: tuple[Candidate, ...] = ()
    """`n` candidates, in the order of their index."""
    scores: Mapping[str, tuple[Score, ...]] = field(default_factory=dict)
    """By scorer's name: `n` scores, in the order of `candidates`."""
    failures: tuple[Failure, ...] = ()
    spent: Spent = Spent()

    def __post_init__(self) -> None:
        for name, scores in self.scores.items():
            if len(scores) != len(self.candidates):
                raise ValueError(
                    f"pool {self.prompt.id!r}: scorer {name!r} has {len(scores)} scores for "
                    f"{len(self.candidates)} candidates; it must give one a candidate (Score.missing where it has none)"
                )

    def __len__(self) -> int:
        return len(self.candidates)

    @property
    def landed(self) -> int:
        """How many draws have ended, in a candidate or in a failure; what budgets count."""
        failed = {f.index for f in self.failures if f.stage == "generate"} if self.failures else ()
        if not failed:
            return len(self.candidates)
        drawn = {candidate.index for candidate in self.candidates}  # of which something may have failed on the way
        return len(drawn) + len(failed - drawn - {None})

    def values(self, by: str) -> tuple[float | None, ...]:
        """The values of one scorer, shape `(n,)`. Raises KeyError for a scorer this pool does not have."""
        return tuple(score.value for score in self.scores[by])

    def only(self, places: Sequence[int]) -> Pool:
        """The pool of the candidates at these places, in their order, with their scores; failures stay as they are."""
        return replace(
            self,
            candidates=tuple([self.candidates[place] for place in places]),
            scores={name: tuple([scores[place] for place in places]) for name, scores in self.scores.items()},
        )

    def with_scores(self, by: str, scores: Sequence[Score]) -> Pool:
        """This pool with one scorer's scores set. Raises ValueError unless there is one a candidate."""
        return replace(self, scores={**self.scores, by: tuple(scores)})

    def _repr_html_(self) -> str:
        from bon.render import pool_html

        return pool_html(self)

    def with_failures(self, *failures: Failure) -> Pool:
        """This pool with failures added."""
        return replace(self, failures=(*self.failures, *failures))


def text_of(message: Message) -> str:
    """The text of a message: its content, or the text parts of a multi-part content; images are left out."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        texts = (part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text")
        return "\n".join(text for text in texts if isinstance(text, str))
    return ""


def as_messages(prompt: str | Sequence[Message]) -> tuple[Message, ...]:
    """A chat from what people type: a text becomes one user message, messages stay as they are."""
    if isinstance(prompt, str):
        return ({"role": "user", "content": prompt},)
    return tuple(prompt)
