"""Pools as samples to rank against: what of them is read, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bon.errors import UsageError
from bon.generate.hf import HFGenerator
from bon.generate.planning import encoded_prompt
from bon.testing.checkpoints import save_tiny_model
from bon.train.policy.evidence import require_rewards
from bon.train.policy.logprobs import token_log_probs
from bon.train.policy.model import PolicySetup, load_policy
from bon.train.policy.origin import require_log_probs, taken_for
from bon.train.policy.pools import fingerprint, references
from bon.types import Candidate, Logprobs, Pool, Prompt, Score, Spent, Usage, as_messages

REQUEST = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 6, "seed": 3}


def pool(name: str = "a", values: Sequence[float | None] = (2.0, 0.5, 1.0), **request: Any) -> Pool:
    candidates = tuple(
        Candidate(index=place, text=f"text {place}", generator="hf:ref", usage=Usage(completion_tokens=4))
        for place in range(len(values))
    )
    scores = tuple(Score(value=value) if value is not None else Score.missing("it failed") for value in values)
    prompt = Prompt(id=name, messages=as_messages(f"say {name}"), request={**REQUEST, **request})
    return Pool(prompt=prompt, candidates=candidates, scores={"rm": scores}, spent=Spent(seconds=1.5))


def test_samples_are_the_sorted_rewards_of_each_prompt_by_itself() -> None:
    found = references([pool("a"), pool("b", (5.0, -1.0, 0.0, 4.0))], "rm")
    assert {name: values.tolist() for name, values in found.samples.items()} == {
        "a": [0.5, 1.0, 2.0],
        "b": [-1.0, 0.0, 4.0, 5.0],
    }
    assert [prompt.id for prompt in found.prompts] == ["a", "b"]
    assert (found.temperature, found.max_tokens) == (1.0, 6)
    assert (found.cost.seconds, found.cost.tokens, found.cost.draws) == (3.0, 28, 7)
    assert found.notes == ()


def test_the_first_m_samples_can_be_asked_for() -> None:
    found = references([pool(values=(9.0, 1.0, 3.0))], "rm", limit=2)
    assert found.samples["a"].tolist() == [1.0, 9.0]
    assert (found.cost.seconds, found.cost.tokens, found.cost.draws) == (1.0, 8, 2)  # two thirds of the pool's 1.5 s
    unscored_later = references([pool(values=(9.0, 1.0, None))], "rm", limit=2)
    assert unscored_later.samples["a"].tolist() == [1.0, 9.0]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"temperature": 0.7}, "temperature is 0.7 in the samples, 1.0 in training"),
        ({"max_tokens": 5}, "max_tokens is 5 in the samples, 6 in training"),
        ({"top_p": 0.9}, "top_p is 0.9 in the samples, 1 in training"),
        ({"top_k": 40}, "top_k is 40 in the samples, 0 in training"),
        ({"min_p": 0.05}, "min_p is 0.05"),
        ({"stop": ["\n"]}, "stop is"),
        ({"repetition_penalty": 1.1}, "repetition_penalty is 1.1"),
        ({"presence_penalty": 0.5}, "presence_penalty is 0.5"),
        ({"num_beams": 4}, "num_beams is 4"),
        ({"logit_bias": {"5": 1}}, "logit_bias is"),
        ({"something_new": 1}, "something_new is 1 in the samples, 'not there' in training"),
    ],
)
def test_samples_that_are_drawn_otherwise_than_rollouts_are_refused(request_: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        references([pool("a"), pool("odd", **request_)], "rm", temperature=1.0, max_tokens=6)
    assert "'odd'" in str(refused.value)
    with pytest.raises(UsageError, match="'odd'"):  # and where training takes what the first pool says
        references([pool("a"), pool("odd", **request_)], "rm")


def test_what_changes_no_distribution_is_let_through() -> None:
    neutral = {"top_k": 0, "min_p": 0, "stop": [], "presence_penalty": 0, "seed": 99, "logprobs": True, "num_beams": 1}
    assert fingerprint(pool(**neutral).prompt) == {"temperature": 1.0, "max_tokens": 6}
    assert references([pool(), pool("b", **neutral)], "rm").temperature == 1.0
    short = pool("c")
    request = {name: value for name, value in REQUEST.items() if name not in ("max_tokens", "temperature")}
    other = replace(short, prompt=replace(short.prompt, request={**request, "max_completion_tokens": 6}))
    assert fingerprint(other.prompt) == fingerprint(short.prompt)  # a temperature that is not stated is 1
    with pytest.raises(UsageError, match="had no max_tokens"):
        references([replace(short, prompt=replace(short.prompt, request=request))], "rm")


def test_samples_without_a_reward_are_refused() -> None:
    with pytest.raises(UsageError, match=r"1 of 2 prompts .*'b': 2 samples without a reward.*bon score"):
        references([pool("a"), pool("b", (None, 1.0, None))], "rm")
    with pytest.raises(UsageError, match=r"have no rewards of 'other' .they have: rm.*bon score"):
        references([pool("a")], "other")
    with pytest.raises(UsageError, match="no samples"):
        references([pool("a", ())], "rm")
    with pytest.raises(UsageError, match="there are no pools"):
        references([], "rm")
    with pytest.raises(UsageError, match="two pools are of the prompt 'a'"):
        references([pool("a"), pool("a")], "rm")


def test_samples_of_several_models_or_of_varied_prompts_are_refused() -> None:
    one = pool("a")
    other = replace(one.candidates[0], generator="openai:other")
    with pytest.raises(UsageError, match="2 generators"):
        references([replace(one, candidates=(other, *one.candidates[1:]))], "rm")
    varied = replace(one.candidates[0], variation="polite")
    with pytest.raises(UsageError, match="answers a variation"):
        references([replace(one, candidates=(varied, *one.candidates[1:]))], "rm")


def test_n_beyond_m_is_warned_of_once() -> None:
    with pytest.warns(UserWarning, match="N is 16, and some prompts have 3 reference samples") as said:
        found = references([pool("a"), pool("b", range(20)), pool("c")], "rm", n=16)
    assert len(said) == 1
    assert len(found.notes) == 1
    assert references([pool("a")], "rm", n=3).notes == ()


def test_rewards_are_asked_for_again() -> None:
    pools = [pool("a"), pool("b", (5.0, -1.0, 0.0))]
    known = {
        (each.prompt.id, c.text): v for each in pools for c, v in zip(each.candidates, each.values("rm"), strict=True)
    }

    def scorer(rows: Any, shift: float = 0.0) -> list[list[float | None]]:
        return [
            [value + shift for one in answers if (value := known[prompt.id, one.text]) is not None]
            for prompt, answers in rows
        ]

    assert "2 samples were scored again" in require_rewards(pools, "rm", scorer)
    assert "0.00" in require_rewards(pools, "rm", lambda rows: scorer(rows, 1e-3))  # rounding
    with pytest.raises(UsageError, match=r"the pools say 2\.0"):
        require_rewards(pools, "rm", lambda rows: scorer(rows, 0.5))
    with pytest.raises(UsageError, match="a reward of None"):
        require_rewards(pools, "rm", lambda rows: [[None] for _ in rows])


def mixed(rule: Any, *, sizes: Sequence[int] = (3, 3, 3, 3, 3, 3)) -> list[Pool]:
    """Pools of which the last draws of the last ones were cut off, scored by a rule."""
    found = []
    for place, size in enumerate(sizes):
        known = pool(f"p{place}", [0.0] * size)
        cut = place >= len(sizes) - 2
        said = tuple(
            replace(one, finish_reason="length" if cut and one.index == size - 1 else "stop")
            for one in known.candidates
        )
        scores = tuple(Score(value=rule(one)) for one in said)
        found.append(replace(known, candidates=said, scores={"rm": scores}))
    return found


def asking(rule: Any, seen: list[Candidate] | None = None) -> Any:
    """A reward by a rule, which notes what it was shown."""

    def reward(rows: Any) -> list[list[float]]:
        if seen is not None:
            seen.extend(one for _, answers in rows for one in answers)
        return [[rule(one) for one in answers] for _, answers in rows]

    return reward


def plain(candidate: Candidate) -> float:
    return float(candidate.index)


def whole(candidate: Candidate) -> float:
    """Ten off for what was cut off."""
    return candidate.index - 10.0 * (not candidate.complete)


def test_samples_that_were_cut_off_are_asked_for_again_too() -> None:
    seen: list[Candidate] = []
    note = require_rewards(mixed(whole), "rm", asking(whole, seen))
    assert [one.complete for one in seen] == [True, True, False, False]
    assert note.startswith("4 samples were scored again, 2 of them cut off: they differ by 0 ")
    with pytest.raises(UsageError, match=r"sample 2 of 'p4', which was cut off, a reward of -8\.0 .* say 2\.0"):
        require_rewards(mixed(plain), "rm", asking(whole))  # the pools were scored as if all had ended
    with pytest.raises(UsageError, match=r"sample 2 of 'p4', which was cut off, a reward of 2\.0 .* say -8\.0"):
        require_rewards(mixed(whole), "rm", asking(plain))


def test_where_one_kind_of_sample_lacks_more_of_the_other_are_asked_for() -> None:
    def ends(pools: Sequence[Pool]) -> list[bool]:
        seen: list[Candidate] = []
        require_rewards(pools, "rm", asking(plain, seen))
        return [one.complete for one in seen]

    assert ends(mixed(plain)[:4]) == [True] * 4
    assert ends(mixed(plain, sizes=(1, 1))) == [False] * 2
    assert ends(mixed(plain, sizes=(2, 1, 1))) == [True, False, False]
    unscored = [each.with_scores("rm", [Score.missing("it failed")] * 3) for each in mixed(plain)[:1]]
    assert ends([*unscored, *mixed(plain)[1:3]]) == [True] * 2  # and none whose reward is not known


def test_what_rollouts_do_not_have_is_not_shown_when_rewards_are_asked_for_again() -> None:
    """Pools that were scored by it are refused, and what rollouts do have is shown as it was."""
    thought = [
        replace(
            each,
            candidates=tuple(replace(one, reasoning="hm", usage=Usage(completion_tokens=7)) for one in each.candidates),
        )
        for each in mixed(plain)
    ]
    seen: list[Candidate] = []
    require_rewards(thought, "rm", asking(plain, seen))
    assert {(one.reasoning, one.usage) for one in seen} == {("hm", Usage(completion_tokens=7))}
    for more in ({"answer": "4"}, {"logprobs": Logprobs(tokens=(-1.0,))}, {"token_ids": (1, 2)}):
        (name,) = more

        def rule(candidate: Candidate, name: str = name) -> float:
            return candidate.index + 5.0 * (getattr(candidate, name) is not None)

        pools = [
            replace(
                each,
                candidates=tuple(replace(one, **more) for one in each.candidates),  # type: ignore[arg-type]
                scores={"rm": tuple(Score(value=one.index + 5.0) for one in each.candidates)},
            )
            for each in mixed(plain)
        ]
        with pytest.raises(UsageError, match="something that draws in training do not have"):
            require_rewards(pools, "rm", asking(rule))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Pool]]:
    """A tiny model, and pools that `hf:` drew from it at another temperature than its log-probabilities are of."""
    pytest.importorskip("torch")
    folder = save_tiny_model(tmp_path_factory.mktemp("pools") / "llama")
    generator = HFGenerator(folder, device="cpu")
    request = {**REQUEST, "temperature": 0.7, "return_token_ids": True}

    async def draw() -> list[Pool]:
        found = []
        for text in ("one", "two and more"):
            prompt = Prompt(id=text, messages=as_messages(text), request=request)
            candidates = [draw async for draw in generator(prompt, 3)]
            found.append(Pool(prompt=prompt, candidates=tuple(c for c in candidates if isinstance(c, Candidate))))
        return found

    pools = asyncio.run(draw())
    generator.close()
    return folder, pools


def test_log_probabilities_of_hf_draws_are_the_references(drawn: tuple[Path, list[Pool]], tmp_path: Path) -> None:
    folder, pools = drawn
    policy = load_policy(PolicySetup(reference=str(folder), device="cpu"), seed=0)
    assert "of 2 samples are the reference's" in require_log_probs(policy, pools)
    other = load_policy(PolicySetup(reference=str(save_tiny_model(tmp_path, seed=7)), device="cpu"), seed=0)
    with pytest.raises(UsageError, match="of another model"):
        require_log_probs(other, pools)
    chat = replace(pools[0], prompt=replace(pools[0].prompt, messages=as_messages("three")))
    with pytest.raises(UsageError, match="another chat template"):
        require_log_probs(policy, [chat])


def test_samples_further_down_a_pool_are_checked_where_the_first_cannot_be(
    drawn: tuple[Path, list[Pool]], tmp_path: Path
) -> None:
    """Without token ids only what the tokenizer reads again as so many tokens can be held against the reference."""
    folder, pools = drawn
    blind = [
        replace(each, candidates=(replace(each.candidates[0], logprobs=None), *each.candidates[1:])) for each in pools
    ]
    policy = load_policy(PolicySetup(reference=str(folder), device="cpu"), seed=0)
    assert "of 2 samples are the reference's" in require_log_probs(policy, blind)
    other = load_policy(PolicySetup(reference=str(save_tiny_model(tmp_path, seed=7)), device="cpu"), seed=0)
    with pytest.raises(UsageError, match="of another model"):
        require_log_probs(other, blind)


def test_a_text_that_is_read_as_other_tokens_condemns_nothing_alone(drawn: tuple[Path, list[Pool]]) -> None:
    """Without token ids one sample that agrees says whose they are; with them none may differ."""
    import torch

    folder, pools = drawn
    policy = load_policy(PolicySetup(reference=str(folder), device="cpu"), seed=0)
    ids = policy.tokenizer("abc", add_special_tokens=False)["input_ids"]
    prompt = encoded_prompt(policy.tokenizer, pools[0].prompt.messages, pools[0].prompt.request)[1]
    with torch.no_grad():
        said = token_log_probs(policy.model, [prompt], [ids])[0][0].tolist()
    plain = Candidate(index=0, text="abc", finish_reason="length")
    right, wrong = (replace(plain, logprobs=Logprobs(tokens=tuple(values))) for values in (said, [-9.0] * len(ids)))
    two = [replace(pools[0], candidates=(each,)) for each in (wrong, right)]
    assert "of 1 samples are the reference's" in require_log_probs(policy, two)
    with pytest.raises(UsageError, match="of another model"):
        require_log_probs(policy, two[:1])
    with pytest.raises(UsageError, match="of another model"):
        require_log_probs(policy, [replace(pools[0], candidates=(replace(wrong, token_ids=tuple(ids)),)), two[1]])


def test_generators_of_another_name_are_told(drawn: tuple[Path, list[Pool]]) -> None:
    folder, _ = drawn
    assert taken_for({f"hf:{folder}", ""}, str(folder)) is None
    assert "hf:other, which is taken to be the same model as mine" in (taken_for({"hf:other", "hf:mine"}, "mine") or "")


def test_an_endpoint_that_was_not_told_top_p_is_told() -> None:
    plain = pool("a")
    asked = replace(plain.prompt, request={"temperature": 1.0, "max_tokens": 6})
    theirs = tuple(replace(candidate, generator="openai:m") for candidate in plain.candidates)
    assert any(
        "not told top_p" in note for note in references([replace(plain, prompt=asked, candidates=theirs)], "rm").notes
    )
    assert references([replace(plain, prompt=asked)], "rm").notes == ()
    assert references([replace(plain, candidates=theirs)], "rm").notes == ()


def test_it_is_said_where_there_was_nothing_to_hold_against_the_reference(drawn: tuple[Path, list[Pool]]) -> None:
    folder, pools = drawn
    policy = load_policy(PolicySetup(reference=str(folder), device="cpu"), seed=0)
    silent = [replace(each, candidates=tuple(replace(c, logprobs=None) for c in each.candidates)) for each in pools]
    assert "was not checked" in require_log_probs(policy, silent)
    odd = replace(pools[0].candidates[0], logprobs=Logprobs(tokens=(-1.0,) * 50))
    assert "was not checked" in require_log_probs(policy, [replace(pools[0], candidates=(odd,))])
