"""One draw under way in the worker: what it was asked, what its tokens are so far, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from typing import Any

from bon.generate.embedded.prompts import Read
from bon.generate.embedded.wire import Done, Draw, Grown, Reply, Sampling, Sequence

__all__ = ["Live", "Output", "configured"]

_GROW_EVERY = 0.05
"""Seconds between two `Grown` messages of a draw: as often as anybody reads."""
_BROKEN = "\ufffd"
"""What half a character decodes to; the rest of it comes with the next token."""


@dataclass(slots=True, kw_only=True, eq=False)
class Output:
    """One answer as it grows; `T` tokens so far."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Live:
    """A draw under way: one output, or all the beams once they are finished."""

    draw: Draw
    prompt: Read
    room: int
    """The most tokens it may answer with."""
    asked: float
    handle: Any = None
    outputs: list[Output] = field(default_factory=list)
    first_token: float | None = None
    sent: str = ""
    sent_at: float = 0.0

    @property
    def finished(self) -> bool:
        return bool(self.outputs) and all(output.finish for output in self.outputs)

    @property
    def cost(self) -> int:
        """The most tokens of cache its answer may take."""
        return self.room * self.draw.sampling.beams

    def restart(self) -> None:
        """Forget what was drawn, but not what was told."""
        self.handle, self.outputs = None, []

    def read(self, now: float) -> None:
        """Take what the pipeline has drawn since the last time."""
        if self.draw.sampling.beams > 1:
            # a group that is read before it is finished never finishes
            if not self._running():
                found = sorted(self.handle.read().values(), key=lambda output: -output.score)
                self.outputs = [_whole(output) for output in found]
        else:
            self.outputs = self.outputs or [Output()]
            while self.handle.can_read():
                for piece in self.handle.read().values():
                    _extend(self.outputs[0], piece)
        if self.first_token is None and any(output.ids for output in self.outputs):
            self.first_token = now

    def ignored(self) -> bool:
        """Whether the pipeline gave it up, for want of cache."""
        import openvino_genai as genai

        return bool(self.handle.get_status() == genai.GenerationStatus.IGNORED)

    def _running(self) -> bool:
        import openvino_genai as genai

        return bool(self.handle.get_status() == genai.GenerationStatus.RUNNING)

    def wants_text(self, now: float) -> bool:
        """Whether its text must be looked at now: to tell it, or to find a stop string in it."""
        due = self.draw.grow and now - self.sent_at >= _GROW_EVERY
        return bool(self.outputs) and bool(self.finished or self.draw.sampling.stop or due)

    def tell(self, texts: Many[str], now: float) -> Iterator[Reply]:
        """What there is to say, given the text of each output; a stop string ends the draw."""
        if stops := self.draw.sampling.stop:
            text, found = _cut(texts[0], stops)
            texts = [text]
            if found and not self.finished:
                self.handle.cancel()
            if found:
                self.outputs[0].finish = "stop"
        if self.draw.grow and (self.finished or now - self.sent_at >= _GROW_EVERY):
            yield from self._grown(texts[0], now)
        if self.finished:
            yield self._done(texts, now)

    def _grown(self, text: str, now: float) -> Iterator[Grown]:
        if not self.finished:
            text = text.rstrip(_BROKEN)
            text = text[: len(text) - _held_back(text, self.draw.sampling.stop)]
        if text.startswith(self.sent) and len(text) > len(self.sent):
            yield Grown(id=self.draw.id, text=text[len(self.sent) :])
            self.sent, self.sent_at = text, now

    def _done(self, texts: Many[str], now: float) -> Done:
        sequences = [
            Sequence(
                text=text,
                finish_reason=output.finish or "stop",
                token_ids=tuple(output.ids),
                logprobs=tuple(round(value, 6) for value in output.logprobs),
            )
            for output, text in zip(self.outputs, texts, strict=True)
        ]
        return Done(
            id=self.draw.id,
            sequences=tuple(sequences),
            prompt_tokens=len(self.prompt),
            first_token=(self.first_token or now) - self.asked,
            total=now - self.asked,
        )


def configured(sampling: Sampling, *, room: int, eos: int, stop_ids: set[int]) -> Any:
    """The pipeline's own form of a draw's sampling."""
    import openvino_genai as genai

    config = genai.GenerationConfig()
    config.apply_chat_template = False
    config.logprobs = 1
    config.max_new_tokens = room
    config.eos_token_id, config.stop_token_ids = eos, stop_ids
    config.ignore_eos = sampling.ignore_eos
    config.presence_penalty = sampling.presence_penalty
    config.frequency_penalty = sampling.frequency_penalty
    config.repetition_penalty = sampling.repetition_penalty
    if sampling.json_schema is not None:
        config.structured_output_config = genai.StructuredOutputConfig(json_schema=sampling.json_schema)
    if sampling.beams > 1:
        config.num_beams = config.num_return_sequences = sampling.beams
        config.num_beam_groups = sampling.beam_groups
        config.diversity_penalty = sampling.diversity_penalty
    elif sampling.temperature > 0:
        config.do_sample = True
        config.rng_seed = sampling.seed
        config.temperature = sampling.temperature
        config.top_p = sampling.top_p
        if sampling.top_k is not None:
            config.top_k = sampling.top_k
        if sampling.min_p is not None:
            config.min_p = sampling.min_p
    return config


def _extend(output: Output, piece: Any) -> None:
    output.ids.extend(piece.generated_ids)
    output.logprobs.extend(piece.generated_log_probs)
    output.finish = _finish(piece)


def _whole(piece: Any) -> Output:
    output = Output()
    _extend(output, piece)
    output.finish = output.finish or "stop"
    return output


def _finish(piece: Any) -> str | None:
    import openvino_genai as genai

    reason = genai.GenerationFinishReason
    return {reason.STOP: "stop", reason.LENGTH: "length"}.get(piece.finish_reason)


def _cut(text: str, stops: Many[str]) -> tuple[str, bool]:
    """The text up to the first stop string in it, and whether there was one."""
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return (text[: min(found)], True) if found else (text, False)


def _held_back(text: str, stops: Many[str]) -> int:
    """How many characters at the end may yet turn out to begin a stop string."""
    return max(
        (size for stop in stops for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])),
        default=0,
    )
