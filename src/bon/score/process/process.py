"""The scorer `prm:`: a process reward model on this machine that scores every step of a solution in one reading."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from bon.errors import ModelError, ScoreError, UsageError
from bon.models.resident import Resident
from bon.score.process.aggregate import AGGREGATES, THRESHOLD, aggregate, parts_of
from bon.score.process.formats import Critic, format_of, named_format
from bon.score.process.steps import Splitter, splitter, steps_of
from bon.score.reward.chosen import Chosen, Opened, say_on_stderr
from bon.score.reward.family import Options
from bon.types import Candidate, Pool, Prompt, Score, Usage

if TYPE_CHECKING:
    from bon.models.reading import Row

__all__ = ["Marking", "ProcessReward"]

Item: TypeAlias = tuple[Prompt, Candidate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marking:
    """How a solution becomes steps, and their scores one number."""

    steps: str | Splitter | None = None
    """How a text is cut: a name of `SPLITTERS`, or a function of yours; None: as the model's format has it."""
    aggregate: str = "min"
    """What the value is: a name of `AGGREGATES`."""
    threshold: float = THRESHOLD
    """A step below it is wrong."""

    def __post_init__(self) -> None:
        if self.steps is not None:
            splitter(self.steps)
        if self.aggregate not in AGGREGATES:
            raise UsageError(f"aggregate is {self.aggregate!r}; it must be one of {', '.join(AGGREGATES)}")
        if not math.isfinite(self.threshold):
            raise UsageError(f"threshold is {self.threshold!r}; it must be a number, by which steps are right or wrong")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What came of one solution."""

    steps: tuple[float, ...] = ()
    reason: str = ""
    """Why there are no scores."""
    tokens: int = 0


class ProcessReward:
    """Scores the steps of solutions with a process reward model: a folder, an id that can be fetched, or a short name.

    A solution is cut into steps, none of which is ever dropped, and read once; what the solutions of a prompt share is
    read once for all. `Score.steps` is how likely each step is right, in [0, 1]; `value` what `marking` makes of them.
    The parts are all aggregates, and `first_error`: the first step below the threshold, from 0; -1 for none. Where
    the prompt's metadata names the steps of the solution (ProcessBench), they are those.

    Nothing is loaded before the first score. A solution that is too long, or has no text, has no score and a reason:
    nothing is cut off. `tokens` bounds how many tokens are read at a time, and with them the memory. Raises ModelError
    from the first call if there is no such model, MissingExtra without torch.
    """

    pointwise = True

    def __init__(
        self,
        source: str | Path,
        *,
        name: str | None = None,
        family: str | None = None,
        options: Options | None = None,
        marking: Marking | None = None,
        tokens: int | None = None,
        say: Callable[[str], None] = say_on_stderr,
    ) -> None:
        family = named_format(family).name if family is not None else None
        self._chosen = Chosen("prm", source, name=name, family=family, options=options, tokens=tokens, say=say)
        self.name, self.source = self._chosen.name, self._chosen.source
        self.marking = marking or Marking()
        self._critic: Critic | None = None
        self._model: Resident[Opened[Critic], Item, _Outcome] = Resident(self._load, self._work, name=self.name)

    @property
    def identity(self) -> dict[str, Any] | None:
        """What tells its scores from those of other models; None with a splitter of yours: nobody knows its code."""
        if callable(self.marking.steps):
            return None
        return {**asdict(self.marking), **self._chosen.identity}

    async def __call__(self, pool: Pool) -> Sequence[Score]:
        self._chosen.warn(pool.prompt)
        began = time.monotonic()
        outcomes = await self._model([(pool.prompt, candidate) for candidate in pool.candidates])
        seconds = time.monotonic() - began
        return [self._score(outcome, seconds) for outcome in outcomes]

    async def tokens(self, pool: Pool) -> list[list[int]]:
        """The token ids that it reads of each candidate with its prompt; none where a candidate cannot be read.

        Loads the model.
        """
        if self._critic is None:
            await self(pool)  # which loads it, in the one thread that does
        if self._critic is None:
            return []
        rows = [self._row(self._critic, pool.prompt, candidate) for candidate in pool.candidates]
        return [[] if isinstance(row, _Outcome) else list(row.ids) for row in rows]

    @property
    def limit(self) -> int | None:
        """Most tokens of a row, once the model is loaded; None also where nothing sets a limit."""
        return None if self._critic is None else self._critic.limit

    def close(self) -> None:
        """Let go of the model: its memory goes back to the device and to the system. Closing twice is fine."""
        self._critic = None  # before the memory is given back, which this would hold
        self._model.close()
        self._critic = None  # it may have been loading

    def _load(self) -> Opened[Critic]:
        """Runs in the model's thread."""
        checkpoint = self._chosen.checkpoint()
        opened = self._chosen.opened(checkpoint, format_of(checkpoint, self._chosen.family))
        self._critic = opened.model
        return opened

    def _work(self, opened: Opened[Critic], items: Sequence[Item]) -> list[_Outcome]:
        """Encode, read and judge. Runs in the model's thread."""
        rows = [self._row(opened.model, *item) for item in items]
        states = iter(opened.reader.read([row for row in rows if not isinstance(row, _Outcome)]))
        return [
            row
            if isinstance(row, _Outcome)
            else _Outcome(steps=tuple(opened.model.judge(next(states))), tokens=len(row.ids))
            for row in rows
        ]

    def _row(self, critic: Critic, prompt: Prompt, candidate: Candidate) -> Row | _Outcome:
        if not candidate.text.strip():
            return _Outcome(
                reason="tool calls without text" if candidate.tool_calls else "an empty answer has no steps"
            )
        try:
            steps = steps_of(prompt, candidate, self.marking.steps or critic.steps)
            row = critic.encode(prompt.messages, steps)
        except (ScoreError, UsageError) as error:
            return _Outcome(reason=f"{type(error).__name__}: {error}")
        if len(row.at) != len(steps):
            raise ModelError(f"{self.name}: of {len(steps)} steps {len(row.at)} can be read: a step would be lost")
        if critic.limit is not None and len(row.ids) > critic.limit:
            return _Outcome(
                reason=f"{len(row.ids)} tokens (steps: {len(steps)}), and {self.name} reads {critic.limit} at most: "
                "ask for shorter answers (max_tokens), or take a model that reads more"
            )
        return row

    def _score(self, outcome: _Outcome, seconds: float) -> Score:
        usage = Usage(prompt_tokens=outcome.tokens) if outcome.tokens else None
        steps, reason = outcome.steps, outcome.reason
        if steps and not all(map(math.isfinite, steps)):
            reason = "the model gave a score that is no number: its dtype may be too narrow (dtype=float32)"
        if reason:
            return Score(value=None, reason=reason, usage=usage, seconds=seconds, calls=0)
        return Score(
            value=aggregate(steps, self.marking.aggregate),
            parts=parts_of(steps, self.marking.threshold),
            steps=steps,
            usage=usage,
            seconds=seconds,
            calls=0,
        )
