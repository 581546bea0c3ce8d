"""What `bon doctor` finds in scorers that read tokens: each mistake, made on purpose by a real endpoint, is seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bon.score.remote import RemoteScorer, Terms
from bon.testing import Fault, RewardServer
from bon.testing.examine import examine_scorer
from bon.testing.finding import Finding, alike
from bon.transport import Endpoint, Retries
from bon.types import Score

GENERAL = ["scores", "the same in any order", "the same again", "the same alone as in a batch"]
BEGIN, END = "reads a long answer to its beginning", "reads a long answer to its end"
PADDING, BATCHES = "the same beside a long answer (padding)", "the same beside other prompts (batches)"
APART, BOS, LONG = "tells answers apart", "one BOS", "says when an answer is too long"
READING = [APART, PADDING, BATCHES, BOS, END, BEGIN, LONG]


async def found(api: str = "vllm-classify", terms: Terms | None = None, **options: Any) -> dict[str, Finding]:
    async with RewardServer(**options) as server:
        endpoint = Endpoint(server.root, retries=Retries(attempts=1))
        scorer = RemoteScorer(endpoint, api=api, terms=terms)
        findings = {finding.check: finding async for finding in examine_scorer(scorer)}
        scorer.close()
    return findings


def reward(before: str, answer: str) -> float:
    return sum(ord(c) * (i + 1) for i, c in enumerate(answer)) % 997 / 97 + len(before) / 1000


def bad(findings: dict[str, Finding], verdict: str = "no") -> list[str]:
    return [check for check, finding in findings.items() if finding.verdict == verdict]


@pytest.mark.parametrize("api", ["vllm-classify", "vllm-pooling", "sglang-classify"])
async def test_a_sound_endpoint_passes_every_check(api: str) -> None:
    findings = await found(api, score=reward)
    assert list(findings) == [*GENERAL, *READING]
    assert {finding.verdict for finding in findings.values()} == {"yes"}, findings


@pytest.mark.parametrize("api", ["bon", "vllm-score", "vllm-rerank", "sglang-rerank", "sglang-score"])
async def test_where_the_tokens_are_not_told_that_is_said(api: str) -> None:
    findings = await found(api, score=reward)
    assert bad(findings) == []
    assert bad(findings, "unknown") == [BOS, LONG]


async def test_a_scorer_that_gives_no_score_passes_no_check() -> None:
    findings = await found(score=reward, faults=[Fault(status=500)] * 100)
    assert list(findings) == ["scores"]  # without a score there is nothing to compare
    assert findings["scores"].verdict == "no"


async def test_two_bos_are_seen() -> None:
    findings = await found(score=reward, bos=2)
    assert bad(findings) == [BOS]
    assert "1, 1: a chat template and a tokenizer both put a BOS" in findings[BOS].detail


async def test_truncation_that_nobody_is_told_of_is_seen() -> None:
    findings = await found(score=reward, context=1_000, truncates=True)
    assert bad(findings) == [END, LONG]


async def test_what_is_too_long_and_said_to_be_is_fine() -> None:
    findings = await found(score=reward, context=1_000)
    assert bad(findings) == bad(findings, "unknown") == []
    assert "context length is 1000" in findings[END].detail
    assert "it reads 1000 tokens: Rejected" in findings[LONG].detail


async def test_an_answer_cut_at_its_beginning_is_not_taken_for_sound() -> None:
    findings = await found(score=lambda _, answer: reward("", answer[-500:]))
    assert bad(findings, "unknown") == [BEGIN]


async def test_padding_that_counts_is_seen() -> None:
    findings = await found("sglang-classify", score=reward, padding=0.01)
    assert {"the same alone as in a batch", PADDING} <= set(bad(findings))


async def test_neighbours_of_other_prompts_that_count_are_seen() -> None:
    """Of requests that come together, as one that gathers them in batches would do it."""
    under_way = 0

    class Crowded(RemoteScorer):
        async def __call__(self, pool: Any) -> Sequence[Score]:
            nonlocal under_way
            under_way += 1
            scores = await super().__call__(pool)
            crowd, under_way = under_way, under_way - 1
            return [score if score.value is None else replace(score, value=score.value + crowd) for score in scores]

    async with RewardServer(reward) as server:
        scorer = Crowded(Endpoint(server.root), api="vllm-classify")
        findings = {finding.check: finding async for finding in examine_scorer(scorer)}
        scorer.close()
    assert bad(findings) == [BATCHES]


async def test_a_softmax_over_one_number_is_seen() -> None:
    findings = await found(score=lambda *_: 1.0)
    assert APART in bad(findings)
    assert "softmax over one number" in findings[APART].detail


async def test_what_fails_on_the_way_is_said_and_the_rest_goes_on() -> None:
    untold = Fault(change=lambda answer: {"tokens": "many"} if "tokens" in answer else answer)
    findings = await found(score=reward, faults=untold)
    assert bad(findings, "unknown") == [BOS, LONG]
    assert "cannot be read" in findings[BOS].detail
    assert bad(findings) == []


async def test_steps_that_get_lost_are_seen() -> None:
    def right(_: str, answer: str) -> Sequence[float]:
        return [0.0, math.sin(len(answer))]

    terms = Terms(separator="<extra_0>", output=1)
    findings = await found("vllm-pooling", terms, score=right, separator="<extra_0>")
    assert findings["a score for every step"].verdict == "yes", findings

    class Loses(RemoteScorer):
        async def __call__(self, pool: Any) -> Sequence[Score]:
            scores = await super().__call__(pool)
            return [replace(score, steps=(score.steps or ())[:2]) for score in scores]

    async with RewardServer(right, separator="<extra_0>") as server:
        scorer = Loses(Endpoint(server.root), api="vllm-pooling", terms=terms)
        lost = {finding.check: finding async for finding in examine_scorer(scorer)}
        scorer.close()
    assert bad(lost) == ["a score for every step"]
    assert "got 2, 2, 2 scores" in lost["a score for every step"].detail


def test_what_half_precision_may_do_is_not_sure() -> None:
    def scores(*values: float) -> list[Score]:
        return [Score(value=value) for value in values]

    assert alike("x", scores(0.0, 5.0), scores(0.00005, 5.0)).verdict == "yes"
    rounded = alike("x", scores(0.0, 5.0), scores(0.05, 5.0))
    assert (rounded.verdict, "1.0% of what lies between" in rounded.detail) == ("unknown", True)
    assert alike("x", scores(0.0, 5.0), scores(0.5, 5.0)).verdict == "no"
    assert alike("x", scores(5.0, 5.0), scores(5.1, 5.0)).verdict == "no"
    assert alike("x", scores(5.0), [Score.missing("gone")]).verdict == "no"


async def test_scorers_that_read_no_tokens_are_not_asked_about_them() -> None:
    async def plain(pool: Any) -> Sequence[Score]:
        return [Score(value=float(len(candidate.text))) for candidate in pool.candidates]

    assert [finding.check async for finding in examine_scorer(plain)] == GENERAL[:3]
