"""The scorer `code`: the share of a prompt's tests that a candidate's program passes; it runs in a sandbox only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Literal, TypeAlias

from bon.concurrency import as_landed
from bon.errors import DataError
from bon.sandbox import Limits, Output, Sandbox, Tests, Verdict
from bon.sandbox.choosing import pythons
from bon.score.code.cases import Cases, Script, cases_of, entry_point_of, same_text, stub_of
from bon.score.code.doctests import examples_of
from bon.score.code.programs import program_of
from bon.score.lift import pointwise
from bon.types import Candidate, Pool, Prompt, Score

__all__ = ["Code", "Source", "scored"]

_VERSION = 1
"""Higher whenever the same program under the same tests may come to another score."""

Source: TypeAlias = Literal["reference", "prompt"]
"""Which tests: those that come with the prompt's reference, or the examples that the prompt itself shows."""


class Code:
    """The share of tests passed, each test in `parts`: 1 for a right program, 0 with "unparsed" where there is none.

    With `tests="reference"` the tests are those of the prompt's metadata (`test`, `tests` or `test_list`, with
    `entry_point`), as `bon convert humaneval` and `mbpp` have them; with `tests="prompt"` they are the examples that
    the prompt shows, which a model could read as well: a first filter, not the truth. With `whole` a program that
    fails any test is 0, as pass@k has it. The reason names the verdict:
    fail, timeout, memory, output or crash, and the first test that failed. What is a failure of ours (the sandbox, or
    tests that cannot be run) leaves the candidate without a score. Programs run in sandboxes, as many at a time as
    there are cores; where nothing confines them they are not run: raises `NoSandbox`.
    """

    pointwise = True

    def __init__(
        self,
        *,
        tests: Source = "reference",
        whole: bool = False,
        limits: Limits | None = None,
        sandbox: Sandbox | None = None,
        name: str = "code",
    ) -> None:
        self.name = name
        self.tests = tests
        self.whole = whole
        self._sandbox = Sandbox(limits=limits) if sandbox is None else sandbox
        self._owned = sandbox is None
        self._each = pointwise(self._judge, name=name)

    @property
    def identity(self) -> dict[str, Any]:
        """What its scores depend on beside the prompt and the candidate: they are found by it in a cache."""
        confined = self._sandbox.backend
        python = confined.python if confined else next(iter(pythons()), None)
        settings = {"tests": self.tests, "whole": self.whole, "limits": asdict(self._sandbox.limits)}
        return {"code": _VERSION, **settings, "python": python and python.name}

    @staticmethod
    def lasting(score: Score) -> bool:
        """Whether a score would be the same another time: on a machine that is busy the time may be up too early."""
        return not score.reason.startswith("timeout")

    async def __call__(self, pool: Pool) -> Sequence[Score]:
        return await self._each(pool)

    async def _judge(self, prompt: Prompt, candidate: Candidate) -> Score:
        try:
            cases = cases_of(prompt) if self.tests == "reference" else examples_of(prompt)
        except DataError as error:
            return Score.missing(str(error))
        if cases is None:
            return Score.missing(_NONE[self.tests])
        program = program_of(candidate.text, stub=stub_of(prompt), entry_point=entry_point_of(prompt))
        if program is None:
            return Score(value=0.0, reason="unparsed")
        score = await run(self._sandbox, program, cases)
        return replace(score, value=float(score.value == 1)) if self.whole and score.value is not None else score

    def close(self) -> None:
        """End every process that it started."""
        if self._owned:
            self._sandbox.close()


_NONE = {
    "reference": "no tests: the prompt's metadata has no `test`, `tests` or `test_list`",
    "prompt": "no examples in the prompt that could be run",
}


async def run(sandbox: Sandbox, program: str, cases: Cases) -> Score:
    """The score of a program under tests, or under inputs and outputs."""
    if isinstance(cases, Tests):
        return scored(await sandbox.acheck(program, cases))

    async def land(place: int, case: Script) -> tuple[int, Output]:
        return place, await sandbox.aexecute(program, case.stdin)

    landed = as_landed(land(*item) for item in enumerate(cases))
    outputs = {place: output async for place, output in landed}
    return _printed([outputs[place] for place in range(len(cases))], cases)


def scored(verdict: Verdict) -> Score:
    """A verdict as a score; a failure of ours as a missing one."""
    if verdict.kind == "sandbox-error":
        return Score.missing(f"sandbox-error: {verdict.reason}")
    parts = {str(number): None if held is None else float(held) for number, held in enumerate(verdict.parts, 1)}
    reason = f"{verdict.kind}: {verdict.reason}" if verdict.reason else verdict.kind
    return Score(value=verdict.share, reason=reason, parts=parts, seconds=verdict.seconds)


def _printed(outputs: Sequence[Output], cases: Sequence[Script]) -> Score:
    """The share of scripts that printed what they should."""
    reason, parts = "pass", dict[str, float | None]()
    for number, (output, case) in enumerate(zip(outputs, cases, strict=True), 1):
        if output.kind == "sandbox-error":
            return Score.missing(f"sandbox-error: {output.reason}")
        right = output.kind == "pass" and same_text(output.stdout, case.stdout)
        parts[str(number)] = float(right)
        if not right and reason == "pass":
            said = output.reason or f"printed {output.stdout.strip()!r:.200}"
            reason = f"{'fail' if output.kind == 'pass' else output.kind}: test {number}: {said}"
    seconds = sum(output.seconds for output in outputs)
    value = sum(part or 0.0 for part in parts.values()) / len(parts)
    return Score(value=value, reason=reason, parts=parts, seconds=seconds)
