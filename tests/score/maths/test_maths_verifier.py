from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from maths_pairs import PAIRS

from bon.engine import score_pool
from bon.score import SCORERS, MathVerifier, default_scorer, heuristic, math
from bon.score.maths.workers import Workers
from bon.testing.pools import pool_of
from bon.types import Pool, Prompt, Score

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


@pytest.mark.parametrize(
    ("text", "reference", "value"),
    [
        (r"The answer is $2\sqrt{3}$.", "3", 0),
        (r"The answer is \(\frac{\pi}{2}\).", "2", 0),
        (r"The answer is $\pm 2$.", "2", 0),
        ("The answer is 2 or 3.", "2", 0),
        ("The answer is (3, 4).", "4", 0),
        ("The answer is x = 3, y = 4.", "4", 0),
        ("The answer is 3x.", "3", 0),
        ("The answer is 5 - 3.", "3", 0),
        ("The answer is 6:30.", "30", 0),
        (r"Hence it is $3\sqrt{2}$.", "2", 0),
        (r"Hence it is \[25\pi\]", "25", 0),
        (r"The answer is $\sqrt{16}$.", "4", 1),
        (r"The answer is $\log_2 8$.", "3", 1),
        (r"The answer is $x = \frac{10}{4}$.", "2.5", 1),
        (r"The answer is $\frac{3}{4}$ of the cake.", "0.75", 1),
        ("The answer is 5 + 3 = 8 apples.", "8", 1),
        ("The answer is 20 - 5 = <<20-5=15>>15", "15", 1),
        ("The answer is (5).", "5", 1),
        (r"The answer is \( 5 \).", "5", 1),
        (r"The answer is $x \approx 3.5$.", "3.5", 1),
        (r"So there are $\binom{4}{2} = 6$ ways.", "6", 1),
        (r"Since $\sqrt{4}$ is 2, it is 7.", "7", 1),
    ],
)
async def test_a_number_that_is_part_of_a_formula_is_not_the_answer(text: str, reference: str, value: float) -> None:
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


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    workers = Workers()
    yield MathVerifier(seconds=60, workers=workers)
    workers.close()


@pytest.mark.slow
def test_all_pairs_are_told_apart_from_threads(verifier: MathVerifier) -> None:
    def judged(pair: tuple[str, str, bool]) -> list[float | None]:
        prompt = Prompt(id="p", messages=(), reference=pair[1])
        pool = pool_of([f"So it is $\\boxed{{{pair[0]}}}$.", ""], prompt=prompt, answers=[None, pair[0]])
        return [score.value for score in asyncio.run(_called(verifier, pool))]

    assert len(PAIRS) >= 200
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(judged, PAIRS))
    wrong = [(pair, values) for pair, values in zip(PAIRS, found, strict=True) if values != [float(pair[2])] * 2]
    assert wrong == []


async def _called(verifier: MathVerifier, pool: Pool) -> Sequence[Score]:
    return await verifier(pool)


async def test_a_candidate_that_hangs_is_unscored_and_costs_the_others_nothing(verifier: MathVerifier) -> None:
    prompt = Prompt(id="p", messages=(), reference="x^2+1")
    hasty = MathVerifier(seconds=2, workers=verifier._workers)
    await hasty(pool_of(["\\boxed{x^2 + 2}"], prompt=prompt))
    texts = [
        "\\boxed{1+x^2}",
        "\\boxed{9^{9^{9^{9}}}}",
        "\\boxed{x^2}",
        "\\boxed{(x}",
        "\\boxed{" + "x+" * 2_000 + "1}",
    ]
    scores = await hasty(pool_of(texts, prompt=prompt))
    assert [score.value for score in scores] == [1, None, 0, 0, 0]
    assert scores[1].reason == "ScoreError: the comparison took longer than 2 s"
    assert scores[3].reason == "unparsed: (x"
    assert scores[4].reason == "unparsed: longer than 2000 characters"
    scored = await score_pool(pool_of(texts[:2], prompt=prompt), {"math": hasty})
    assert [(failure.stage, failure.error, failure.index) for failure in scored.failures] == [
        ("score", "ScoreError", 1)
    ]


def test_without_the_extra_numbers_and_words_are_told_and_formulas_are_not() -> None:
    code = (
        "import asyncio, sys; sys.modules['math_verify'] = None\n"
        "from bon.score import math; from bon.testing.pools import pool_of; from bon.types import Prompt\n"
        "from bon.errors import MissingExtra; from bon.registry.extractors import extractor\n"
        "def said(text, reference):\n"
        "    pool = pool_of([text], prompt=Prompt(id='p', messages=(), reference=reference))\n"
        "    (score,) = asyncio.run(math(pool)); print(score.value, score.reason)\n"
        "said('A: 1/2', '0.5'); said('The answer is Rome.', 'Paris'); said('\\\\boxed{1+x}', 'x+1')\n"
        "try: extractor('math')\n"
        "except MissingExtra as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "1.0 0.5 is 0.5",
        "0.0 rome is not paris",
        "None '1+x' and 'x+1' cannot be compared: formulas need pip install 'bon[math]'",
        "the extractor math needs 'math-verify', which is not installed: pip install 'bon[math]'",
    ]


@pytest.mark.slow
def test_every_solution_of_math_500_has_its_own_answer_and_not_the_next_ones(verifier: MathVerifier) -> None:
    path = DATA / "math" / "math500.jsonl"
    if not path.is_file():
        pytest.skip("MATH-500 is not there: set BON_DATA to the folder with the test data")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def judged(place: int) -> list[float | None]:
        texts = [rows[place]["solution"], rows[place - 1]["solution"]]
        pool = pool_of(texts, prompt=Prompt(id="p", messages=(), reference=rows[place]["answer"]))
        return [score.value for score in asyncio.run(_called(verifier, pool))]

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(judged, range(len(rows))))
    assert [rows[place]["unique_id"] for place, values in enumerate(found) if values[0] != 1] == []
    alike = [place for place, values in enumerate(found) if values[1] != 0]
    unlike = {(rows[place]["answer"], rows[place - 1]["answer"]) for place in alike}
    assert {pair for pair in unlike if pair[0] != pair[1]} <= {("x=5", "5")}
