"""The kind `rm`: its short names, what is listed and shown of them, and which options a spec may have."""

from __future__ import annotations

from pathlib import Path

import pytest

import bon
from bon.errors import SpecError
from bon.registry.reward import REWARD
from bon.registry.spec import parse_spec
from bon.score.reward import RewardModel, aliases
from bon.testing.checkpoints import save_tiny_model, save_tiny_reward_model


def test_a_short_name_stands_for_a_published_model() -> None:
    built = bon.scorer("rm:armo")
    assert isinstance(built.thing, RewardModel)
    assert built.name == "rm:armo"
    assert built.thing.source == "RLHFlow/ArmoRM-Llama3-8B-v0.1"
    assert built.pointwise


def test_the_list_has_every_short_name_with_what_it_is() -> None:
    members = REWARD.members
    assert members is not None
    listed = members()
    for name, alias in aliases("rm").items():
        assert alias.id in listed[name]
        assert alias.licence in listed[name]


def test_a_short_name_is_shown_with_all_that_is_known() -> None:
    about = REWARD.about
    assert about is not None
    assert about(parse_spec("rm:./folder")) == ""
    shown = about(parse_spec("rm:armo"))
    for part in ("RLHFlow/ArmoRM-Llama3-8B-v0.1", "7.5B", "llama3", "4,096 tokens", "chat, code", "adapter: armo"):
        assert part in shown


def test_a_folder_is_shown_with_the_adapter_that_reads_it(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the torch extra is not installed")
    about = REWARD.about
    assert about is not None
    folder = save_tiny_reward_model(tmp_path / "rm")
    assert "adapter: classifier, read from transformers" in about(parse_spec(f"rm:{folder}"))
    model = save_tiny_model(tmp_path / "lm", "qwen2")
    assert "without a head that scores" in about(parse_spec(f"rm:{model}"))


def test_options_are_checked_before_anything_is_loaded(tmp_path: Path) -> None:
    for spec, said in (
        ("rm:", "names no reward model"),
        ("rm:armo?family=none", "there is no family 'none'"),
        ("rm:armo?dype=float32", "did you mean 'dtype'"),
        ("rm:armo?tokens=0", "1 or more"),
        ("rm:armo?dtype=16", "must be a text"),
    ):
        with pytest.raises(SpecError, match=said):
            bon.scorer(spec)
    bon.scorer(f"rm:{tmp_path}/nothing-here?dtype=bfloat16&output=1&max_length=512").close()
