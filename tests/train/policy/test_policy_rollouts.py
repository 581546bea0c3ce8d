"""Rollouts: drawn as often as the model says, token by token, and read as `hf:` reads them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from online_parts import one_by_one, probabilities

from bon.errors import ModelError, UsageError
from bon.generate.decoding import Answer, Plan, decode
from bon.generate.hf import HFGenerator
from bon.generate.sampling import Sampling
from bon.models.transformers import load_language_model
from bon.testing.checkpoints import save_tiny_model
from bon.testing.enumerable import save_enumerable
from bon.train.policy.rollouts import Decoding, roll_out
from bon.types import Candidate, Seconds

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_language_model(save_tiny_model(tmp_path_factory.mktemp("rollouts") / "llama"), device="cpu")


def drawn(lm: Any, prompts: Any, *, seed: int = 0, eos: Any = None, **more: Any) -> Any:
    settings = {name: more.pop(name) for name in ("temperature", "max_tokens") if name in more}
    decoding = Decoding(**{"max_tokens": 8, "eos": lm.eos if eos is None else eos, **settings})
    return roll_out(lm.model, lm.tokenizer, prompts, decoding, torch.Generator().manual_seed(seed), **more)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_strings_come_as_often_as_the_model_says(tmp_path: Path, temperature: float) -> None:
    world = save_enumerable(tmp_path, letters=2, length=3)
    lm = load_language_model(tmp_path, device="cpu")
    (eos,) = lm.eos
    prompts, count = {"": [eos], "ab": [eos, 0, 1]}, 4000
    found = drawn(lm, list(prompts.values()), draws=count, max_tokens=3, temperature=temperature)
    for place, prompt in enumerate(prompts):
        expected = count * probabilities(world, lm.model, prompt, temperature)
        seen = Counter(rollout.text for rollout in found if rollout.prompt == place)
        observed = np.array([seen[text] for text in world.strings])
        assert observed.sum() == count  # nothing else was drawn
        common = expected > 5
        square = float((((observed - expected) ** 2) / expected)[common].sum())
        free = int(common.sum())
        assert square < free + 4 * (2 * free) ** 0.5  # four standard deviations of a chi-square


@pytest.mark.parametrize("family", ["llama", "mistral", "gpt2"])
def test_what_a_rollout_says_of_its_tokens_is_what_the_model_says(tmp_path: Path, family: str) -> None:
    """Prompts of different lengths, read together, against each answer read by itself."""
    lm = load_language_model(save_tiny_model(tmp_path, family), device="cpu")
    for rollout in drawn(lm, [[5, 6, 7], [9] * 14, [3]], draws=3, temperature=0.8):
        alone = one_by_one(lm.model, rollout.prompt_ids, rollout.ids, 0.8)
        assert torch.allclose(torch.tensor(rollout.log_probs), alone, atol=1e-4)


def test_they_are_tokens_and_text_of_hf_draws(llama: Any) -> None:
    """The same tokens read by the sampler of `hf:` give the same text: special tokens are left out."""
    for rollout in drawn(llama, [[5, 6, 7]], draws=6, max_tokens=6):
        answer = Answer(index=0, seed=0, ids=list(rollout.ids))
        answer.end("stop", llama.tokenizer, ())
        assert rollout.text == answer.text


def test_greedy_draws_agree_with_hf(llama: Any) -> None:
    """At a temperature near 0 both take the most likely token: another implementation of the same walk."""
    prompt = (5, 6, 7)
    (ours,) = drawn(llama, [list(prompt)], temperature=1e-6)
    answer = Answer(index=0, seed=0)
    list(decode(llama, Plan(prompt=prompt, max_tokens=8, sampling=Sampling(temperature=0)), [answer], rows=1))
    assert list(ours.ids) == answer.ids
    assert ours.text == answer.text
    assert ours.ended == (answer.finish_reason == "stop")


def test_an_answer_that_is_cut_has_no_end(llama: Any) -> None:
    """Truncated is not terminated: no end token is added, and it does not count as ended."""
    ends = frozenset(range(0, 400, 7))
    found = drawn(llama, [[5, 6], [3] * 5], draws=40, eos=ends, max_tokens=5)
    assert {rollout.ended for rollout in found} == {True, False}
    for rollout in found:
        assert not any(token in ends for token in rollout.ids[:-1])  # and nothing comes after an end
        assert rollout.ended == (rollout.ids[-1] in ends)
        assert rollout.ended or len(rollout.ids) == 5
        assert len(rollout.log_probs) == len(rollout.ids)


def test_an_end_with_the_last_token_is_an_end(tmp_path: Path) -> None:
    world = save_enumerable(tmp_path, letters=1, length=1)
    lm = load_language_model(tmp_path, device="cpu")
    (eos,) = lm.eos
    found = {(rollout.ids, rollout.ended) for rollout in drawn(lm, [[eos]], draws=60, max_tokens=1)}
    assert found == {((eos,), True), ((0,), False)}
    assert set(world.strings) == {"", "a"}


def test_how_they_are_cut_into_passes_does_not_matter(llama: Any) -> None:
    prompts = [[5, 6, 7], [9] * 14, [3]]
    ends = frozenset(range(0, 400, 9))
    whole = drawn(llama, prompts, draws=5, eos=ends)
    for tokens in (1, 40, 100):
        cut = drawn(llama, prompts, draws=5, eos=ends, tokens=tokens)
        assert [rollout.ids for rollout in cut] == [rollout.ids for rollout in whole]
        for one, other in zip(cut, whole, strict=True):
            assert one.log_probs == pytest.approx(other.log_probs, abs=1e-4)


def test_they_follow_from_the_generator(llama: Any) -> None:
    assert drawn(llama, [[5, 6]], draws=4) == drawn(llama, [[5, 6]], draws=4)
    assert drawn(llama, [[5, 6]], draws=4) != drawn(llama, [[5, 6]], draws=4, seed=1)


class Speaking:
    """Says the same of a prompt, which is one token, and of an answer, whatever the tokens are."""

    def __init__(self, prompt: str, answer: str) -> None:
        self.prompt, self.answer = prompt, answer

    def decode(self, ids: Any, **_: Any) -> str:
        return self.answer if len(ids) > 1 else self.prompt


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize(
    ("prompt", "answer", "said"),
    [
        ("ask", "yes", ("yes", None, True)),
        ("ask", "<think>hm</think>\n yes", ("yes", "hm", True)),
        ("ask <think>\n", "hm</think>yes", ("yes", "hm", True)),
        ("ask", "<think>hm", ("", "hm", False)),
        ("ask <think>\n", "hm", ("", "hm", False)),
    ],
)
def test_a_rollout_is_the_candidate_that_hf_makes_of_such_a_draw(
    llama: Any, prompt: str, answer: str, said: Any, *, ended: bool
) -> None:
    (rollout,) = roll_out(
        llama.model,
        Speaking(prompt, answer),
        [[5]],
        Decoding(max_tokens=2, eos=frozenset()),
        torch.Generator().manual_seed(0),
    )
    if ended:  # the model does not say how, so its second token is made the one that ends an answer
        (rollout,) = roll_out(
            llama.model,
            Speaking(prompt, answer),
            [[5]],
            Decoding(max_tokens=2, eos=frozenset(rollout.ids[1:])),
            torch.Generator().manual_seed(0),
        )
    text, reasoning, closed = said
    found = rollout.candidate(3)
    finish = "stop" if ended and closed else "length"
    assert (found.index, found.text, found.reasoning, found.finish_reason) == (3, text, reasoning, finish)
    assert rollout.ended == ended
    reason = "stop" if ended else "length"
    drawn = Answer(index=3, seed=0, ids=list(rollout.ids), text=answer, finish_reason=reason)
    plan = Plan(prompt=(5,), max_tokens=2, sampling=Sampling(), thinking=prompt.rstrip().endswith("<think>"))
    other = HFGenerator(llama)._draw(drawn, plan, Seconds(total=1.0), reads=True)
    assert isinstance(other, Candidate)
    assert found == replace(other, seed=None, seconds=None, generator="", logprobs=None)


def test_what_cannot_be_drawn_is_refused(tmp_path: Path, llama: Any) -> None:
    with pytest.raises(UsageError, match="temperature is above 0"):
        Decoding(temperature=0, max_tokens=1, eos=frozenset())
    with pytest.raises(UsageError, match="nothing to go on from"):
        drawn(llama, [[]])
    broken = load_language_model(save_tiny_model(tmp_path), device="cpu")
    with torch.no_grad():
        broken.model.get_output_embeddings().weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="no numbers"):
        drawn(broken, [[5]])
