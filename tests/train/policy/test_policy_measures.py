"""Draws of policies and their KL from the reference, against models of which every response is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from bon.errors import UsageError
from bon.testing.enumerable import Enumerable, save_enumerable
from bon.train.policy.measures import Answers, Measuring, loaded, measured_draws
from bon.types import Prompt, as_messages

HOT = 1.3


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Enumerable, Enumerable]:
    folder = tmp_path_factory.mktemp("enumerable")
    return save_enumerable(folder / "policy", seed=1), save_enumerable(folder / "reference", seed=2)


def asked(*texts: str) -> list[Prompt]:
    return [Prompt(id=text, messages=as_messages(text)) for text in texts]


def drawn(models: tuple[Enumerable, Enumerable], measuring: Measuring, *prompts: str) -> list[Answers]:
    policy, reference = (loaded(str(model.folder)) for model in models)
    return list(measured_draws(asked(*prompts), policy, measuring, reference=reference))


def test_kl_and_log_probs_are_those_of_the_enumerated_models(models: tuple[Enumerable, Enumerable]) -> None:
    measuring = Measuring(temperature=HOT, max_tokens=4, draws=1500)
    policy, reference = models
    for found in drawn(models, measuring, "ab", "d"):
        prompt = found.prompt.id
        log_p, log_q = (
            each.log_probs(loaded(str(each.folder)).model, prompt, temperature=HOT).detach().double().numpy()
            for each in (policy, reference)
        )
        exact = float((np.exp(log_p) * (log_p - log_q)).sum())
        kls = np.asarray([draw.kl for draw in found.draws])
        assert (kls >= 0).all()
        assert kls.mean() == pytest.approx(exact, abs=4 * kls.std() / np.sqrt(kls.size))
        known = dict(zip(policy.strings, log_p.tolist(), strict=True))
        for draw in found.draws[:50]:
            assert draw.log_prob == pytest.approx(known[draw.candidate.text], abs=1e-4)
            said, usage = draw.candidate, draw.candidate.usage
            assert said.finish_reason == ("stop" if len(said.text) < 4 else "length")
            assert usage is not None
            assert usage.completion_tokens == min(4, len(said.text) + 1)  # the end token is one, where it was drawn


def test_a_policy_is_at_no_distance_from_itself(models: tuple[Enumerable, Enumerable]) -> None:
    (found,) = drawn((models[0], models[0]), Measuring(max_tokens=4, draws=20), "abc")
    assert [draw.kl for draw in found.draws] == pytest.approx([0.0] * 20, abs=1e-7)


def test_the_same_seed_gives_the_same_draws_however_they_are_cut_into_passes(
    models: tuple[Enumerable, Enumerable],
) -> None:
    prompts = [a + b for a in "abcd" for b in "abcd"]
    whole = drawn(models, Measuring(max_tokens=4, draws=3), *prompts)
    cut = drawn(models, Measuring(max_tokens=4, draws=3, tokens=16), *prompts)
    other = drawn(models, Measuring(max_tokens=4, draws=3, seed=1), *prompts)
    texts = [[draw.candidate.text for draw in found.draws] for found in whole]
    assert [[draw.candidate.text for draw in found.draws] for found in cut] == texts
    assert [[draw.candidate.text for draw in found.draws] for found in other] != texts
    assert [found.prompt.id for found in whole] == prompts


def test_without_a_reference_there_is_no_kl_and_a_prompt_too_long_is_told_of(
    models: tuple[Enumerable, Enumerable],
) -> None:
    policy = loaded(str(models[0].folder))
    (found,) = measured_draws(asked("ab"), policy, Measuring(max_tokens=4, draws=2))
    assert [draw.kl for draw in found.draws] == [None, None]
    with pytest.raises(UsageError, match="prompt 'abab' has 5 tokens"):
        list(measured_draws(asked("abab"), policy, Measuring(max_tokens=40, draws=2)))


def test_a_model_of_other_tokens_is_no_reference(models: tuple[Enumerable, Enumerable], tmp_path: Path) -> None:
    other = save_enumerable(tmp_path / "other", letters=5)
    with pytest.raises(UsageError, match="different tokens"):
        drawn((models[0], other), Measuring(max_tokens=4, draws=2), "ab")
