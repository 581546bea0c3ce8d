"""The scorer `math`: whether a candidate's answer is the prompt's reference. An unreadable answer is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import ClassVar

from bon import answers
from bon.errors import UsageError
from bon.score.lift import pointwise
from bon.score.maths import plain
from bon.score.maths.messages import LONGEST, Question
from bon.score.maths.workers import Workers, shared
from bon.types import Candidate, Pool, Prompt, Score

__all__ = ["SECONDS", "MathVerifier", "can_read_formulas"]

SECONDS = 5.0
"""The time limit of a comparison."""


class MathVerifier:
    """Whether the answer means the same as the prompt's reference: 1 or 0; 0 with "unparsed" if it cannot be read.

    The answer is what the extractor read (`Candidate.answer`), else it is read from the text. Numbers are compared
    exactly, choices and words by what they are. Formulas (LaTeX, sets, intervals, matrices, equations) are compared by
    math-verify in processes of their own, at most `seconds` each; needs the extra `math`. There is no score without a
    reference, for one that cannot be read, when the time is up, and for formulas without the extra.
    """

    name: ClassVar[str] = "math"
    pointwise: ClassVar[bool] = True
    instant: ClassVar[bool] = False

    def __init__(self, *, seconds: float = SECONDS, workers: Workers | None = None) -> None:
        if not seconds > 0:
            raise UsageError(f"seconds is {seconds!r}; a comparison needs some time: {SECONDS:g}")
        self.seconds = seconds
        self._workers = workers
        self._scored = pointwise(self._score, name=self.name)

    async def __call__(self, pool: Pool) -> Sequence[Score]:
        return await self._scored(pool)

    async def _score(self, prompt: Prompt, candidate: Candidate) -> Score:
        if prompt.reference is None:
            return Score.missing("no reference")
        reference = plain.stated(prompt.reference)
        if reference is None:
            return Score.missing("the reference is empty")
        if candidate.answer is not None:
            found = answers.representative(candidate.answer)
        else:
            found = plain.read(candidate.text, reference)
        if found is None:
            return Score(value=0.0, reason="unparsed")
        same = plain.decided(found, reference)
        return await self._compared(found, reference) if same is None else _verdict(found, reference, same=same)

    async def _compared(self, found: str, reference: str) -> Score:
        """The score of a formula that is not the reference's string."""
        if max(len(found), len(reference)) > LONGEST:
            return Score(value=0.0, reason=f"unparsed: longer than {LONGEST} characters")
        if not can_read_formulas():
            return Score.missing(
                f"{found!r:.80} and {reference!r:.80} cannot be compared: formulas need pip install 'bon[math]'"
            )
        workers = shared() if self._workers is None else self._workers
        reply = await workers.ask(Question(answer=found, reference=reference, seconds=self.seconds))
        if reply.verdict == "unreadable":
            return Score(value=0.0, reason=f"unparsed: {found:.80}")
        if reply.verdict == "unreadable reference":
            return Score.missing(f"the reference {reference!r:.80} cannot be read as a formula")
        if reply.verdict == "broken":
            return Score.missing(f"{found!r:.80} and {reference!r:.80} could not be compared: {reply.text}")
        return _verdict(found, reference, same=reply.verdict == "same")


def can_read_formulas() -> bool:
    """Whether the extra `math` is installed."""
    return find_spec("math_verify") is not None


def _verdict(found: str, reference: str, *, same: bool) -> Score:
    return Score(value=float(same), reason=f"{found:.80} {'is' if same else 'is not'} {reference:.80}")
