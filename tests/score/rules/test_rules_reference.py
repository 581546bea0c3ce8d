"""Against a reference: known answers, and parity with the libraries that people quote."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from bon.errors import UsageError
from bon.score.rules import accuracy, f1, number_accuracy, rouge
from bon.types import Candidate, Prompt, Score

WORDS = ["the", "cat", "sat", "on", "a", "mat", "Dog's", "2", "x_y", "well-known", "...", "\n"]


def asked(reference: str | None) -> Prompt:
    return Prompt(id="p", messages=(), reference=reference)


def said(text: str, answer: str | None = None) -> Candidate:
    return Candidate(index=0, text=text, answer=answer)


@pytest.mark.parametrize(
    ("text", "reference", "value"),
    [
        ("Paris", "paris", 1),
        ("  Paris.\n", "Paris", 1),
        ("“Paris”", "Paris", 1),
        ("The answer is Paris.", "Paris", 1),
        ("Rome", "Paris", 0),
        ("Paris or Rome", "Paris", 0),
        ("1,000.0", "1000", 1),
        ("It is \\boxed{\\frac{1}{2}}", "0.5", 1),
        ("So 2 * 9 = 18 in all.\n#### 18", "2 * 9 = <<2*9=18>>18\n#### 18", 1),
        ("(b)", "B", 1),
        ("-5", "5", 0),
        ("C++", "C", 0),
        ("Ｐａｒｉｓ", "Paris", 1),  # NFKC
        ("straße", "STRASSE", 1),
        ("New   York", "new york", 1),
        ("", "Paris", 0),
    ],
)
def test_equal_answers_are_right(text: str, reference: str, value: float) -> None:
    assert accuracy(asked(reference), said(text)).value == value


def test_case_counts_where_it_is_asked_to() -> None:
    assert accuracy(asked("Paris"), said("paris"), ignore_case=False).value == 0
    assert accuracy(asked("Paris"), said("Paris."), ignore_case=False).value == 1
    assert accuracy(asked("1000"), said("1,000"), ignore_case=False).value == 1
    assert accuracy(asked("The Cat"), said("The answer is The Cat."), ignore_case=False).value == 1
    assert accuracy(asked("the cat"), said("The answer is The Cat."), ignore_case=False).value == 0


def test_what_the_extractor_read_is_the_answer() -> None:
    assert accuracy(asked("Rome"), said("Rome", answer="Paris")).value == 0
    assert number_accuracy(asked("4"), said("4 and then 5", answer="4")).value == 1
    assert f1(asked("Rome"), said("It is Rome, surely.", answer="Rome")).value == 1


@pytest.mark.parametrize("function", [accuracy, number_accuracy, f1, rouge])
def test_without_a_reference_there_is_no_score(function: object) -> None:
    assert function(asked(None), said("4")) == Score.missing("no reference")  # type: ignore[operator]


def test_references_that_say_nothing() -> None:
    assert accuracy(asked(" "), said("")) == Score.missing("the reference is empty")
    assert number_accuracy(asked("Paris"), said("4")) == Score.missing("the reference has no number")


@pytest.mark.parametrize(
    ("text", "reference", "tolerance", "value"),
    [
        ("It is 18.", "18", 0, 1),
        ("first 18, then 19", "18", 0, 0),
        ("0.333", "1/3", 0, 0),
        ("0.333", "1/3", 0.01, 1),
        ("-18", "18", 0.5, 0),
        ("-99", "-100", 0.01, 1),
        ("-98.9", "-100", 0.01, 0),
        ("no idea", "18", 1, 0),
        ("1e-9", "0", 0.5, 0),
        ("3 \\times 10^8", "300000000", 0, 1),
    ],
)
def test_numbers_are_compared_exactly_or_up_to_a_tolerance(
    text: str, reference: str, tolerance: float, value: float
) -> None:
    assert number_accuracy(asked(reference), said(text), tolerance=tolerance).value == value


@pytest.mark.parametrize("tolerance", [-0.1, float("nan"), float("inf")])
def test_a_tolerance_is_a_number_from_0(tolerance: float) -> None:
    with pytest.raises(UsageError, match="tolerance is"):
        number_accuracy(asked("1"), said("1"), tolerance=tolerance)


@pytest.mark.parametrize(
    ("text", "reference", "value", "precision", "recall"),
    [
        ("the cat sat", "a cat sat down", 2 * 1 * (2 / 3) / (5 / 3), 1, 2 / 3),
        ("The Cat!", "cat", 1, 1, 1),
        ("cat cat", "cat", 2 / 3, 0.5, 1),
        ("dog", "cat", 0, 0, 0),
        ("the", "an", 1, 1, 1),  # both are nothing but articles
        ("", "cat", 0, 0, 0),
        ("U.S.A.", "usa", 1, 1, 1),
    ],
)
def test_f1_as_squad_has_it(text: str, reference: str, value: float, precision: float, recall: float) -> None:
    score = f1(asked(reference), said(text))
    assert score.value == pytest.approx(value)
    assert score.parts == pytest.approx({"precision": precision, "recall": recall})


def test_rouge_by_hand() -> None:
    """Police killed the gunman, and the gunman killed police (Lin 2004): the same words, in another order."""
    reference, text = "police killed the gunman", "the gunman kill police"
    known = {"1": 3 / 4, "2": 1 / 3, "L": 2 / 4}
    assert {n: rouge(asked(reference), said(text), variant=n).value for n in known} == pytest.approx(known)
    longer = rouge(asked(reference), said("police kill the gunman now"), variant="L")
    assert longer.parts == pytest.approx({"precision": 3 / 5, "recall": 3 / 4})


@given(st.lists(st.sampled_from(WORDS), max_size=30), st.lists(st.sampled_from(WORDS), max_size=30))
def test_rouge_is_that_of_the_reference_implementation(one: list[str], other: list[str]) -> None:
    text, reference = " ".join(one), " ".join(other)
    theirs = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False).score(reference, text)
    for variant in (1, 2, "L"):
        ours, known = rouge(asked(reference), said(text), variant=variant), theirs[f"rouge{variant}"]
        assert ours.value == pytest.approx(known.fmeasure)
        assert ours.parts == pytest.approx({"precision": known.precision, "recall": known.recall})


def test_rouge_reads_other_alphabets_too() -> None:
    assert rouge(asked("быстрая лиса"), said("Лиса быстрая"), variant=1).value == 1


def test_rouge_of_long_texts_takes_a_fraction_of_the_squared_time() -> None:
    """The plain table for the longest common subsequence has 10,000 x 10,000 cells: a minute, where this takes less."""
    drawn = random.Random(1)
    one, other = (" ".join(str(drawn.randrange(1_000)) for _ in range(10_000)) for _ in range(2))
    began = time.process_time()
    score = rouge(asked(one), said(other))
    assert time.process_time() - began < 5
    assert score.value is not None
    assert 0 < score.value < 1
    assert rouge(asked(one), said("x " * 60_000)) == Score.missing("longer than 100000 characters")


def test_rouge_has_three_variants() -> None:
    with pytest.raises(UsageError, match="variant is 'l'; ROUGE has 1, 2 and L"):
        rouge(asked("a"), said("a"), variant="l")
