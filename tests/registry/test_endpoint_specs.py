"""Specs of kind openai and ollama: limits, hedging, prices; and words for what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

import bon
from bon.errors import SpecError
from bon.generate.hedged import Hedged
from bon.generate.openai import OpenAIGenerator
from bon.ledger import Price
from bon.registry import Builder, Config
from bon.testing import FaultServer
from bon.transport import Limits, Slots
from bon.types import Candidate, Prompt

PRICE = Price(prompt=1e-6, completion=4e-6)


def built(spec: str) -> Any:
    return Builder(Config(prices={"m": PRICE})).generator(spec)


def slots_of(generator: Any) -> Slots:
    slots: Slots = generator.endpoint.pace.slots
    return slots


@pytest.mark.parametrize("kind", ["openai:m@http://127.0.0.1:9/v1", "ollama:m"])
def test_limits_of_a_spec(kind: str) -> None:
    with built(f"{kind}?slots=5&rpm=500&tpm=30000&adaptive=false&temperature=0.1") as generator:
        slots = slots_of(generator)
        assert (slots.limit, slots.rates.rpm, slots.rates.tpm) == (5, 500, 30000)
        assert generator.defaults["temperature"] == 0.1
        assert not {"slots", "rpm", "tpm", "adaptive", "hedge"} & set(generator.defaults), "they are no request fields"
    with built(kind) as generator:
        assert slots_of(generator).limit == Limits().slots
        assert not slots_of(generator).rates.limited


def test_a_spec_that_states_no_limits_takes_those_that_are_stated() -> None:
    url = "http://127.0.0.1:9/v1"
    with built(f"openai:m@{url}?slots=128&rpm=60") as stated, built(f"openai:another@{url}") as judge:
        assert slots_of(stated) is slots_of(judge)
        assert slots_of(judge).limit == 128


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("slots=0", "slots is 0; it must be a whole number of at least 1"),
        ("slots=many", "slots is 'many'"),
        ("rpm=0", "rpm is 0"),
        ("rpm=1.5", "rpm is 1.5"),
        ("tpm=30k", "tpm is '30k'"),
        ("tpm=true", "tpm is True"),
        ("adaptive=1", "adaptive is 1; it must be true or false"),
        ("hedge=0.95", "hedge is 0.95; it must be true or false"),
        ("use_n=1", "use_n is 1; it must be auto, true or false"),
    ],
)
def test_what_is_no_limit_is_refused_by_its_name(option: str, words: str) -> None:
    with pytest.raises(SpecError, match="openai:m") as caught:
        built(f"openai:m@http://127.0.0.1:9/v1?{option}")
    assert words in str(caught.value)


async def test_hedge_and_price_reach_the_generator() -> None:
    async with FaultServer(answers=["four or five"]) as server:
        for hedge in ("true", "false"):
            with built(f"openai:m@{server.url}?hedge={hedge}") as generator:
                (draw,) = [d async for d in generator(Prompt(id="p", messages=({"role": "user", "content": "1"},)), 1)]
                assert isinstance(draw, Candidate)
                assert draw.usage is not None
                assert draw.usage.money == pytest.approx(PRICE.of(draw.usage))
                assert generator.price == PRICE
                inner = generator
                while not isinstance(inner, OpenAIGenerator | Hedged):
                    inner = inner.thing if hasattr(inner, "thing") else inner.inner
                assert isinstance(inner, Hedged) == (hedge == "true")
        with bon.generator(f"openai:unheard-of@{server.url}") as generator:
            assert generator.price is None, "what runs on this machine has no list price"


def test_show_says_what_the_options_are() -> None:
    from bon.registry.endpoints import ENDPOINT

    for option in ("key_env", "use_n", "hedge", "slots", "adaptive", "rpm", "tpm"):
        assert f"{option}=" in ENDPOINT
