from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bon.score import SCORERS, default_scorer, heuristic, math
from bon.testing.pools import pool_of
from bon.types import Prompt, Score

DATA = Path(os.environ.get("BON_DATA", Path(__file__).parents[4] / "shared" / "data"))


async def verdict(text: str, reference: str | None, *, answer: str | None = None) -> Score:
    prompt = Prompt(id="p", messages=(), reference=reference)
    return (await math(pool_of([text], prompt=prompt, answers=[answer])))[0]


@pytest.mark.parametrize(
    ("text", "reference", "value"),
    [
        ("The answer is 18.", "18", 1),
        ("A: 18", "2 * 9 = <<2*9=18>>18\n#### 18", 1),
        ("A: 1,000.00", "1000", 1),
        ("\\boxed{\\frac{1}{2}}", "0.5", 1),
        ("1/3", "\\frac{2}{6}", 1),
        ("0.333", "1/3", 0),
        ("0.1", "1/10", 1),
        ("A: 19", "18", 0),
        ("-18", "18", 0),
        ("\\boxed{3\\sqrt{2}}", "3", 0),
        ("The answer is (B).", "B", 1),
        ("The answer is (C).", "B", 0),
        ("\\boxed{x^2 + 1}", "x^2+1", 1),
        ("The answer is Paris.", "Paris", 1),
    ],
)
async def test_right_is_one_and_wrong_is_zero(text: str, reference: str, value: float) -> None:
    assert (await verdict(text, reference)).value == value


@pytest.mark.parametrize("text", ["", "I do not know.", "\\boxed{", "word " * 60])
async def test_an_unreadable_answer_is_wrong_and_says_unparsed(text: str) -> None:
    assert await verdict(text, "18") == Score(value=0.0, reason="unparsed")


async def test_the_answer_that_was_extracted_counts_before_the_text() -> None:
    assert (await verdict("first 18, then 19", "18", answer="18")).value == 1


async def test_what_cannot_be_told_is_missing_with_a_reason() -> None:
    assert await verdict("18", None) == Score.missing("no reference")
    assert await verdict("18", "  ") == Score.missing("the reference is empty")
    unreadable = await verdict("\\boxed{x^2}", "x^2 \\to \\to")
    assert unreadable.value is None
    assert "cannot be read as a formula" in unreadable.reason


def test_the_default_scorer_verifies_where_there_is_a_reference() -> None:
    prompt = Prompt(id="p", messages=())
    assert default_scorer(prompt) is heuristic
    assert default_scorer(replace(prompt, reference="4")) is math
    assert set(SCORERS) == {"heuristic", "selfcertainty", "agreement", "math"}


async def test_all_labels_of_the_gsm8k_solutions_are_reproduced() -> None:
    path = DATA / "gsm8k" / "example_model_solutions.jsonl"
    if not path.is_file():
        pytest.skip("the GSM8K example solutions are not there: set BON_DATA to the folder with the test data")
    checked = 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        row = json.loads(line)
        prompt = Prompt(id=str(number), messages=(), reference=row["ground_truth"])
        solutions = [value for value in row.values() if isinstance(value, dict)]
        scores = await math(pool_of([solution["solution"] for solution in solutions], prompt=prompt))
        assert [score.value for score in scores] == [float(solution["is_correct"]) for solution in solutions]
        checked += len(solutions)
    assert checked == 5_276
