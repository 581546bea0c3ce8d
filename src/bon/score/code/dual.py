"""Programs judged by tests that a model wrote: shares of them, or the agreement of programs and tests (CodeT)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bon.errors import ScoreError
from bon.protocols import Generator
from bon.sandbox import Limits, Sandbox, Tests, Verdict
from bon.score.code.cases import entry_point_of, stub_of, tests_of
from bon.score.code.generated import draw_tests, question
from bon.score.code.programs import program_of
from bon.score.code.verifier import scored
from bon.types import Pool, Prompt, Score

__all__ = ["GeneratedTests", "agreements"]


class GeneratedTests:
    """Scores by tests that are drawn from a generator, since the prompt has none.

    The value is the share of the tests that a program passes; with `dual` it is dual agreement (Chen et al. 2022,
    "CodeT"): solutions that pass exactly the same tests form a set, and each scores the number of solutions in its set
    times the number of tests that they pass. Wrong tests fail everybody who is right, and right solutions agree. All
    candidates get the same tests: `draws` answers of the generator, at most `tests` of them. A candidate without a
    program is 0 with "unparsed". The tokens of the tests stand on the first score.
    """

    pointwise = False

    def __init__(
        self,
        generator: Generator,
        *,
        dual: bool = False,
        draws: int = 4,
        tests: int = 40,
        limits: Limits | None = None,
        sandbox: Sandbox | None = None,
        name: str | None = None,
    ) -> None:
        self.name = name or ("dual" if dual else "code")
        self.generator = generator
        self.dual = dual
        self.draws = draws
        self.tests = tests
        self._sandbox = Sandbox(limits=limits) if sandbox is None else sandbox
        self._owned = sandbox is None

    def question(self, prompt: Prompt) -> Prompt:
        """What the generator is asked, `draws` times a pool. Raises `ScoreError` where the prompt names no function."""
        return question(prompt)

    async def __call__(self, pool: Pool) -> Sequence[Score]:
        if not pool.candidates:
            return []
        try:
            drawn = await draw_tests(self.generator, pool.prompt, draws=self.draws, most=self.tests)
        except ScoreError as error:
            return [Score.missing(str(error))] * len(pool)
        verdicts = await self._run(pool, tests_of(pool.prompt, drawn.tests, check=""))
        scores = [scored(verdict) if verdict else Score(value=0.0, reason="unparsed") for verdict in verdicts]
        if self.dual:
            said = {place: _passed(verdict) for place, verdict in enumerate(verdicts) if verdict and verdict.parts}
            agreed = agreements(said)
            scores = [_agreed(score, agreed.get(place), len(drawn.tests)) for place, score in enumerate(scores)]
        return [replace(scores[0], usage=drawn.usage, calls=drawn.calls), *scores[1:]]

    async def _run(self, pool: Pool, tests: Tests) -> list[Verdict | None]:
        stub, entry_point = stub_of(pool.prompt), entry_point_of(pool.prompt)

        async def one(text: str) -> Verdict | None:
            program = program_of(text, stub=stub, entry_point=entry_point)
            return None if program is None else await self._sandbox.acheck(program, tests)

        async with asyncio.TaskGroup() as group:
            runs = [group.create_task(one(candidate.text)) for candidate in pool.candidates]
        return [run.result() for run in runs]

    def close(self) -> None:
        """End every process that it started, and close the generator where that can be closed."""
        if self._owned:
            self._sandbox.close()
        close = getattr(self.generator, "close", None)
        if close is not None:
            close()


def agreements(passed: Mapping[int, frozenset[int]]) -> dict[int, tuple[int, int]]:
    """Of each solution: how many pass exactly the tests that it passes, itself among them; how many tests that is."""
    sets = Counter(passed.values())
    return {place: (sets[tests], len(tests)) for place, tests in passed.items()}


def _passed(verdict: Verdict) -> frozenset[int]:
    return frozenset(number for number, held in enumerate(verdict.parts) if held)


def _agreed(score: Score, agreed: tuple[int, int] | None, total: int) -> Score:
    if score.value is None or agreed is None:
        return score
    solutions, tests = agreed
    return Score(
        value=float(solutions * tests),
        reason=f"{solutions} solutions pass the same {tests} of {total} tests",
        parts={"solutions": float(solutions), "tests": float(tests)},
        seconds=score.seconds,
    )
