"""Draws that are held against each other: a policy's answers and the reference's samples are independent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import bon
from bon.api.measuring import Studio, Trial
from bon.stats.ranks import win_share
from bon.testing.enumerable import save_enumerable
from bon.train.policy.measures import loaded
from bon.train.policy.outcome import PolicyReport
from bon.types import Candidate, Prompt, as_messages

DRAWS = 600


def test_a_policy_that_never_moved_has_other_answers_than_its_reference_and_wins_half(tmp_path: Path) -> None:
    world = save_enumerable(tmp_path / "world", seed=3)
    prompts = [Prompt(id=text, messages=as_messages(text)) for text in ("ab", "c")]

    def known(prompt: Prompt, candidate: Candidate) -> float:
        return world.reward(candidate.text)

    scorers = {"known": bon.pointwise(known)}
    unmoved = PolicyReport(
        out=str(world.folder),
        method="ppo",
        reference=str(world.folder),
        adapt="full",
        settings={},
        seed=0,
        steps=0,
        episodes=0,
        prompts=2,
    )
    studio = Studio(tmp_path / "draws", prompts, Trial(), reference=str(world.folder))
    measuring = Trial().measuring(1.0, 4, draws=DRAWS)  # as many of each, so that each answer has a sample at its place
    samples, answers = studio.samples(measuring, scorers), studio.answers(unmoved, measuring, scorers)
    for one, other in zip(answers, samples, strict=True):
        p = np.exp(world.log_probs(loaded(str(world.folder)).model, one.prompt.id).detach().double().numpy())
        chance = float((p**2).sum())
        same = np.mean([a.text == b.text for a, b in zip(one.candidates, other.candidates, strict=True)])
        assert same == pytest.approx(chance, abs=4 * np.sqrt(chance / DRAWS))
        rewards, against = (np.array(pool.values("known"), dtype=np.float64) for pool in (one, other))
        assert win_share(np.sort(against), rewards).mean() == pytest.approx(0.5, abs=4 * np.sqrt(1 / 6 / DRAWS))
    assert all(pool.values("kl") == pytest.approx([0.0] * DRAWS, abs=1e-6) for pool in answers)
