"""Amounts on the command line: `256`, `1.5M`, `$2`."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.cli.amounts import Tokens, amount, tokens, told_apart
from bon.errors import UsageError


@pytest.mark.parametrize(
    ("text", "number", "of_run"),
    [
        ("256", 256, False),
        (" 1 ", 1, False),
        ("1M", 1_000_000, True),
        ("1.5M", 1_500_000, True),
        ("2k", 2_000, True),
        ("2 K", 2_000, True),
        ("0.001k", 1, True),
        ("3g", 3_000_000_000, True),
        ("4.0", 4, False),
    ],
)
def test_a_unit_makes_it_the_cap_of_the_run(text: str, number: int, of_run: bool) -> None:
    assert tokens(text) == Tokens(number, of_run)


@pytest.mark.parametrize(
    "text", ["", "M", "-1", "1e6", "1,000", "0", "0k", "1.5", "0.0001k", "1MB", "nan", "1 000", "٣x"]
)
def test_what_is_no_number_of_tokens_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"write 256 for each answer|give a whole number"):
        tokens(text)


@given(st.integers(1, 10**9), st.sampled_from("kKmMgG"))
def test_whole_numbers_are_exact(number: int, unit: str) -> None:
    assert tokens(f"{number}{unit}").number == number * {"k": 10**3, "m": 10**6, "g": 10**9}[unit.lower()]


@pytest.mark.parametrize(("text", "number"), [("2", 2.0), ("$2.50", 2.5), ("1e-3", 0.001), ("0", 0.0), (" .5 ", 0.5)])
def test_amounts(text: str, number: float) -> None:
    assert amount(text) == number


@pytest.mark.parametrize("text", ["", "two", "nan", "inf", "-1", "2 USD"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        amount(text)


def test_each_meaning_may_be_given_once() -> None:
    assert told_apart([]) == (None, None)
    assert told_apart([Tokens(256, of_run=False), Tokens(10**6, of_run=True)]) == (256, 10**6)
    with pytest.raises(UsageError, match="twice for each answer"):
        told_apart([Tokens(1, of_run=False)] * 2)
    with pytest.raises(UsageError, match="twice for the whole run"):
        told_apart([Tokens(1, of_run=True)] * 2)
