"""In which manner an endpoint lets itself be asked for verdicts: found out by asking, from the most to the least."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from bon.errors import Rejected
from bon.types import Candidate, Draw, Failure

__all__ = ["Manner", "Manners"]

_TOP = 20
"""Log-probabilities a token: what endpoints give at the most."""


@dataclass(frozen=True, slots=True)
class Manner:
    """What is asked of a judge beyond words: form of the answer, and log-probabilities."""

    format: str | None
    """Of `response_format`; None leaves it out."""
    logprobs: bool

    def fields(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {"logprobs": True, "top_logprobs": _TOP} if self.logprobs else {}
        if self.format == "json_schema":
            named = {"name": "verdict", "schema": schema, "strict": True}
            fields["response_format"] = {"type": "json_schema", "json_schema": named}
        elif self.format is not None:
            fields["response_format"] = {"type": self.format}
        return fields


_Ask: TypeAlias = Callable[[Manner], Awaitable[Draw]]
"""Asks one question in a manner."""


class Manners:
    """What one endpoint takes; `structured` is what its generator says of it, as in `protocols.Generator`.

    An endpoint that refuses a request is asked for less: without log-probabilities, then with `json_object`, then
    without any `response_format`; what it takes is remembered. One question finds that out while the others wait, and
    asks for the more once again before it settles on less, for a refusal may be one in passing. Where the endpoint
    only fails nothing is found out, and nobody waits.
    """

    def __init__(self, *, structured: bool | None) -> None:
        from bon.transport.slots import Slots

        self._forms: tuple[str | None, ...] = ("json_schema", "json_object", None)
        if structured is not None:
            self._forms = ("json_schema",) if structured else (None,)
        self._finding = Slots(1)
        """For the one who finds out what the endpoint takes."""
        self._failing = False
        """Whether the last one who wanted to find out got neither an answer nor a refusal."""
        self._settled: dict[bool, Manner] = {}
        """With and without log-probabilities: what the endpoint has taken."""

    async def drawn(self, logprobs: bool, ask: _Ask) -> Draw:
        """The judge's answer, asked for in the fullest manner that the endpoint takes."""
        if len(self._open(logprobs)) > 1:
            async with self._finding:
                if len(self._open(logprobs)) > 1 and not self._failing:
                    return await self._found(logprobs, ask)
        fullest, *lesser = self._open(logprobs)
        draw = await ask(fullest)
        if lesser and _refused(draw):
            async with self._finding:
                return await self._found(logprobs, ask)
        if lesser and isinstance(draw, Candidate):
            self._settled[logprobs] = fullest
        return draw

    async def _found(self, logprobs: bool, ask: _Ask) -> Draw:
        """The judge's answer; the most that it may be asked for is found out by asking, from the most to the least."""
        refusals: dict[Manner, Draw] = {}
        for manner in self._open(logprobs):
            draw = await ask(manner)
            if not _refused(draw):
                break
            refusals[manner] = draw
        else:
            return next(iter(refusals.values()))  # it is the question that is refused
        for fuller in refusals if isinstance(draw, Candidate) else ():
            again = await ask(fuller)
            if not _refused(again):
                manner, draw = fuller, again
                break
        self._failing = isinstance(draw, Failure)
        if not self._failing:
            self._settled[logprobs] = manner
        return draw

    def _open(self, logprobs: bool) -> list[Manner]:
        """From the most that can be asked for to the least; only that which was taken before, if one was."""
        if logprobs in self._settled:
            return [self._settled[logprobs]]
        return list(dict.fromkeys(Manner(form, wanted) for form in self._forms for wanted in (logprobs, False)))


def _refused(draw: Draw) -> bool:
    """Whether the endpoint did not take the request; another one it may take."""
    return isinstance(draw, Failure) and draw.error == Rejected.__name__
