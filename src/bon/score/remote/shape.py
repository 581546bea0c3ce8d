"""What it takes to speak one shape of scores over HTTP: a path, what is sent, and how the answer is read; pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bon.errors import UsageError
from bon.score.process.aggregate import AGGREGATES
from bon.score.process.steps import splitter, steps_of
from bon.types import Candidate, Message, Prompt, Score, Usage, text_of

__all__ = ["TOGETHER", "Ask", "Numbers", "Shape", "Terms", "beside_text", "chat", "question"]

Numbers: TypeAlias = "float | Sequence[float | Sequence[float | None] | None] | None"
"""What an endpoint says of one candidate: a number, one a class, or a row of them a token or step; None: nothing."""

TOGETHER = 32
"""Texts in one request: enough to fill a batch of an engine, few enough that one which fails costs little."""

_ANSWER = "{answer}"
_PROMPT = "{prompt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the user of an endpoint says of the model behind it; nothing said: a reward model of one number."""

    model: str | None = None
    """The name it is served by; None: whatever is served."""
    output: int | None = None
    """Which of several numbers is the score, from 0; None: there is one only."""
    activation: bool | None = None
    """Whether the numbers come through the model's sigmoid or softmax. None: not for a reward, which is what goes into
    it; but for the scores of steps, which are probabilities."""
    system: str | None = None
    """The system message, in the place of the conversation's own."""
    separator: str | None = None
    """What stands behind each step, for a process reward model that the server pools there."""
    steps: str = "auto"
    """How a solution is cut into steps, where the prompt's metadata does not name them; see `score.process.steps`."""
    aggregate: str = "min"
    """What makes one number of the scores of steps."""
    labels: tuple[int, ...] | None = None
    """Ids of the tokens that a language model's logits are wanted of; None: it has a head of its own."""
    template: str = "{prompt}\n\n{answer}"
    """The text that is scored, where the server is given no conversation and no pair."""

    def __post_init__(self) -> None:
        found = [self.template.find(place) for place in (_PROMPT, _ANSWER)]
        if not 0 <= found[0] < found[1] or self.template.count(_ANSWER) > 1:
            raise UsageError(
                f"template is {self.template!r:.200}; it must hold {_PROMPT} and, behind it, {_ANSWER} once"
            )
        if self.output is not None and self.output < 0:
            raise UsageError(f"output is {self.output!r}; it is the number of a class, from 0")
        if self.aggregate not in AGGREGATES:
            raise UsageError(f"aggregate is {self.aggregate!r}; it must be one of {', '.join(AGGREGATES)}")
        splitter(self.steps)

    @property
    def activated(self) -> bool:
        """Whether the numbers are to come through sigmoid or softmax."""
        return self.separator is not None if self.activation is None else self.activation

    @property
    def named(self) -> dict[str, str]:
        """The request field that says which model; none where whatever is served is meant."""
        return {} if self.model is None else {"model": self.model}

    def cut(self, prompt: Prompt, candidate: Candidate) -> tuple[str, ...]:
        """The steps of a solution."""
        return steps_of(prompt, candidate, self.steps)

    def around(self, prompt: Prompt) -> tuple[str, str]:
        """What the template puts before an answer to a prompt, and what behind it."""
        before, after = self.template.split(_ANSWER)
        return before.replace(_PROMPT, question(prompt)), after


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What one request is about."""

    prompt: Prompt
    candidates: Sequence[Candidate]
    terms: Terms
    ids: Sequence[Sequence[int]] = ()
    """The tokens of each candidate with its prompt, where the shape wants them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One way of asking an endpoint for scores."""

    path: str
    """Below the server's root, or below the URL as given where it is our own."""
    body: Callable[[Ask], Mapping[str, Any]]
    read: Callable[[Any, Ask], Sequence[Numbers | Score]]
    """From the answer's JSON to what it says of each candidate, in the order asked. Raises ValueError for an answer
    that does not say one thing of each."""
    usage: Callable[[Any], Usage | None]
    """What an answer says it took, also where it can be used for nothing else; None: it does not say."""
    most: int = 1
    """How many candidates go into one request."""
    tokenizes: bool = False
    """Whether the server's /tokenize tells which tokens it reads of a conversation."""
    ids: bool = False
    """Whether it is given these tokens."""
    rooted: bool = True
    """Whether it lies at the server's root, so that a trailing /v1 of the URL is not part of its path."""
    text: bool = False
    """Whether nothing but text gets through: a chat with pictures would be judged without them."""
    terms: tuple[str, ...] = ("model",)
    """Which of the terms mean something to it."""


def chat(ask: Ask, candidate: Candidate) -> list[Message]:
    """The conversation that a reward model judges: the prompt's messages, kept whole, and the candidate as the answer.

    An answer that the prompt has begun itself is continued. Steps are put together with the separator behind each.
    """
    terms, messages = ask.terms, list(ask.prompt.messages)
    text = candidate.text
    if terms.separator is not None:
        text = "".join(f"{step.strip()}{terms.separator}" for step in terms.cut(ask.prompt, candidate))
    if terms.system is not None:
        own = [message for message in messages if message.get("role") != "system"]
        messages = [{"role": "system", "content": terms.system}, *own]
    answer: dict[str, Any] = {"role": "assistant", "content": text}
    if messages and messages[-1].get("role") == "assistant":
        answer["content"] = f"{text_of(messages.pop())}{text}"
    if candidate.tool_calls:
        answer["tool_calls"] = list(candidate.tool_calls)
    return [*messages, answer]


def beside_text(prompt: Prompt) -> list[str]:
    """What kinds of content a prompt holds that are no text: image_url, input_audio ..."""
    contents = [message.get("content") for message in prompt.messages]
    parts = [part for content in contents if isinstance(content, list | tuple) for part in content]
    kinds = {str(part.get("type")) if isinstance(part, Mapping) else type(part).__name__ for part in parts}
    return sorted(kinds - {"text"})


def question(prompt: Prompt) -> str:
    """A prompt as one text, for models that read a pair of texts: a lone message as it is, several with their roles."""
    if len(prompt.messages) == 1:
        return text_of(prompt.messages[0])
    return "\n\n".join(f"{message.get('role', 'user')}: {_words(message)}" for message in prompt.messages)


def _words(message: Message) -> str:
    calls = message.get("tool_calls")
    return "\n".join(filter(None, (text_of(message), json.dumps(calls, default=str) if calls else "")))
