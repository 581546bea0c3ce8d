"""The guide to reward models is whole: it names every family, format, short name, shape and check that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bon.score.process import AGGREGATES, FORMATS, SPLITTERS
from bon.score.remote import SHAPES
from bon.score.reward import FAMILIES, aliases
from bon.testing.reading import CHECKS

PAGE = (Path(__file__).parents[1] / "docs" / "reward_models.md").read_text()


def first_column(heading: str) -> set[str]:
    """What stands in backticks in the first column of the table with this heading."""
    table = PAGE[PAGE.index(f"| {heading} |") :].partition("\n\n")[0]
    return {name for line in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", line.split("|")[1])}


def test_every_family_format_and_shape_has_its_row() -> None:
    assert first_column("family") == set(FAMILIES)
    assert first_column("format") == set(FORMATS)
    assert first_column("`api`") == set(SHAPES)


@pytest.mark.parametrize(
    "name",
    [
        *aliases("rm"),
        *(f"prm:{name}" for name in aliases("prm")),
        *AGGREGATES,
        *SPLITTERS,
    ],
)
def test_every_name_is_told(name: str) -> None:
    assert f"`{name}`" in PAGE or f"`rm:{name}`" in PAGE


def test_every_check_of_the_doctor_is_told() -> None:
    table = PAGE[PAGE.index("| check |") :].partition("\n\n")[0]
    for check in CHECKS:
        told = check if check in table else check.removeprefix("reads a long answer ")
        assert told in table, check
