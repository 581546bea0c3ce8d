"""`bon.compare` with policies: one draw of each beside the best of N of the model they come from."""

from __future__ import annotations

from pathlib import Path

import pytest

import bon
from bon.testing import Scripted
from bon.types import Candidate, Prompt

PROMPTS = [bon.prompt(f"Say {name}", id=name) for name in ("a", "b", "c", "d")]


def drawn(prompt: Prompt, index: int) -> str:
    """Of eight draws the lengths 1 to 8; the greedy answer is the first."""
    return "x" * (1 + index % 8)


def named(name: str, length: int) -> Scripted:
    return Scripted(["y" * length], name=name)


def length(prompt: Prompt, candidate: Candidate) -> float:
    return float(len(candidate.text))


@pytest.mark.parametrize("kept", [False, True])
def test_one_draw_of_a_policy_is_held_against_the_best_of_n(kept: bool, tmp_path: Path) -> None:
    found = bon.compare(
        PROMPTS,
        n=[1, 8],
        generator=Scripted(drawn),
        policies=[named("hf:out/good", 9), named("hf:out/ok", 8), named("hf:out/poor", 2)],
        scorer=bon.pointwise(length),
        temperatures=[0.5, 1.0],
        folder=tmp_path / "kept" if kept else None,
    )
    assert len(found.versus) == 4
    assert all(row.base == "greedy" for row in found.versus)
    rows = {(row.base, row.temperature, row.k): row for row in found.policies}
    assert len(rows) == 12
    good, ok, poor = (rows[f"hf:out/{name}", 1.0, 8] for name in ("good", "ok", "poor"))
    assert (good.greedy, good.chosen, good.losses) == (9.0, 8.0, 1.0)
    assert (ok.greedy, ok.ties) == (8.0, 1.0)
    assert (poor.greedy, poor.wins) == (2.0, 1.0)
    one = rows["hf:out/poor", 0.5, 1]
    assert (one.chosen, one.wins, one.ties, one.losses) == (4.5, 6 / 8, 1 / 8, 1 / 8)
    if kept:
        assert (tmp_path / "kept" / "hf-out-good-temperature-0.5.jsonl").is_file()


def test_without_policies_nothing_is_said_of_them() -> None:
    found = bon.compare(PROMPTS, n=2, generator=Scripted(drawn), scorer=bon.pointwise(length))
    assert found.policies == ()
