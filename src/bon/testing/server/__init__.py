"""An OpenAI-compatible endpoint that goes wrong on purpose and keeps a ledger: for tests, in or out of the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from bon.testing.completions import Answer, as_events, as_reply, usage_of
from bon.testing.faults import Fault, Faults
from bon.testing.server.faulty import Faulty, Made

__all__ = ["Answers", "FaultServer"]

Answers: TypeAlias = Sequence[str | Answer] | Callable[[Mapping[str, Any], int], str | Answer]
"""The answers in order of the choices served, over and over; or a function of the request and the choice's number."""


class FaultServer(Faulty):
    """`async with FaultServer(answers=..., faults=...) as server:` listens on `server.url` of this machine.

    Serves /v1/chat/completions (with and without stream), /v1/models, and its ledger at /ledger. It honours `n`,
    max_tokens, logprobs, top_logprobs and stream_options unless a fault says otherwise; a token is a word. It bills an
    answer in full when it begins to write it. Nothing in it is random but what `faults` draw from their own seed.
    """

    def __init__(
        self,
        *,
        answers: Answers | None = None,
        faults: Faults = None,
        pace: float = 0.0,
        capacity: int | None = None,
        models: Sequence[str] = ("test-model",),
        port: int = 0,
    ) -> None:
        super().__init__(
            self._chat,
            paths=["/v1/chat/completions"],
            gets={"/v1/models": self._list_models},
            faults=faults,
            pace=pace,
            capacity=capacity,
            port=port,
        )
        self._answers = answers if answers is not None else lambda _, number: f"answer {number}"
        self._models = tuple(models)
        self._served = 0

    @property
    def url(self) -> str:
        """The base URL, ending in /v1."""
        return f"{self.root}/v1"

    def _chat(self, _: str, body: Mapping[str, Any], fault: Fault) -> Made:
        answers, streams = self._choices(body, fault), bool(body.get("stream"))
        pieces = as_events(body, answers) if streams else [as_reply(body, answers)]
        return Made(pieces=pieces, usage=usage_of(body, answers), streams=streams)

    def _choices(self, body: Mapping[str, Any], fault: Fault) -> list[Answer]:
        asked = body.get("n") or 1
        answers = []
        for _ in range(fault.choices(asked) if fault.choices else asked):
            number, self._served = self._served, self._served + 1
            said = (
                self._answers(body, number) if callable(self._answers) else self._answers[number % len(self._answers)]
            )
            answer = said if isinstance(said, Answer) else Answer(text=said)
            answer = answer.limited(body.get("max_tokens") or body.get("max_completion_tokens"))
            answers.append(replace(answer, finish_reason=None) if fault.no_finish else answer)
        return answers

    def _list_models(self) -> Mapping[str, Any]:
        return {"object": "list", "data": [{"id": model, "object": "model"} for model in self._models]}
