"""The extractor math: equivalent answers share one string, and different ones never do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from maths_pairs import PAIRS

from bon.engine import Plan, run
from bon.registry.extractors import extractor
from bon.score.maths.extractor import MathExtractor
from bon.score.maths.workers import Workers
from bon.select import majority
from bon.testing import Scripted
from bon.types import Prompt


@pytest.fixture(scope="module")
def extract() -> Iterator[MathExtractor]:
    workers = Workers()
    yield MathExtractor(seconds=60, workers=workers)
    workers.close()


@pytest.mark.parametrize(
    ("answers", "form"),
    [
        (["\\boxed{1/2}", "The answer is 0.5.", "\\boxed{\\frac12}", "\\boxed{\\sqrt{\\frac14}}"], "0.5"),
        (["\\boxed{x^2+1}", "\\boxed{1+x^2}", "\\boxed{(x+1)^2 - 2x}"], "x^{2}+1"),
        (["\\boxed{\\sqrt{8}}", "\\boxed{2\\sqrt 2}", "\\boxed{\\frac{4}{\\sqrt{2}}}"], "2\\sqrt{2}"),
        (["\\boxed{\\{2, 1\\}}", "\\boxed{1, 2}", "\\boxed{x = 2 \\text{ or } x = 1}"], "\\{1,2\\}"),
        (["\\boxed{x > 2}", "\\boxed{(2, \\infty)}", "\\boxed{2 < x}"], "(2,\\infty)"),
        (["\\boxed{\\text{(B)}}", "The answer is B."], "B"),
        (["\\boxed{1011_{2}}", "\\boxed{1011_2}"], "1011_2"),
        (["I cannot tell, sorry. " * 20], None),
    ],
)
def test_equivalent_answers_are_one_answer(extract: MathExtractor, answers: list[str], form: str | None) -> None:
    assert {extract(answer) for answer in answers} == {form}


@pytest.mark.slow
def test_no_two_different_answers_share_a_form_and_most_equal_ones_do(extract: MathExtractor) -> None:
    def forms(pair: tuple[str, str, bool]) -> tuple[str | None, ...]:
        return tuple(extract(f"\\boxed{{{answer}}}") for answer in pair[:2])

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(forms, PAIRS))
    merged = [pair for pair, (one, other) in zip(PAIRS, found, strict=True) if one == other]
    assert [pair for pair in merged if not pair[2]] == []
    assert len(merged) >= 0.97 * sum(same for _, _, same in PAIRS)


def test_a_form_is_its_own_form(extract: MathExtractor) -> None:
    for answer in ("\\boxed{(x-1)(x+2)}", "\\boxed{\\frac{1}{1+\\sqrt{2}}}", "\\boxed{[0.5, 2)}"):
        form = extract(answer)
        assert extract(f"\\boxed{{{form}}}") == form


def test_what_takes_too_long_stays_as_it_is(extract: MathExtractor) -> None:
    hasty = MathExtractor(seconds=0.5, workers=extract._workers)
    assert hasty("\\boxed{9^{9^{9^{9}}}+x}") == "9^{9^{9^{9}}}+x"
    assert asyncio.run(hasty.read("\\boxed{9^{9^{9^{9}}}+x}")) == "9^{9^{9^{9}}}+x"


async def test_the_engine_awaits_it_and_equivalent_answers_vote_together(extract: MathExtractor) -> None:
    said = ["\\boxed{x+2}", "\\boxed{\\frac{2x^2}{2x}+1}", "\\boxed{1+x}", "\\boxed{x+3}"]
    plan = Plan(generator=Scripted(lambda prompt, index: said[index % 4]), extract=extract)
    pool = await run(Prompt(id="p", messages=({"role": "user", "content": "?"},)), plan)
    assert [candidate.answer for candidate in pool.candidates] == ["x+2", "x+1", "x+1", "x+3"] * 2
    assert majority(pool).tolist() == [0, 0.25, 0.25, 0] * 2
    again = await run(pool, plan)
    assert again.candidates == pool.candidates


def test_it_is_known_by_its_name() -> None:
    assert isinstance(extractor("math"), MathExtractor)
