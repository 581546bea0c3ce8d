"""Reward models from the command line: listed, shown, and scoring a file of pools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import bon as library
from bon.testing.checkpoints import save_tiny_reward_model
from bon.types import Candidate, Pool, Prompt, as_messages

Bon = Callable[..., CompletedProcess[str]]

pytest.importorskip("torch", reason="the torch extra is not installed")


def test_short_names_are_listed_and_shown(bon: Bon) -> None:
    listed = json.loads(bon("list", "scorers", "--json").stdout)["scorers"]
    assert "RLHFlow/ArmoRM-Llama3-8B-v0.1" in listed["rm:armo"]
    shown = bon("show", "rm:pairrm").stdout
    assert "n (n - 1) readings" in shown
    assert "adapter: pairrm" in shown


@pytest.mark.slow
def test_a_file_of_pools_is_scored(bon: Bon, tmp_path: Path) -> None:
    folder = save_tiny_reward_model(tmp_path / "rm")
    candidates = tuple(Candidate(index=i, text=text) for i, text in enumerate(("Because of the air.", "No.")))
    pool = Pool(prompt=Prompt(id="p", messages=as_messages("Why is the sky blue?")), candidates=candidates)
    library.write_pools(tmp_path / "pools.jsonl", [pool])
    done = bon("score", tmp_path / "pools.jsonl", "--scorer", f"rm:{folder}?device=cpu", "-o", tmp_path / "out.jsonl")
    assert done.returncode == 0
    [scored] = library.read_pools(tmp_path / "out.jsonl")
    [name] = scored.scores
    assert all(value is not None for value in scored.values(name))
    chosen = bon("select", tmp_path / "out.jsonl", "--by", name, "--json").stdout
    assert chosen
    failed = bon("score", tmp_path / "pools.jsonl", "--scorer", f"rm:{tmp_path}/none", "-o", "x.jsonl", check=False)
    assert failed.returncode == 1
    assert "there is no model folder" in failed.stderr
