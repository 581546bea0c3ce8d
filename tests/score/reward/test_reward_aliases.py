"""The short names of published models: each is whole, and belongs to an adapter that exists."""

from __future__ import annotations

import pytest

from bon.score.reward.aliases import alias_of, aliases
from bon.score.reward.families import FAMILIES


def test_every_reward_model_has_an_adapter_and_a_line() -> None:
    for name, alias in aliases("rm").items():
        assert alias.name == name
        assert alias.family in FAMILIES
        assert alias.id.count("/") == 1
        assert alias.id in alias.line
        assert alias.licence in alias.line
        assert set(alias.good_at) <= {"chat", "maths", "code"}


def test_no_two_names_are_of_one_model() -> None:
    ids = [alias.id for kind in ("rm", "prm") for alias in aliases(kind).values()]  # type: ignore[arg-type]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("target", ["armo", "RLHFlow/ArmoRM-Llama3-8B-v0.1"])
def test_a_model_is_known_by_its_name_and_by_its_id(target: str) -> None:
    found = alias_of("rm", target)
    assert found is not None
    assert (found.name, found.family, found.max_length) == ("armo", "armo", 4096)


def test_what_is_not_known_is_none() -> None:
    assert alias_of("rm", "qwen") is None  # a process reward model's name
    assert alias_of("prm", "qwen") is not None
