"""The scorer `rm:`: a reward model on this machine, loaded on first use, that reads many candidates at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from bon.errors import ModelError, ScoreError
from bon.models.resident import Resident
from bon.score.reward.chosen import Chosen, Opened, say_on_stderr
from bon.score.reward.families import checkpoint_of, family_of, named_family
from bon.score.reward.family import Judge, Options, Verdict
from bon.score.reward.pairs import pair_scores
from bon.types import Message, Pool, Prompt, Score, Usage

if TYPE_CHECKING:
    from bon.models.reading import Row

__all__ = ["RewardModel"]

Item: TypeAlias = tuple[tuple[Message, ...], tuple[str, ...]]
"""A chat, and the answer or the two answers to be judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What came of one item."""

    verdict: Verdict | None = None
    reason: str = ""
    """Why there is no verdict."""
    tokens: int = 0


class RewardModel:
    """Scores candidates with a reward model: a folder, an id that can be fetched, or a short name of one.

    Nothing is loaded before the first score is asked for; then everything heavy happens in one thread of its own,
    where whatever candidates wait at a time, of whichever prompts, are read together: what they share is read once.
    `tokens` bounds how many are read at a time, and with them the memory.

    `value` is the model's own number, whatever its scale; `parts` its objectives or labels where it has several;
    `usage` the tokens that were read. A candidate that is too long, or that only calls tools, has no score and a
    reason. Raises ModelError from the first call if there is no such model, or no room for it; MissingExtra without
    torch.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        name: str | None = None,
        family: str | None = None,
        options: Options | None = None,
        tokens: int | None = None,
        say: Callable[[str], None] = say_on_stderr,
    ) -> None:
        family = named_family(family).name if family is not None else None
        self._chosen = Chosen("rm", source, name=name, family=family, options=options, tokens=tokens, say=say)
        self.name, self.source = self._chosen.name, self._chosen.source
        self._pairwise: bool | None = None
        self._judge: Judge | None = None
        self._model: Resident[Opened[Judge], Item, _Outcome] = Resident(self._load, self._work, name=self.name)

    @property
    def pointwise(self) -> bool:
        """Whether a candidate's score depends on that candidate alone: not where two are compared, as PairRM does."""
        if self._pairwise is None:
            self._pairwise = self._compares()
        return not self._pairwise

    @property
    def identity(self) -> dict[str, Any]:
        """What tells its scores from those of other models; see `score.cached`."""
        return self._chosen.identity

    async def __call__(self, pool: Pool) -> Sequence[Score]:
        self._chosen.warn(pool.prompt)
        began = time.monotonic()
        texts = {i: c.text for i, c in enumerate(pool.candidates) if c.text or not c.tool_calls}
        asked = self._items(pool.prompt, texts)
        outcomes = dict(zip(asked, await self._model(list(asked.values())), strict=True))
        seconds = time.monotonic() - began
        if self.pointwise:
            scores = {i: _score(outcomes[i,], seconds) for i in texts}
        else:
            scores = pair_scores({pair: _compared(outcome) for pair, outcome in outcomes.items()}, list(texts))
            scores = {i: replace(score, seconds=seconds) for i, score in scores.items()}
        return [scores.get(i, Score.missing("tool calls without text")) for i in range(len(pool))]

    async def tokens(self, pool: Pool) -> list[list[int]] | None:
        """The token ids that it reads of each candidate with its prompt; None where it compares two answers.

        Loads the model. Raises ScoreError for a chat that cannot be read.
        """
        if self._judge is None:
            await self(pool)  # which loads it, in the one thread that does
        judge = self._judge
        if judge is None or judge.pairwise:
            return None
        return [list(judge.encode(pool.prompt.messages, (candidate.text,)).ids) for candidate in pool.candidates]

    @property
    def limit(self) -> int | None:
        """Most tokens of a row, once the model is loaded; None also where nothing sets a limit."""
        return None if self._judge is None else self._judge.limit

    def close(self) -> None:
        """Let go of the model: its memory goes back to the device and to the system. Closing twice is fine."""
        self._judge = None  # before the memory is given back, which this would hold
        self._model.close()
        self._judge = None  # it may have been loading

    def _compares(self) -> bool:
        chosen = self._chosen
        named = chosen.family or (chosen.known.family if chosen.known else None)
        if named is not None:
            return named_family(named).pairwise
        if not chosen.is_folder:
            return False  # what is not here yet is not fetched to find out; family=pairrm says it
        try:
            return family_of(checkpoint_of(self.source)).pairwise
        except (ModelError, ImportError):
            return False  # said where it is loaded

    def _items(self, prompt: Prompt, texts: dict[int, str]) -> dict[tuple[int, ...], Item]:
        """What is to be judged: by the indices of the answers, one each or every ordered pair."""
        if self.pointwise:
            return {(i,): (prompt.messages, (text,)) for i, text in texts.items()}
        return {(i, j): (prompt.messages, (texts[i], texts[j])) for i in texts for j in texts if i != j}

    def _work(self, opened: Opened[Judge], items: Sequence[Item]) -> list[_Outcome]:
        """Encode, read and judge. Runs in the model's thread."""
        judge = opened.model
        if judge.pairwise and len(items[0][1]) == 1:
            reason = "the model compares answers, and was given one at a time: add family=pairrm to its spec"
            return [_Outcome(reason=reason)] * len(items)
        rows = [self._row(judge, item) for item in items]
        states = iter(opened.reader.read([row for row in rows if not isinstance(row, _Outcome)]))
        return [
            row if isinstance(row, _Outcome) else _Outcome(verdict=judge.judge(next(states)), tokens=len(row.ids))
            for row in rows
        ]

    def _row(self, judge: Judge, item: Item) -> Row | _Outcome:
        try:
            row = judge.encode(*item)
        except ScoreError as error:
            return _Outcome(reason=f"{type(error).__name__}: {error}")
        if judge.limit is not None and len(row.ids) > judge.limit:
            return _Outcome(
                reason=f"{len(row.ids)} tokens, and {self.name} reads {judge.limit} at most: "
                "shorten the chat, ask for shorter answers (max_tokens), or take a model that reads more"
            )
        return row

    def _load(self) -> Opened[Judge]:
        """Runs in the model's thread."""
        checkpoint = self._chosen.checkpoint()
        opened = self._chosen.opened(checkpoint, family_of(checkpoint, self._chosen.family))
        self._judge = opened.model
        return opened


def _score(outcome: _Outcome, seconds: float) -> Score:
    usage = Usage(prompt_tokens=outcome.tokens) if outcome.tokens else None
    verdict = outcome.verdict
    if verdict is None:
        return Score(value=None, reason=outcome.reason, usage=usage, seconds=seconds, calls=0)
    if not all(map(math.isfinite, (verdict.value, *verdict.parts.values()))):
        reason = f"the model gave {verdict.value}: its dtype may be too narrow (dtype=float32)"
        return Score(value=None, reason=reason, usage=usage, seconds=seconds, calls=0)
    return Score(value=verdict.value, parts=verdict.parts, usage=usage, seconds=seconds, calls=0)


def _compared(outcome: _Outcome) -> Score:
    return _score(outcome, 0.0)
