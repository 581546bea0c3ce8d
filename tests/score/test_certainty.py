from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bon.errors import UsageError
from bon.score import SelfCertainty, selfcertainty
from bon.testing.pools import pool_of
from bon.types import Logprobs, Pool


def pool_with(*logprobs: Logprobs | None) -> Pool:
    pool = pool_of(["x"] * len(logprobs))
    candidates = zip(pool.candidates, logprobs, strict=True)
    return replace(pool, candidates=tuple(replace(candidate, logprobs=found) for candidate, found in candidates))


def distributions(seed: int, tokens: int = 5, vocabulary: int = 7) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(tokens, vocabulary)) * 3
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def kl_from_uniform(p: np.ndarray) -> np.ndarray:
    """Term by term, as Kang et al. write it: sum over the vocabulary of 1/V log((1/V) / p)."""
    size = p.shape[1]
    return np.array([sum(1 / size * np.log(1 / size / value) for value in row) for row in p])


def logprobs_of(p: np.ndarray, *, top: int | None = None, exact: bool = False) -> Logprobs:
    ordered = -np.sort(-np.log(p), axis=1)
    return Logprobs(
        tokens=tuple(ordered[:, 0].tolist()),
        top=tuple(map(tuple, ordered[:, :top].tolist())) if top else None,
        certainty=tuple(kl_from_uniform(p).tolist()) if exact else None,
    )


async def test_exact_certainty_is_the_mean_kl_from_uniform() -> None:
    p = distributions(0)
    (score,) = await selfcertainty(pool_with(logprobs_of(p, top=3, exact=True)))
    assert score.value == pytest.approx(kl_from_uniform(p).mean())
    assert "whole vocabulary" in score.reason


async def test_top_k_is_the_kl_of_the_renormalised_top_and_exact_when_k_is_everything() -> None:
    p = distributions(1)
    (everything,) = await selfcertainty(pool_with(logprobs_of(p, top=7)))
    assert everything.value == pytest.approx(kl_from_uniform(p).mean())
    (some,) = await selfcertainty(pool_with(logprobs_of(p, top=3)))
    largest = -np.sort(-p, axis=1)[:, :3]
    assert some.value == pytest.approx(kl_from_uniform(largest / largest.sum(axis=1, keepdims=True)).mean())
    assert "the 3 likeliest tokens" in some.reason


async def test_without_more_it_is_the_mean_logprob_of_the_sampled_tokens() -> None:
    (score,) = await selfcertainty(pool_with(Logprobs(tokens=(-1.0, -2.0, -6.0))))
    assert score.value == pytest.approx(-3)
    assert score.reason == "mean logprob of the sampled tokens, in nats"


async def test_a_mixed_pool_is_scored_on_one_scale() -> None:
    p, q = distributions(2), distributions(3)
    exact, top, sampled = logprobs_of(p, top=4, exact=True), logprobs_of(q, top=4), logprobs_of(q)
    first, second = await selfcertainty(pool_with(exact, top))
    assert first == (await selfcertainty(pool_with(replace(exact, certainty=None))))[0]
    assert first.reason == second.reason
    scores = await selfcertainty(pool_with(exact, top, sampled, None))
    assert [score.value for score in scores[:3]] == pytest.approx(
        [np.log(p.max(axis=1)).mean(), np.log(q.max(axis=1)).mean(), np.log(q.max(axis=1)).mean()]
    )
    assert scores[3].value is None


async def test_a_pool_with_different_ks_is_scored_with_the_smallest() -> None:
    p = distributions(4)
    wide, narrow = await selfcertainty(pool_with(logprobs_of(p, top=6), logprobs_of(p, top=3)))
    assert wide == narrow


async def test_rows_with_the_sampled_token_added_count_their_k_likeliest() -> None:
    p = distributions(5)
    plain = logprobs_of(p, top=3)
    assert plain.top is not None
    added = replace(plain, top=(*plain.top[:-1], (-9.0, *plain.top[-1])))
    assert await selfcertainty(pool_with(added)) == await selfcertainty(pool_with(plain))


async def test_no_logprobs_is_missing_and_says_how_to_get_them() -> None:
    for none in (None, Logprobs(tokens=())):
        (score,) = await selfcertainty(pool_with(none))
        assert score.value is None
        assert "request logprobs=true" in score.reason


async def test_one_kind_is_pointwise_and_the_default_is_not() -> None:
    assert not selfcertainty.pointwise
    fixed = SelfCertainty("sampled")
    assert fixed.pointwise
    p = distributions(6)
    pool = pool_with(logprobs_of(p, top=4, exact=True), logprobs_of(p))
    alone = [(await fixed(replace(pool, candidates=(candidate,))))[0] for candidate in pool.candidates]
    assert list(await fixed(pool)) == alone
    lacking = (await SelfCertainty("exact")(pool))[1]
    assert lacking.value is None
    assert "hf:" in lacking.reason
    assert "top_logprobs" in (await SelfCertainty("top")(pool))[1].reason
    with pytest.raises(UsageError, match="'best' is none of exact, top, sampled"):
        SelfCertainty("best")  # type: ignore[arg-type]


@pytest.mark.parametrize("never", [-9999.0, float("-inf")])
async def test_endpoints_that_write_practically_never_do_not_break_the_scale(never: float) -> None:
    (top,) = await selfcertainty(pool_with(Logprobs(tokens=(0.0,), top=((0.0, never),))))
    assert top.value == pytest.approx(50 - np.log(2))
    (sampled,) = await selfcertainty(pool_with(Logprobs(tokens=(0.0, never))))
    assert sampled.value == pytest.approx(-50)


async def test_nan_logprobs_are_missing() -> None:
    for broken in (Logprobs(tokens=(float("nan"),)), Logprobs(tokens=(0.0,), certainty=(float("inf"),))):
        (score,) = await selfcertainty(pool_with(broken))
        assert score.value is None
        assert "NaN" in score.reason
