"""The extractor `math`: the answer of a text, in the standard form that equivalent answers share and so vote for."""

from __future__ import annotations

from bon import answers
from bon.errors import MissingExtra, ScoreError
from bon.score.maths import plain
from bon.score.maths.messages import LONGEST, Question, Reply
from bon.score.maths.verifier import SECONDS, can_read_formulas
from bon.score.maths.workers import Workers, shared

__all__ = ["MathExtractor"]


class MathExtractor:
    r"""Whatever answer there is, a formula in standard form: 1/2 and 0.5, x^2+1 and 1+x^2 are one answer.

    Equal strings mean the same; of answers that mean the same most, but not all, have equal strings. A formula that
    cannot be read, or not in `seconds`, stays as it is. Called, it blocks; `read` is the same for event loops. Needs
    the extra `math`: raises MissingExtra.
    """

    def __init__(self, *, seconds: float = SECONDS, workers: Workers | None = None) -> None:
        if not can_read_formulas():
            raise MissingExtra("math-verify", extra="math", needed_for="the extractor math")
        self.__name__ = "math"
        self.seconds = seconds
        self._workers = workers

    def __call__(self, text: str) -> str | None:
        found = answers.any(text)
        question = self._question(found)
        if question is None:
            return found and (plain.standard(found) or found)
        try:
            return _standard(found, self._asked().ask_blocking(question))
        except ScoreError:
            return found

    async def read(self, text: str) -> str | None:
        """The same without blocking; cancelled, it ends the work."""
        found = answers.any(text)
        question = self._question(found)
        if question is None:
            return found and (plain.standard(found) or found)
        try:
            return _standard(found, await self._asked().ask(question))
        except ScoreError:
            return found

    def _question(self, found: str | None) -> Question | None:
        """What is asked about an answer; None where nothing need, or can, be."""
        if found is None or len(found) > LONGEST or plain.standard(found) is not None:
            return None
        return Question(answer=found, seconds=self.seconds)

    def _asked(self) -> Workers:
        return shared() if self._workers is None else self._workers


def _standard(found: str | None, reply: Reply) -> str | None:
    """The form that a worker replied, as answers are written; what was found where it has none."""
    return answers.representative(reply.text) if reply.verdict == "form" else found
