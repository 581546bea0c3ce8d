"""Scores over HTTP, from a real server that speaks each shape: what comes back, what it cost, and what goes wrong."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from bon.errors import UsageError
from bon.events import Event, Retried
from bon.ledger import Caps, Ledger, Price
from bon.score.remote import SHAPES, RemoteScorer, Terms
from bon.testing import Fault, RewardServer, check_scorer, pool_of
from bon.testing.faults import Faults
from bon.transport import Endpoint, Limits, Retries, Timeouts
from bon.types import Pool, Prompt, Score, Usage, as_messages

CHATS = ["vllm-classify", "vllm-pooling", "sglang-classify"]
PAIRS = ["bon", "vllm-score", "vllm-rerank", "sglang-rerank"]
ALL = [*CHATS, *PAIRS, "sglang-score"]
TEXTS = ["It is 42.", "41, I think, or perhaps 43", "", "Ünïcode: 四十二 ✓", "42"]
POOL = pool_of(TEXTS)
QUICK = Retries(attempts=3, base=0.001, cap=0.001)


def reward(before: str, answer: str) -> float:
    """A number that depends on every character and its place."""
    return sum(ord(c) * (i + 1) for i, c in enumerate(answer)) % 997 / 97 - 3 + len(before) / 1000


@asynccontextmanager
async def scoring(
    api: str,
    *,
    faults: Faults = None,
    terms: Terms | None = None,
    retries: Retries = QUICK,
    timeouts: Timeouts | None = None,
    **options: Any,
) -> AsyncIterator[tuple[RemoteScorer, RewardServer]]:
    async with RewardServer(options.pop("score", reward), faults=faults, **options) as server:
        endpoint = Endpoint(server.root, retries=retries, timeouts=timeouts)
        scorer = RemoteScorer(endpoint, api=api, terms=terms)
        try:
            yield scorer, server
        finally:
            scorer.close()


def values(scores: Sequence[Score]) -> list[float | None]:
    return [score.value for score in scores]


def expected(api: str, pool: Pool = POOL) -> list[float]:
    before = pool.prompt.text
    if api == "sglang-score":
        before += "\n\n"
    return [reward(before, candidate.text) for candidate in pool.candidates]


def without_empty(api: str) -> Pool:
    """SGLang's reranker refuses empty documents."""
    return pool_of([text for text in TEXTS if text]) if api == "sglang-rerank" else POOL


# What is right


@pytest.mark.parametrize("api", ALL)
async def test_every_shape_gives_each_candidate_its_own_reward(api: str) -> None:
    pool = without_empty(api)
    async with scoring(api) as (scorer, _):
        assert values(await scorer(pool)) == pytest.approx(expected(api, pool), abs=1e-9)


@pytest.mark.parametrize("api", ALL)
async def test_every_shape_keeps_the_promises_of_a_pointwise_scorer(api: str) -> None:
    async with scoring(api) as (scorer, _):
        await check_scorer(scorer, pool=without_empty(api))


def test_there_is_a_test_for_every_shape() -> None:
    assert sorted(ALL) == sorted(SHAPES)


@pytest.mark.parametrize("api", [*CHATS, "bon"])
async def test_the_whole_conversation_is_sent_and_none_of_it_is_lost(api: str) -> None:
    messages = (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "6 * 7?"},
        {"role": "assistant", "content": "43"},
        {"role": "user", "content": "Sure?"},
    )
    pool = pool_of(["No: 42."], prompt=Prompt(id="p", messages=messages))
    async with scoring(api) as (scorer, server):
        await scorer(pool)
        sent = server.ledger.calls[0].request["messages"]
    assert sent[:4] == list(messages)
    assert api == "bon" or sent[4:] == [{"role": "assistant", "content": "No: 42."}]


@pytest.mark.parametrize("api", CHATS)
async def test_an_answer_that_the_prompt_has_begun_is_one_message(api: str) -> None:
    messages = (*as_messages("6 * 7?"), {"role": "assistant", "content": "It is "})
    async with scoring(api) as (scorer, server):
        await scorer(pool_of(["42."], prompt=Prompt(id="p", messages=messages)))
        assert server.ledger.calls[0].request["messages"][1:] == [{"role": "assistant", "content": "It is 42."}]


async def test_pairs_of_a_longer_chat_carry_its_roles() -> None:
    messages = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "6 * 7?"})
    async with scoring("vllm-score") as (scorer, server):
        await scorer(pool_of(["42"], prompt=Prompt(id="p", messages=messages)))
        assert server.ledger.calls[0].request["text_1"] == "system: Be brief.\n\nuser: 6 * 7?"


@pytest.mark.parametrize("api", ALL)
async def test_a_picture_is_sent_or_missed_and_never_left_out(api: str) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = ({"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]},)
    async with scoring(api) as (scorer, server):
        (score,) = await scorer(pool_of(["A cat."], prompt=Prompt(id="p", messages=messages)))
        sent = [call.request["messages"] for call in server.ledger.calls]
    if api in ("bon", "vllm-classify", "vllm-pooling"):
        assert score.value is not None
        assert picture in sent[0][0]["content"]
    else:
        assert sent == []
        assert score.reason == f"{api} reads text, and this chat holds image_url"


async def test_no_shape_asks_for_probabilities_nor_for_truncation_unless_told() -> None:
    for api in ALL:
        async with scoring(api, terms=Terms(model="test-model") if "model" in SHAPES[api].terms else None) as found:
            scorer, server = found
            await scorer(pool_of(["42"]))
            body = server.ledger.calls[-1].request
            assert not body.get("use_activation", body.get("apply_softmax", False)), api
            assert not [field for field in body if "trunc" in field], api


async def test_activation_on_demand() -> None:
    async with scoring("vllm-classify", terms=Terms(activation=True)) as (scorer, _):
        (value,) = values(await scorer(pool_of(["42"])))
    assert value == pytest.approx(1 / (1 + math.exp(-reward(POOL.prompt.text, "42"))))


async def test_sglangs_softmax_over_one_number_is_never_asked_for() -> None:
    async with scoring("sglang-classify") as (scorer, server):
        await scorer(POOL)
        assert {call.path for call in server.ledger.calls} == {"/tokenize", "/classify"}


async def test_a_reranker_that_sorts_is_put_back_in_order() -> None:
    async with scoring("vllm-rerank") as (scorer, server):
        raw: list[Any] = []
        server.faults = Fault(change=lambda answer: raw.append(answer) or answer)
        found = values(await scorer(POOL))
    order = [row["index"] for row in raw[0]["results"]]
    assert order != sorted(order), "the server sorts by relevance, or this shows nothing"
    assert found == pytest.approx(expected("vllm-rerank"))


# Several numbers, and steps


def three(before: str, answer: str) -> Sequence[float]:
    return [reward(before, answer), len(answer), -1.0]


@pytest.mark.parametrize("api", CHATS)
async def test_one_of_several_numbers_is_the_score_and_the_others_are_kept(api: str) -> None:
    async with scoring(api, score=three, terms=Terms(output=1)) as (scorer, _):
        first, *_ = await scorer(POOL)
    assert first.value == len(TEXTS[0])
    assert first.parts == pytest.approx({"0": expected(api)[0], "1": len(TEXTS[0]), "2": -1.0})


@pytest.mark.parametrize(("output", "says"), [(None, "say which"), (3, "output is 3")])
async def test_several_numbers_and_none_named_end_the_run(output: int | None, says: str) -> None:
    async with scoring("vllm-classify", score=three, terms=Terms(output=output)) as (scorer, _):
        with pytest.raises(UsageError, match=says):
            await scorer(POOL)


async def test_a_row_a_token_is_scored_at_the_last_one() -> None:
    rows = Fault(change=lambda answer: {**answer, "data": [{"index": 0, "data": [[9.0], [8.0], [0.25]]}]})
    async with scoring("vllm-pooling", faults=rows) as (scorer, _):
        (score,) = await scorer(pool_of(["42"]))
    assert (score.value, score.steps) == (0.25, None)


async def test_numbers_among_rows_are_no_score() -> None:
    odd = Fault(change=lambda answer: {**answer, "data": [{"index": 0, "data": [[9.0], 8.0]}]})
    async with scoring("vllm-pooling", faults=odd) as (scorer, _):
        (score,) = await scorer(pool_of(["42"]))
    assert score.value is None
    assert "numbers and rows" in score.reason


STEPS = "Step 1: 6 * 7 is 6 + 36.\nStep 2: That is 42.\nStep 3: So 43."
PRM = Terms(separator="<extra_0>", output=1, aggregate="prod", system="Reason step by step.")


def right(_: str, answer: str) -> Sequence[float]:
    """Log-odds of a step: wrong as soon as there is a 43."""
    return [0.0, -2.0] if "43" in answer else [0.0, 2.0]


async def test_a_process_reward_model_scores_every_step() -> None:
    async with scoring("vllm-pooling", score=right, separator="<extra_0>", terms=PRM) as (scorer, server):
        (score,) = await scorer(pool_of([STEPS]))
        system, _, answer = server.ledger.calls[0].request["messages"]
    good, bad = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))
    assert score.steps == pytest.approx((good, good, bad))
    assert score.value == pytest.approx(good * good * bad)
    assert score.parts["first_error"] == 2
    assert system["content"] == "Reason step by step."
    assert answer["content"].count("<extra_0>") == 3
    assert answer["content"].replace("<extra_0>", " ").split() == STEPS.split(), "no word of a step is lost"


async def test_steps_that_the_prompt_names_are_those() -> None:
    prompt = Prompt(id="p", messages=as_messages("6 * 7?"), metadata={"steps": ["6 * 7\n\nis 6 + 36.", "That is 42."]})
    pool = pool_of(["6 * 7\n\nis 6 + 36.\n\nThat is 42."], prompt=prompt)
    async with scoring("vllm-pooling", score=right, separator="<extra_0>", terms=PRM) as (scorer, server):
        (score,) = await scorer(pool)
        content = server.ledger.calls[0].request["messages"][-1]["content"]
    assert content == "6 * 7\n\nis 6 + 36.<extra_0>That is 42.<extra_0>"
    assert score.steps is not None
    assert len(score.steps) == 2


async def test_a_system_message_of_the_model_takes_the_place_of_the_chats() -> None:
    messages = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "6 * 7?"})
    async with scoring("vllm-pooling", score=right, separator="<extra_0>", terms=PRM) as (scorer, server):
        await scorer(pool_of(["42"], prompt=Prompt(id="p", messages=messages)))
        sent = server.ledger.calls[0].request["messages"]
    assert [message["content"] for message in sent if message["role"] == "system"] == ["Reason step by step."]


async def test_a_step_that_got_no_score_leaves_no_score() -> None:
    lost = Fault(change=lambda answer: {**answer, "data": [{"index": 0, "data": answer["data"][0]["data"][:-1]}]})
    async with scoring("vllm-pooling", score=right, separator="<extra_0>", terms=PRM, faults=lost) as (scorer, _):
        (score,) = await scorer(pool_of([STEPS]))
    assert score.value is None
    assert "2 rows for 3 steps" in score.reason


async def test_a_language_model_is_asked_for_the_logits_of_labels() -> None:
    terms = Terms(labels=(3, 5), output=0, template="Q: {prompt}\nA: {answer}\nRight?", activation=True)
    async with scoring("sglang-score", terms=terms) as (scorer, server):
        (score,) = await scorer(pool_of(["42"]))
        body = server.ledger.calls[0].request
    assert (body["query"], body["items"]) == ("Q: What is six times seven?\nA: ", ["42\nRight?"])
    assert (body["label_token_ids"], body["apply_softmax"]) == ([3, 5], True)
    assert score.value == pytest.approx(math.exp(3) / (math.exp(3) + math.exp(5)))


# What goes wrong


@pytest.mark.parametrize("status", [500, 503, 429])
@pytest.mark.parametrize("api", ALL)
async def test_what_may_pass_is_tried_again(api: str, status: int) -> None:
    told: list[Event] = []
    async with RewardServer(reward, faults=[Fault(status=status)]) as server:
        endpoint = Endpoint(server.root, retries=QUICK, hook=told.append)
        scorer = RemoteScorer(endpoint, api=api)
        found = values(await scorer(pool_of(["42"])))
        scorer.close()
    assert found == pytest.approx(expected(api, pool_of(["42"])))
    assert [event.attempt for event in told if isinstance(event, Retried)] == [1]


async def test_retry_after_is_obeyed() -> None:
    told: list[Event] = []
    faults = [Fault(status=429, headers={"Retry-After": "0.2"})]
    async with RewardServer(reward, faults=faults) as server:
        scorer = RemoteScorer(Endpoint(server.root, retries=QUICK, hook=told.append), api="vllm-classify")
        (score,) = await scorer(pool_of(["42"]))
        scorer.close()
        first, second = server.ledger.calls
    assert score.value is not None
    assert second.started - first.started >= 0.2
    assert any(isinstance(event, Retried) and event.wait >= 0.2 for event in told)


@pytest.mark.parametrize("api", ALL)
async def test_what_does_not_pass_is_a_score_that_is_missing(api: str) -> None:
    async with scoring(api, faults=Fault(status=500)) as (scorer, _):
        scores = await scorer(POOL)
    assert values(scores) == [None] * len(POOL)
    assert all(score.reason.startswith("Unavailable: ") for score in scores)


async def test_a_refused_key_and_a_model_that_is_not_there_are_said() -> None:
    async with scoring("vllm-classify", faults=Fault(status=401)) as (scorer, _):
        (score,) = await scorer(pool_of(["42"]))
    assert score.reason.startswith("Denied: ")
    async with scoring("vllm-classify", terms=Terms(model="another")) as (scorer, _):
        (score,) = await scorer(pool_of(["42"]))
    assert "`another` does not exist" in score.reason
    assert "asks for /classify" in score.reason


def rows_of(answer: Any) -> list[Any]:
    if isinstance(answer, list):
        return answer
    return next((answer[key] for key in ("data", "results", "scores") if key in answer), [])  # none: it is /tokenize


def fewer(answer: Any) -> Any:
    del rows_of(answer)[-1:]
    return answer


def more(answer: Any) -> Any:
    rows = rows_of(answer)
    rows += rows[-1:]
    return answer


def shifted(answer: Any) -> Any:
    for row in rows_of(answer):
        row["index"] += 1
    return answer


def all_first(answer: Any) -> Any:
    for row in rows_of(answer):
        row["index"] = 0
    return answer


INDEXED = sorted(set(ALL) - {"sglang-classify", "sglang-score"})
TOGETHER = [api for api in ALL if SHAPES[api].most > 1]
LETTERS = pool_of(["a", "bb", "ccc"])


@pytest.mark.parametrize(
    ("api", "change"), [(api, change) for api in ALL for change in (fewer, more)] + [(api, shifted) for api in INDEXED]
)
async def test_an_answer_about_others_than_those_asked_scores_nobody(api: str, change: Any) -> None:
    async with scoring(api, faults=Fault(change=change)) as (scorer, _):
        scores = await scorer(LETTERS)
    assert values(scores) == [None] * 3
    assert all(score.reason.startswith("BadReply: ") and "it answers about" in score.reason for score in scores)


@pytest.mark.parametrize("api", sorted(set(INDEXED) & set(TOGETHER)))
async def test_an_index_that_is_there_twice_is_nobodys(api: str) -> None:
    async with scoring(api, faults=Fault(change=all_first)) as (scorer, server):
        scores = await scorer(LETTERS)
        asked = len(server.ledger)
    assert values(scores) == pytest.approx(expected(api, LETTERS)), "asked about alone, each is told from the others"
    assert asked == 4
    assert sum(score.paid_calls for score in scores) == 4


@pytest.mark.parametrize("api", ["vllm-rerank", "sglang-rerank"])
async def test_an_index_with_another_text_under_it_is_refused(api: str) -> None:
    def swapped(answer: Any) -> Any:
        rows = rows_of(answer)
        rows[0]["index"], rows[-1]["index"] = rows[-1]["index"], rows[0]["index"]
        return answer

    async with scoring(api, faults=[Fault(change=swapped)]) as (scorer, server):
        scores = await scorer(LETTERS)
        assert len(server.ledger) == 4
    assert values(scores) == pytest.approx(expected(api, LETTERS))


@pytest.mark.parametrize("api", TOGETHER)
@pytest.mark.parametrize("number", [math.nan, math.inf, None])
async def test_a_number_that_is_none_costs_its_candidate_only(api: str, number: float | None) -> None:
    def spoilt(answer: Any) -> Any:
        rows = rows_of(answer)
        if rows:
            place = next((i for i, row in enumerate(rows) if isinstance(row, dict) and row.get("index") == 1), 1)
            if isinstance(rows[place], list):
                rows[place] = [number]
            else:
                key = next(key for key in ("embedding", "score", "relevance_score", "value") if key in rows[place])
                rows[place] |= {key: [number] if key == "embedding" else number, "reason": ""}
        return answer

    async with scoring(api, faults=Fault(change=spoilt)) as (scorer, _):
        first, second, third = await scorer(LETTERS)
    assert second.value is None
    assert "no finite number" in second.reason
    assert [first.value, third.value] == pytest.approx([expected(api, LETTERS)[0], expected(api, LETTERS)[2]])


@pytest.mark.parametrize(
    "body", [b'{"data": [{"index": 0, "probs": [0.', b"<html>busy</html>", b"", b"[]", b'{"data": {}}']
)
@pytest.mark.parametrize("api", ALL)
async def test_what_cannot_be_read_is_a_reason(api: str, body: bytes) -> None:
    async with scoring(api, faults=Fault(body=body)) as (scorer, _):
        scores = await scorer(LETTERS)
    assert values(scores) == [None] * 3
    assert all(score.reason.startswith("BadReply: ") for score in scores)


@pytest.mark.parametrize("api", ALL)
async def test_an_answer_cut_off_on_the_way_is_asked_for_again(api: str) -> None:
    async with scoring(api, faults=[Fault(cut=20)]) as (scorer, server):
        (score,) = await scorer(pool_of(["42"]))
        assert server.ledger.calls[0].end == "broken"
    assert score.value is not None


@pytest.mark.parametrize("api", ALL)
async def test_a_candidate_that_is_too_long_is_said_to_be_and_the_others_are_scored(api: str) -> None:
    pool = pool_of(["42", "so " * 400 + "42", "41"])
    async with scoring(api, context=500) as (scorer, _):
        first, second, third = await scorer(pool)
    assert second.value is None
    assert "context length is 500" in second.reason
    right = expected(api, pool)
    assert [first.value, third.value] == pytest.approx([right[0], right[2]])


async def test_an_empty_document_that_a_reranker_refuses_costs_no_other() -> None:
    async with scoring("sglang-rerank") as (scorer, _):
        scores = await scorer(POOL)
    assert [score.value is None for score in scores] == [not text for text in TEXTS]
    assert "cannot be empty" in scores[2].reason


async def test_a_slow_answer_is_given_up() -> None:
    limits = Timeouts(first_byte=0.1, total=0.3)
    async with scoring("vllm-score", faults=Fault(delay=30), timeouts=limits) as (scorer, server):
        (score,) = await scorer(pool_of(["42"]))
        assert score.reason.startswith("TimedOut: ")
        await server.ledger.until()
        assert server.ledger.finished == ()


@pytest.mark.parametrize("api", ["vllm-classify", "sglang-classify", "vllm-rerank"])
async def test_leaving_ends_the_calls_upstream(api: str) -> None:
    async with scoring(api, faults=Fault(delay=30)) as (scorer, server):
        task = asyncio.create_task(scorer(POOL))  # type: ignore[arg-type]
        await server.ledger.until(started=1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.ledger.until()
        assert len(server.ledger.aborted) == len(server.ledger)


# What it costs


@pytest.mark.parametrize("api", ALL)
async def test_the_scores_carry_what_the_endpoint_billed(api: str) -> None:
    pool = without_empty(api)
    async with scoring(api) as (scorer, server):
        scores = await scorer(pool)
        billed = server.ledger.billed
        scored = sum(call.path != "/tokenize" for call in server.ledger.calls)
    assert sum((score.usage or Usage() for score in scores), Usage()) == billed
    assert sum(score.paid_calls for score in scores) == scored
    assert all(score.seconds is not None and score.seconds > 0 for score in scores)


@pytest.mark.parametrize("api", ALL)
async def test_the_ledger_counts_the_calls_and_their_tokens(api: str) -> None:
    price = Price(prompt=1e-3, completion=0.0)
    async with RewardServer(reward) as server:
        scorer = RemoteScorer(Endpoint(server.root, retries=QUICK), api=api, price=price)
        with Ledger(Caps(money=1e6)) as ledger:
            scores = await scorer(LETTERS)
        scorer.close()
        billed = server.ledger.billed.prompt_tokens
    spent = ledger.spent
    assert spent.usage.prompt_tokens == billed
    assert spent.calls == sum(score.paid_calls for score in scores)
    assert spent.money == pytest.approx(billed * 1e-3)
    assert sum(score.usage.money or 0.0 for score in scores if score.usage) == pytest.approx(billed * 1e-3)


@pytest.mark.parametrize("api", ALL)
async def test_no_call_takes_more_than_was_reserved_for_it(api: str) -> None:
    async with RewardServer(reward) as server:
        scorer = RemoteScorer(Endpoint(server.root), api=api)
        with Ledger(Caps(tokens=1_000_000)) as ledger:
            reserved: list[int] = []
            server.faults = lambda _: reserved.append(ledger.reserved.usage.prompt_tokens)
            await scorer(pool_of(["Ünïcode: 四十二 ✓" * 20]))
        scorer.close()
        assert max(reserved) >= server.ledger.billed.prompt_tokens


async def test_tokens_that_were_not_told_cost_no_call() -> None:
    untold = Fault(change=lambda answer: {"tokens": "many"} if "tokens" in answer else answer)
    async with scoring("sglang-classify", faults=untold) as (scorer, server):
        (score,) = await scorer(pool_of(["42"]))
        assert {call.path for call in server.ledger.calls} == {"/tokenize"}
    assert score.reason.startswith("BadReply: ")
    assert score.paid_calls == 0


async def test_a_cap_that_leaves_no_room_sends_nothing() -> None:
    async with scoring("vllm-score") as (scorer, server):
        with Ledger(Caps(calls=1)):
            first, second = await scorer(pool_of(["a"])), await scorer(pool_of(["b"]))
        assert len(server.ledger) == 1
    assert first[0].value is not None
    assert second[0].reason.startswith("CapReached: ")
    assert second[0].paid_calls == 0


async def test_many_candidates_go_into_few_requests_and_none_is_lost() -> None:
    pool = pool_of([f"answer {i}" for i in range(100)])
    async with scoring("vllm-score") as (scorer, server):
        assert values(await scorer(pool)) == pytest.approx(expected("vllm-score", pool))
        assert [len(call.request["text_2"]) for call in server.ledger.calls] == [32, 32, 32, 4]


async def test_slots_bound_how_many_are_asked_at_a_time() -> None:
    async with RewardServer(reward, faults=Fault(delay=0.02)) as server:
        scorer = RemoteScorer(Endpoint(server.root, limits=Limits(slots=2)), api="vllm-classify")
        await scorer(pool_of([f"answer {i}" for i in range(8)]))
        scorer.close()
        assert server.ledger.most_at_once == 2


async def test_the_key_goes_with_every_call_and_into_no_reason() -> None:
    async with RewardServer(reward, faults=[None, Fault(body=b"no: sk-canary-123456")]) as server:
        scorer = RemoteScorer(Endpoint(server.root, key="sk-canary-123456"), api="sglang-classify")
        (score,) = await scorer(pool_of(["42"]))
        scorer.close()
        assert {call.headers["authorization"] for call in server.ledger.calls} == {"Bearer sk-canary-123456"}
    assert score.value is None
    assert "canary" not in score.reason


# Our own shape


async def test_our_own_shape_carries_what_a_scorer_judges_by() -> None:
    pool = pool_of(["42", "41"], answers=["42", None], finish_reasons=["stop", "length"])
    pool = replace(pool, prompt=replace(pool.prompt, reference="42", metadata={"level": 3}))
    async with scoring("bon", terms=Terms(model="test-model")) as (scorer, server):
        first, _ = await scorer(pool)
        sent = server.ledger.calls[0].request
    assert (sent["model"], sent["reference"], sent["metadata"]) == ("test-model", "42", {"level": 3})
    assert sent["candidates"] == [
        {"index": 0, "text": "42", "answer": "42", "finish_reason": "stop"},
        {"index": 1, "text": "41", "finish_reason": "length"},
    ]
    assert (first.reason, first.parts) == ("read", {"length": 2.0})


async def test_candidates_of_any_index_get_their_own_scores() -> None:
    pool = pool_of(["a", "bb", "ccc"])
    late = replace(pool, candidates=tuple(replace(c, index=c.index + 7) for c in pool.candidates))
    async with scoring("bon") as (scorer, _):
        assert values(await scorer(late)) == pytest.approx(expected("bon", pool))


async def test_a_scorer_of_pools_is_always_shown_the_whole_pool() -> None:
    async with RewardServer(reward, faults=[Fault(status=400), Fault(change=fewer)]) as server:
        scorer = RemoteScorer(Endpoint(server.root), pointwise=False)
        refused, short, good = [await scorer(LETTERS) for _ in range(3)]
        scorer.close()
        assert [len(call.request["candidates"]) for call in server.ledger.calls] == [3, 3, 3]
    assert values(refused) == values(short) == [None] * 3
    assert None not in values(good)


def test_other_shapes_are_of_single_candidates() -> None:
    endpoint = Endpoint("http://127.0.0.1:9")
    with pytest.raises(UsageError, match="api=bon"):
        RemoteScorer(endpoint, api="vllm-score", pointwise=False)
    with pytest.raises(UsageError, match="must be one of"):
        RemoteScorer(endpoint, api="vllm")
    endpoint.close()


async def test_the_tokens_that_it_reads_are_told_where_the_endpoint_tells() -> None:
    async with scoring("vllm-classify", context=900) as (scorer, _):
        found = await scorer.tokens(pool_of(["42", "421"]))
        assert found is not None
        assert [len(ids) for ids in found] == [len(found[0]), len(found[0]) + 1]
        assert scorer.limit == 900
    async with scoring("vllm-score") as (scorer, _):
        assert await scorer.tokens(POOL) is None


async def test_a_prompt_that_is_no_json_ends_the_run() -> None:
    prompt = Prompt(id="p", messages=({"role": "user", "content": "hi", "when": object()},))
    async with scoring("vllm-classify") as (scorer, _):
        with pytest.raises(UsageError, match="JSON"):
            await scorer(pool_of(["42"], prompt=prompt))
