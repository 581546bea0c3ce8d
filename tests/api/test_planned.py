"""What a run would take: known answers, and each number held against one worked out draw by draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.api.planned import Load, Planned, estimated_tokens, load_of, plan, verdicts
from bon.budgets import Fixed, Threshold
from bon.errors import UsageError
from bon.generate.fallback import Fallback
from bon.generate.mixture import Mixture
from bon.generate.request import at_most, merged
from bon.generate.variations import Variations, varied
from bon.ledger import FREE, Caps, Ledger, Price
from bon.registry import BuiltScorer
from bon.registry.undrawn import Undrawn
from bon.score import cascade, heuristic, weighted
from bon.score.judge import BriefForm, Conduct, Judge, gallery
from bon.score.remote import RemoteScorer
from bon.transport import Endpoint
from bon.types import Candidate, Failure, Pool, Prompt, Score, Spent, Usage, as_messages

CHEAP = Undrawn(name="cheap", defaults={"max_tokens": 100}, price=Price(prompt=1e-6, completion=2e-6))
DEAR = Undrawn(name="dear", defaults={"max_tokens": 50}, price=Price(prompt=1e-5, completion=4e-5, call=0.001))
OWN = Undrawn(name="own", defaults={"max_tokens": 10}, price=FREE)
SECRET = Undrawn(name="secret", defaults={"max_tokens": 10}, price=None)
ENDLESS = Undrawn(name="endless", defaults={}, price=CHEAP.price)


def _prompt(text: str = "x" * 40, id_: str = "p", **request: Any) -> Prompt:
    return Prompt(id=id_, messages=as_messages(text), request=request)


def _pool(prompt: Prompt, *indices: int, scores: Sequence[float] = ()) -> Pool:
    pool = Pool(prompt=prompt, candidates=tuple(Candidate(index=index, text="a") for index in indices))
    return pool.with_scores("s", [Score(value=value) for value in scores]) if scores else pool


FOUR = Fixed(4)


def _plan(*prompts: Prompt, generator: Any = CHEAP, budget: Any = FOUR, pool: Pool | None = None) -> Planned:
    return plan(((prompt, pool) for prompt in prompts), generator=generator, budget=budget)


def test_draws_times_tokens_times_price() -> None:
    planned = _plan(_prompt("x" * 40), _prompt("x" * 41, "q"))
    assert (planned.prompts, planned.done, planned.drawn) == (2, 0, 0)
    least, most = planned.least, planned.most
    assert least == most
    assert most is not None
    assert (most.calls, most.prompt_tokens, most.completion_tokens) == (8, 4 * 10 + 4 * 11, 800)
    assert most.money == pytest.approx(84e-6 + 2 * 800e-6)
    bounds = [at_most(_prompt("x" * size), {"max_tokens": 100}) for size in (40, 41)]
    assert most.tokens_bound == 4 * sum(bound.total_tokens for bound in bounds if bound)
    assert most.money_bound is not None
    assert most.money_bound > most.money


def test_the_request_of_a_prompt_wins_over_the_defaults() -> None:
    planned = _plan(_prompt(max_tokens=7), generator=DEAR, budget=Fixed(1))
    assert planned.least.completion_tokens == 7
    assert planned.least.money == pytest.approx(10 * 1e-5 + 7 * 4e-5 + 0.001)


def test_what_there_is_is_not_drawn_again_and_what_failed_is() -> None:
    prompt = _prompt()
    done = _plan(prompt, pool=_pool(prompt, 0, 1, 2, 3))
    assert (done.done, done.drawn, done.least, done.most) == (1, 4, Load(), Load())
    begun = _plan(prompt, pool=_pool(prompt, 1, 2))
    assert (begun.done, begun.drawn, begun.least.calls) == (0, 2, 2)
    mixture = Mixture([CHEAP, OWN])
    assert _plan(prompt, pool=_pool(prompt, 1, 2), generator=mixture).least.completion_tokens == 100 + 10, "0 and 3"
    assert _plan(prompt, pool=_pool(prompt, 0, 2), generator=mixture).least.completion_tokens == 20, "1 and 3"


def test_a_budget_that_adapts_has_a_least_and_a_most() -> None:
    prompt, budget = _prompt(), Threshold(0.9, by="s", most=16)
    planned = _plan(prompt, prompt, budget=budget)
    assert planned.most is not None
    assert (planned.least.calls, planned.most.calls) == (2, 32)
    reached = _plan(prompt, budget=budget, pool=_pool(prompt, 0, 1, scores=[0.1, 0.95]))
    assert (reached.done, reached.least.calls) == (1, 0)
    begun = _plan(prompt, budget=budget, pool=_pool(prompt, 0, 1, scores=[0.1, 0.2]))
    assert begun.most is not None
    assert (begun.least.calls, begun.most.calls) == (1, 14)


def test_a_budget_that_does_not_say_when_it_stops_has_no_most() -> None:
    planned = _plan(_prompt(), budget=lambda pool: 3 - pool.landed)
    assert planned.least.calls == 3
    assert planned.most is None
    assert [verdict.suffices for verdict in verdicts(planned, Caps(calls=10**9), spent=Spent())] == ["unknown"]


def test_a_generator_without_a_price_or_without_a_bound_is_named() -> None:
    load = _plan(_prompt(), generator=Mixture([CHEAP, SECRET])).least
    assert load.unpriced == {"secret"}
    assert load.money == pytest.approx(2 * (10e-6 + 200e-6)), "what is known of it"
    endless = _plan(_prompt(), generator=ENDLESS).least
    assert endless.unbounded == {"endless"}
    assert endless.money is endless.money_bound is None
    free = _plan(_prompt(), generator=replace(ENDLESS, price=FREE)).least
    assert (free.unbounded, free.money) == ({"endless"}, 0.0)


def test_a_fallback_is_as_cheap_as_its_cheapest_and_as_dear_as_its_dearest() -> None:
    planned = _plan(_prompt(), generator=Fallback([DEAR, OWN]))
    alone = _plan(_prompt(), generator=DEAR).least
    assert planned.most is not None
    assert planned.least.money == 0.0
    assert planned.most.money == alone.money
    assert (planned.least.completion_tokens, planned.most.completion_tokens) == (40, 200)
    assert planned.least.calls == planned.most.calls == 4


def test_spares_come_on_top_at_the_most() -> None:
    planned = _plan(_prompt(), generator=replace(CHEAP, at_once=2))
    assert planned.most is not None
    assert (planned.least.calls, planned.most.calls) == (4, 8)
    assert planned.most.money == pytest.approx(2 * (planned.least.money or 0))


def test_a_variation_is_read_too() -> None:
    variations = ["", "Check your answer once more before you give it."]
    planned = _plan(_prompt("?"), generator=Variations(CHEAP, variations), budget=Fixed(2))
    assert planned.least.prompt_tokens == 1 + math.ceil(len(f"?\n\n{variations[1]}") / 4)


def test_bytes_and_not_characters_are_counted() -> None:
    assert estimated_tokens(_prompt("x" * 8), {}) == 2
    assert estimated_tokens(_prompt("ü" * 8), {}) == 4
    assert estimated_tokens(_prompt("x"), {}) == 1
    tools = [{"type": "function", "function": {"name": "f" * 40}}]
    assert estimated_tokens(_prompt("x" * 8), {"tools": tools}) > 12
    parts = ({"role": "user", "content": [{"type": "text", "text": "x" * 8}, {"type": "image_url", "image_url": {}}]},)
    assert estimated_tokens(Prompt(id="p", messages=parts), {}) == 2


# Held against every draw on its own


_leaves = st.sampled_from([CHEAP, DEAR, OWN, SECRET, ENDLESS])
_trees = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(Mixture),
        st.lists(inner, min_size=1, max_size=3).map(Fallback),
        st.tuples(inner, st.lists(st.text("ab ", max_size=9), min_size=1, max_size=3)).map(lambda it: Variations(*it)),
    ),
    max_leaves=5,
)


def _one(generator: Any, prompt: Prompt, index: int) -> list[tuple[Undrawn, Prompt]]:
    """Who may make a draw, of which prompt."""
    if isinstance(generator, Variations):
        variations = generator.variations
        return _one(generator.inner, varied(prompt, variations[index % len(variations)]), index)
    if isinstance(generator, Mixture):
        return _one(generator.generators[index % len(generator.generators)], prompt, index)
    if isinstance(generator, Fallback):
        return [who for one in generator.generators for who in _one(one, prompt, index)]
    return [(generator, prompt)]


@given(_trees, st.sets(st.integers(0, 30), max_size=9), st.text(max_size=30))
def test_each_load_is_the_sum_of_its_draws(tree: Any, indices: set[int], text: str) -> None:
    prompt = _prompt(text)
    low, high = load_of(tree, prompt, sorted(indices))
    makers = [_one(tree, prompt, index) for index in sorted(indices)]
    assert low.calls == high.calls == len(indices)
    names = {who.name for draw in makers for who, _ in draw if who.price is None}
    assert low.unpriced == high.unpriced == names
    single = all(len(draw) == 1 for draw in makers)
    exact = [draw[0] for draw in makers]
    if single:
        assert low == replace(high)
        assert low.prompt_tokens == sum(estimated_tokens(asked, {}) for _, asked in exact)
        assert low.completion_tokens == sum(who.defaults.get("max_tokens", 0) for who, _ in exact)
    if high.money_bound is not None:
        dearest = 0.0
        for draw in makers:
            costs = [0.0]
            for who, asked in draw:
                bound = at_most(asked, merged(who.defaults, asked))
                assert bound is not None or who.price is None
                costs.append(who.price.of(bound) if who.price and bound else 0.0)
            dearest += max(costs)
        if single:
            assert high.money_bound == pytest.approx(dearest)
        else:
            assert low.money_bound is not None
            assert low.money_bound <= high.money_bound * (1 + 1e-9)
            assert high.money_bound == pytest.approx(dearest)


# Whether caps suffice


@pytest.mark.parametrize(
    ("caps", "spent", "suffices"),
    [
        (Caps(calls=8), Spent(), "yes"),
        (Caps(calls=7), Spent(), "no"),
        (Caps(calls=10), Spent(calls=3), "no"),
        (Caps(calls=11), Spent(calls=3), "yes"),
        (Caps(tokens=10_000), Spent(), "yes"),
        (Caps(tokens=1_000), Spent(), "likely"),
        (Caps(tokens=1_000), Spent(usage=Usage(prompt_tokens=500)), "no"),
        (Caps(money=1.0), Spent(), "yes"),
        (Caps(money=0.0018), Spent(), "likely"),
        (Caps(money=0.001), Spent(), "no"),
        (Caps(money=1.0), Spent(money=0.9999), "no"),
        (Caps(seconds=10.0), Spent(), "unknown"),
    ],
)
def test_caps_are_weighed_beside_what_is_spent(caps: Caps, spent: Spent, suffices: str) -> None:
    planned = _plan(_prompt("x" * 40), _prompt("x" * 41, "q"))
    (verdict,) = verdicts(planned, caps, spent=spent)
    assert verdict.suffices == suffices


def test_caps_that_cannot_be_kept_are_refused_as_the_ledger_does() -> None:
    secret, endless = _plan(_prompt(), generator=SECRET), _plan(_prompt(), generator=ENDLESS)
    (verdict,) = verdicts(secret, Caps(money=1.0), spent=Spent())
    assert verdict.suffices == "refused"
    assert "secret" in verdict.why
    assert verdicts(secret, Caps(money=1.0), spent=Spent(), allow_unpriced=True)[0].suffices == "yes"
    for caps in (Caps(tokens=10**9), Caps(money=1.0)):
        (verdict,) = verdicts(endless, caps, spent=Spent())
        assert (verdict.suffices, "give max_tokens" in verdict.why) == ("refused", True)


@pytest.mark.parametrize("generator", [SECRET, ENDLESS, replace(ENDLESS, price=FREE), OWN])
@pytest.mark.parametrize("caps", [Caps(tokens=10**9), Caps(money=1.0), Caps(calls=1)])
async def test_what_is_refused_is_what_the_ledger_refuses(generator: Undrawn, caps: Caps) -> None:
    prompt = _prompt()
    (verdict,) = verdicts(_plan(prompt, generator=generator, budget=Fixed(1)), caps, spent=Spent())
    most = at_most(prompt, merged(generator.defaults, prompt))
    try:
        await Ledger(caps).reserve(most, price=generator.price, by=generator.name)
    except UsageError:
        assert verdict.suffices == "refused"
    else:
        assert verdict.suffices == "yes"


def test_failures_of_other_stages_are_no_draws() -> None:
    prompt = _prompt()
    pool = _pool(prompt, 0, 1).with_failures(Failure(stage="score", error="OSError", message="down", by="s"))
    assert _plan(prompt, pool=pool).least.calls == 2


def _judge(name: str, **conduct: Any) -> Judge:
    return Judge(BriefForm(gallery.load(name)), DEAR, conduct=Conduct(max_tokens=20, **conduct))


@pytest.mark.parametrize(
    ("name", "conduct", "calls"),
    [
        ("base_helpfulness_pointwise", {}, 4),
        ("base_helpfulness_pointwise", {"repeats": 3}, 12),
        ("quality_pairwise", {}, 12),
        ("quality_pairwise", {"rounds": 2}, 12),  # the final, of four at the most, is all pairs of them
        ("base_helpfulness_listwise", {"repeats": 2}, 2),
    ],
)
def test_what_judges_ask_is_counted_and_priced(name: str, conduct: dict[str, int], calls: int) -> None:
    work: list[tuple[Prompt, Pool | None]] = [(_prompt(max_tokens=100), None)]
    without = plan(work, generator=CHEAP, budget=FOUR)
    planned = plan(work, generator=CHEAP, budget=FOUR, scorers={"j": _judge(name, **conduct)})
    assert planned.verdicts == calls
    assert planned.most is not None
    assert without.most is not None
    assert planned.most.calls == without.most.calls + calls
    assert planned.most.completion_tokens == without.most.completion_tokens + 20 * calls
    assert planned.most.money is not None
    assert without.most.money is not None
    assert planned.most.money > without.most.money + 0.001 * calls


def test_what_endpoints_that_score_are_asked_is_counted_and_priced() -> None:
    price = Price(prompt=1e-6, completion=0.0)
    prompt = _prompt(max_tokens=100)
    work: list[tuple[Prompt, Pool | None]] = [(prompt, None)]
    without = plan(work, generator=CHEAP, budget=FOUR)
    each, together = (RemoteScorer(Endpoint("http://127.0.0.1:9"), price=price, pointwise=one) for one in (True, False))
    planned = {s.pointwise: plan(work, generator=CHEAP, budget=FOUR, scorers={"s": s}) for s in (each, together)}
    for scorer in (each, together):
        scorer.close()
    assert (planned[True].verdicts, planned[False].verdicts) == (4, 1)
    for found in planned.values():
        assert found.most is not None
        assert without.most is not None
        assert found.most.money is not None
        assert without.most.money is not None
        assert found.most.completion_tokens == without.most.completion_tokens
        read = found.most.prompt_tokens - without.most.prompt_tokens
        assert read >= 4 * 100
        assert found.most.money == pytest.approx(without.most.money + read * 1e-6)


def test_judges_inside_combinations_are_counted_as_often_as_they_would_be_asked() -> None:
    dear = cascade(heuristic, _judge("base_helpfulness_pointwise"), k=2)
    both = weighted({"a": dear, "b": BuiltScorer(_judge("base_honesty_pointwise"), spec="", name="b")})
    work: list[tuple[Prompt, Pool | None]] = [(_prompt(), None)]
    assert plan(work, generator=CHEAP, budget=FOUR, scorers={"both": both}).verdicts == 2 + 4


def test_what_is_judged_already_is_not_counted() -> None:
    prompt = _prompt()
    pool = _pool(prompt, 0, 1, scores=[1.0, 2.0])
    pointwise, listwise = _judge("base_helpfulness_pointwise"), _judge("base_helpfulness_listwise")
    assert plan([(prompt, pool)], generator=CHEAP, budget=FOUR, scorers={"s": pointwise}).verdicts == 2
    assert plan([(prompt, pool)], generator=CHEAP, budget=Fixed(2), scorers={"s": pointwise}).verdicts == 0
    assert plan([(prompt, pool)], generator=CHEAP, budget=FOUR, scorers={"s": listwise}).verdicts == 1
    assert plan([(prompt, pool)], generator=CHEAP, budget=Fixed(2), scorers={"s": listwise}).verdicts == 0
