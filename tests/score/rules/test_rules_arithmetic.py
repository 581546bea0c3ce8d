"""Sums worked out step by step: what is a wrong one, and what is none; the published traces of BIG-Bench Mistake."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bon
from bon.errors import UsageError
from bon.score.rules import arithmetic
from bon.score.rules.expressions import tokens, value
from bon.store.datasets import load
from bon.types import Candidate, Prompt, Score, as_messages


def checked(text: str, question: str = "", **options: str) -> Score:
    return arithmetic(Prompt(id="p", messages=as_messages(question)), Candidate(index=0, text=text), **options)


@pytest.mark.parametrize(
    "text",
    [
        "2 + 3 * 4 = 14", "(2 + 3) * 4 = 20", "-9 - -3 * 2 * -9 = -9 - 54 = -63", "1/3 + 1/6 = 0.5", "10 / 3 = 3.33",
        "2000/75 = 26.666666666666668", "4.20 + 9.45 + 1.35 = 14.999999999999998", "1,250 * 4 = 5,000",
        "$5 + $3 = $8", r"so \(5 \times 3 = 15\).", "16 - 3 = <<16-3=13>>13", "A = 2 + 3 = 5, and A * 2 = 10.",
        "**5 + 3 = 8**", "6 \u00d7 7 \u2212 2 = 40", "16 \u2013 2 = 14", "3 x 4 = 12", "100 / -8 = -12.5",
    ],
)  # fmt: skip
def test_what_is_right(text: str) -> None:
    score = checked(text)
    assert score.value == 1, score.reason
    assert score.parts["first_error"] == -1
    assert (score.parts["equations"] or 0) >= 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2 + 3 * 4 = 20", "step 1: 2 + 3 * 4 is 14, not 20"),
        ("Right: 1 + 1 = 2.\nWrong: 2 * 3 = 6 = 7.", "step 2: 6 is 6, not 7"),
        ("10 / 3 = 3.3 and 10 / 3 = 3.4", "step 1: 10 / 3 is 10/3, not 3.4"),
        ("A = 2 + 3 = 5\nA * 2 = 11", "step 2: A * 2 is 10, not 11"),
        ("2 + 2 = 4. So the answer is 5", "step 1: it came to 4, the answer is 5"),
    ],
)
def test_what_is_wrong(text: str, reason: str) -> None:
    score = checked(text)
    assert (score.value, score.reason) == (0, reason)
    assert score.parts["wrong"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "half of 20 = 10", "20% of 50 = 10", "2^3 = 8", "10^2 = 100 and 100 = 10^2", "2**3 = 8", "3 + 4 apples = 7",
        "f(3) = 9", "7 mod 5 = 2", "12 = 2 mod 5", r"\sqrt 9 = 3", "60 minutes = 1 hour", "2x + 3 = 13", "5! = 120",
        "3 times 4 = 12", "|-3| = 3", "- 3 + 4 = 7", "3 apples + 4 = 7 apples", "x = 5", "2 x = 6", "1.2.3 = 4",
        "0 / 0 = 1", "2 (3) = 6", "7 // 2 = 3", "() = 1", "",
    ],
)  # fmt: skip
def test_what_is_no_sum_is_no_error(text: str) -> None:
    score = checked(text)
    assert (score.value, score.reason) == (None, "no sum that can be worked out")


def test_only_the_step_that_goes_wrong_is_wrong() -> None:
    question = "((5 + 2 * 1 - 6) + (5 + 3 - -2 * 2)) ="
    steps = [
        'This equation can be written as "(A + B)", where A = (5 + 2 * 1 - 6) and B = (5 + 3 - -2 * 2).',
        "Let's calculate A = (5 + 2 * 1 - 6) = (5 + 2 - 6) = 1.",
        "Let's calculate B = (5 + 3 - -2 * 2) = (5 + 3 - 4) = 4.",
        "Then, the final equation is A + B = 1 + 4 = 5. So the answer is 5",
    ]
    score = checked("\n".join(steps), question)
    assert score.steps == (1, 1, 0, 1)
    assert score.parts["first_error"] == 2
    other = checked("\n".join(steps), "((5 + 2 * 1 - 6) * (5 + 3 - -2 * 2)) =")
    assert other.parts["first_error"] == 0
    assert other.reason == "step 1: (A + B) is 13, not the question"


def test_the_steps_are_those_of_the_labels_where_there_are_labels() -> None:
    prompt = Prompt(id="p", messages=(), metadata={"steps": ["1 + 1 = 2\n\n1 + 2 = 3", "2 + 2 = 5"]})
    text = "1 + 1 = 2\n\n1 + 2 = 3\n\n2 + 2 = 5"
    assert arithmetic(prompt, Candidate(index=0, text=text)).steps == (1, 0)
    assert arithmetic(prompt, Candidate(index=0, text=text + " or 6")).steps == (1, 1, 0)
    with pytest.raises(UsageError, match="steps is 'lines'"):
        checked(text, steps="lines")


def sums(depth: int) -> st.SearchStrategy[str]:
    if depth == 0:
        return st.integers(-20, 20).map(str)
    inner = sums(depth - 1)
    return inner | st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda it: f"({it[0]} {it[1]} {it[2]})")


@given(sums(3))
def test_values_are_those_of_exact_arithmetic(text: str) -> None:
    found = value(tokens(text), {})
    exact = "".join(f"Fraction({part})" if part.isdigit() else part for part in _parts(text))
    try:
        wanted = eval(exact, {"Fraction": Fraction})
    except ZeroDivisionError:
        wanted = None
    assert found == wanted


def _parts(text: str) -> list[str]:
    parts = [""]
    for character in text:
        if parts[-1].isdigit() and character.isdigit():
            parts[-1] += character
        else:
            parts.append(character)
    return parts


@pytest.fixture(scope="module")
def traces() -> Path:
    folder = Path(os.environ.get("BON_DATA") or Path(__file__).parents[4] / "shared" / "data")
    file = folder / "mistakes" / "multistep_arithmetic.jsonl"
    if not file.is_file():
        pytest.skip(f"needs BIG-Bench Mistake: no file {file} (BON_DATA names another folder)")
    return file


def test_the_first_wrong_step_of_the_published_traces_is_found(traces: Path) -> None:
    found = bon.evaluate(traces, "rule:arithmetic")
    subset = "multistep_arithmetic"
    flawed = found.row("accuracy, flawed", subset=subset)
    flawless = found.row("accuracy, flawless", subset=subset)
    assert (round((flawed.value or 0) * flawed.n), flawed.n) == (231, 238)
    assert (round((flawless.value or 0) * flawless.n), flawless.n) == (45, 62)
    f1 = found.row("f1", subset=subset)
    assert f1.value == pytest.approx(2 * (231 / 238) * (45 / 62) / (231 / 238 + 45 / 62))
    assert f1.value == pytest.approx(0.8305, abs=5e-5)


def test_solutions_that_are_labelled_right_and_have_a_wrong_sum_have_a_wrong_answer(traces: Path) -> None:
    """What holds the figure above down: labels that overlook an error."""
    overlooked = [
        pool.prompt.metadata["final_answer_correct"]
        for pool in load(traces)
        if pool.prompt.metadata["first_error"] is None and arithmetic(pool.prompt, pool.candidates[0]).value == 0
    ]
    assert len(overlooked) == 17
    assert sum(overlooked) == 1


def test_few_solutions_with_a_right_answer_have_a_wrong_sum(traces: Path) -> None:
    """The four models' solutions of GSM8K. An answer may be right by luck; the sums of these seven are really wrong."""
    file = traces.parents[1] / "gsm8k" / "example_model_solutions.jsonl"
    if not file.is_file():
        pytest.skip(f"needs GSM8K: no file {file}")
    found = {True: [0, 0], False: [0, 0]}
    for pool in load(file):
        for candidate, label in zip(pool.candidates, pool.scores["correct"], strict=True):
            value = arithmetic(pool.prompt, candidate).value
            if value is not None:
                found[label.value == 1][0] += 1
                found[label.value == 1][1] += value == 0
    assert found[True] == [1998, 7]
    assert found[False][1] > 60
