"""All draws under way in the worker process: admitted to one batch, stepped together, and ended."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from bon.errors import Rejected
from bon.generate.embedded.live import Live, configured
from bon.generate.embedded.load import BLOCK, Model, plain
from bon.generate.embedded.prompts import Prompts, Read
from bon.generate.embedded.wire import Begun, Draw, Refused, Reply, Sampling

__all__ = ["Engine"]

_EDGES = 2 * BLOCK
"""Tokens of cache that an answer may leave unused in its first and its last block."""
_READING = Sampling(temperature=0.0)
_COMPANY = Sampling(temperature=0.0, ignore_eos=True)
_COMPANY_TOKENS = 512
"""How long the company lasts until it is renewed."""


class Engine:
    """Draws from one pipeline, all prompts' draws in one batch.

    A prompt is read once, by a request of one token, and its draws start when that is done, sharing what was read:
    asked for at once they would each read it themselves. A draw also waits until the most tokens it may need are free
    in the cache, first come, first served, so that none is thrown out half-way.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._pipeline = model.pipeline()
        self._prompts = Prompts(model.tokenizer)
        self._waiting: deque[Live] = deque()
        self._running: list[Live] = []
        self._reading: dict[bytes, tuple[Read, Any]] = {}
        self._read: set[bytes] = set()
        """Prompts that the last step has finished reading; a later one keeps only what running draws hold."""
        self._leaving = 0
        """Tokens of cache of draws cut short since the last step, which frees them."""
        self._company: Any = None
        self._requests = 0
        self._schemas: dict[str, str] = {}
        """JSON schemas that have been tried: what is wrong with each, nothing where it works."""

    @property
    def idle(self) -> bool:
        return not (self._waiting or self._running)

    def add(self, draw: Draw) -> Refused | None:
        """Take a draw on, or say why it cannot be made."""
        try:
            prompt = self._prompts.read(draw)
        except Rejected as error:
            return Refused(id=draw.id, message=str(error))
        if wrong := self._schemas.get(draw.sampling.json_schema or ""):
            return Refused(id=draw.id, message=wrong)
        context = self._model.context_length if prompt.whole else min(self._model.context_length, len(prompt))
        if prompt.length >= context:
            return Refused(
                id=draw.id,
                message=f"the prompt has {'' if prompt.whole else 'about '}{prompt.length} tokens, and the model's "
                f"context of {context} must hold it and the answer: shorten the prompt",
            )
        room = min(draw.sampling.max_tokens or context, context - prompt.length)
        self._waiting.append(Live(draw=draw, prompt=prompt, room=room, asked=time.monotonic()))
        return None

    def cancel(self, id: int) -> None:  # noqa: A002  # the wire's name
        """Drop a draw, if it is still under way."""
        self._waiting = deque(live for live in self._waiting if live.draw.id != id)
        for live in self._running:
            if live.draw.id == id:
                live.handle.cancel()
                self._leaving += live.cost
        self._running = [live for live in self._running if live.draw.id != id]

    def step(self) -> list[Reply]:
        """One token for every running draw; what there is to tell of them."""
        self._admit()
        if self._model.opened.deterministic:
            self._keep_company()
        try:
            self._pipeline.step()
        except RuntimeError as error:
            return self._recover(error)
        now, self._leaving = time.monotonic(), 0
        refused = [live for live in self._running if live.ignored()]
        for live in self._running:
            live.read(now)
        begun: list[Reply] = [Begun(id=live.draw.id) for live in self._running if live.first_token == now]
        self._schemas.update({live.draw.sampling.json_schema or "": "" for live in self._running if live.first_token})
        telling = [live for live in self._running if live.wants_text(now)]
        replies = [reply for live, texts in self._texts(telling) for reply in live.tell(texts, now)]
        self._leaving = sum(live.cost for live in telling if live.finished)
        self._running = [live for live in self._running if not live.finished and live not in refused]
        self._read = {key for key, (_, handle) in self._reading.items() if handle.get_status().name != "RUNNING"}
        self._reading = {key: reading for key, reading in self._reading.items() if key not in self._read}
        return begun + replies + [_no_room(live) for live in refused]

    def _texts(self, lives: Sequence[Live]) -> list[tuple[Live, list[str]]]:
        """The text of each output of each draw: the detokenizer is asked once for all of them."""
        ids = [output.ids for live in lives for output in live.outputs]
        texts = iter(self._model.tokenizer.decode(ids) if ids else ())
        return [(live, [live.prompt.opening + next(texts) for _ in live.outputs]) for live in lives]

    def _on_trial(self) -> str | None:
        """The JSON schema of a running draw that has not given a token yet; there is never more than one."""
        schemas = (live.draw.sampling.json_schema for live in self._running)
        return next((schema for schema in schemas if schema is not None and schema not in self._schemas), None)

    def _admit(self) -> None:
        """Start those who wait, in their order, as far as the cache reaches."""
        sharing = not self._model.opened.deterministic
        held = {live.prompt.key for live in self._running} if sharing else set()
        free = self._model.opened.cache_tokens - self._held()
        for live in tuple(self._waiting):
            key = live.prompt.key
            if key in self._reading or self._must_wait(live.draw.sampling.json_schema):
                continue
            reads = sharing and key not in held | self._read
            cost = (0 if reads else live.cost + _EDGES) + (0 if key in held else len(live.prompt))
            if cost > free and (self._running or self._reading):
                break
            free -= cost
            if reads:
                self._reading[key] = live.prompt, self._request(live.prompt.tokens, _READING, 1)
                continue
            self._waiting.remove(live)
            self._start(live)
            if sharing:
                held.add(key)

    def _must_wait(self, schema: str | None) -> bool:
        """Whether another schema is on trial: were both in one step, nobody could say which of them broke it."""
        return schema is not None and schema not in self._schemas and self._on_trial() not in (None, schema)

    def _held(self) -> int:
        """Tokens of cache that those under way may come to need."""
        answers = self._leaving + sum(live.cost + _EDGES for live in self._running)
        if self._model.opened.deterministic:
            return answers + sum(len(live.prompt) for live in self._running) + _COMPANY_TOKENS
        prompts = {live.prompt.key: len(live.prompt) for live in self._running}
        prompts.update({key: len(prompt) for key, (prompt, _) in self._reading.items()})
        return answers + sum(prompts.values())

    def _start(self, live: Live) -> None:
        live.handle = self._request(live.prompt.tokens, live.draw.sampling, live.room)
        self._running.append(live)

    def _request(self, tokens: Any, sampling: Sampling, room: int) -> Any:
        own = self._pipeline.get_config()
        config = configured(sampling, room=room, eos=own.eos_token_id, stop_ids=set(own.stop_token_ids))
        self._requests += 1
        return self._pipeline.add_request(self._requests, tokens, config)

    def _keep_company(self) -> None:
        """See to it that no draw is ever alone in the batch.

        Matrix products of one row take another path through the library than those of more rows, which all round
        alike: a draw that is never alone has the same bits whatever the others are.
        """
        if self._company is None or self._company.get_status().name != "RUNNING":
            tokens = self._model.tokenizer.encode("a", add_special_tokens=False).input_ids
            self._company = self._request(tokens, _COMPANY, _COMPANY_TOKENS)

    def _recover(self, error: RuntimeError) -> list[Reply]:
        """Begin again with a new pipeline, without the draws that broke the old one: a failed step cannot be resumed.

        What breaks a step is a JSON schema that the library cannot read; any other error ends the worker.
        """
        suspect = self._on_trial()
        if suspect is None:
            raise error
        wrong = f"the JSON schema cannot be used: {plain(error)}"
        self._schemas[suspect] = wrong
        for live in self._running:
            live.restart()
        others = [*self._running, *self._waiting]
        self._running, self._reading, self._read = [], {}, set()
        self._company = self._pipeline = None  # the old pipeline's memory goes first
        self._pipeline = self._model.pipeline()
        self._waiting = deque(live for live in others if live.draw.sampling.json_schema != suspect)
        return [Refused(id=live.draw.id, message=wrong) for live in others if live not in self._waiting]


def _no_room(live: Live) -> Refused:
    needed = live.cost + len(live.prompt)
    return Refused(
        id=live.draw.id,
        message=f"the draw needs up to {needed} tokens of cache, more than there are: raise cache_tokens",
    )
