"""The embedded engine against transformers on the same weights, and against itself: what its numbers are worth."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bon.generate.embedded import EmbeddedGenerator, reads
from bon.types import Candidate, Draw, Failure, Prompt

pytestmark = pytest.mark.slow

QUESTIONS = ("What is 3+4?", "Name three animals that live in the sea.", "Why is the sky blue?")
CHAT = (
    {"role": "system", "content": "Answer with one word."},
    {"role": "user", "content": "My name is Bob."},
    {"role": "assistant", "content": "Hello, Bob."},
    {"role": "user", "content": "What is my name?"},
)
NEARBY = 0.05
"""Nats a token, on average, that the engine may be away from float32: four times less than Q4_1 is."""


def ask(text: str, id: str = "p1", **request: Any) -> Prompt:  # noqa: A002
    return Prompt(id=id, messages=({"role": "user", "content": text},), request=request)


async def drawn(generator: EmbeddedGenerator, prompt: Prompt, n: int, start: int = 0) -> list[Candidate]:
    draws: list[Draw] = [draw async for draw in generator(prompt, n, start=start)]
    assert not [draw for draw in draws if isinstance(draw, Failure)]
    return sorted([draw for draw in draws if isinstance(draw, Candidate)], key=lambda draw: draw.index)


@pytest.fixture(scope="module")
def reference(embedded_model: Path) -> Any:
    """(prompt tokens of messages, log-probabilities of an answer's tokens): transformers, float32, the same file."""
    torch = pytest.importorskip("torch", reason="needs the torch extra")
    transformers = pytest.importorskip("transformers", reason="needs the torch extra")
    folder, file = embedded_model.parent, embedded_model.name
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=file)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)

    def tokens(messages: Any) -> list[int]:
        found: list[int] = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=False)
        return found

    def logprobs(prompt: list[int], answer: tuple[int, ...]) -> list[float]:
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
        picked = torch.log_softmax(logits, dim=-1)[range(len(answer)), list(answer)]
        return [float(value) for value in picked]

    return tokens, logprobs


@pytest.fixture(scope="module")
def deterministic(embedded_model: Path) -> Iterator[EmbeddedGenerator]:
    defaults = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 24, "return_token_ids": True}
    generator = EmbeddedGenerator(embedded_model, defaults=defaults, deterministic=True)
    yield generator
    generator.close()


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"temperature": 1.0, "top_p": 1.0},
        {"temperature": 0},
        {"frequency_penalty": 1.0, "repetition_penalty": 1.2},
    ],
    ids=["defaults", "untouched", "greedy", "penalties"],
)
async def test_logprobs_are_the_models_own(
    embedded: EmbeddedGenerator, reference: Any, request_: dict[str, Any]
) -> None:
    """Of what was drawn, at temperature 1, before penalties; as float32 transformers say on the same weights."""
    tokens, logprobs = reference
    away: list[float] = []
    for number, question in enumerate(QUESTIONS):
        prompt = ask(question, id=f"q{number}", max_tokens=32, return_token_ids=True, **request_)
        for draw in await drawn(embedded, prompt, 3):
            read = tokens(prompt.messages)
            assert draw.usage is not None
            assert draw.usage.prompt_tokens == len(read)  # no double BOS, nothing cut
            assert draw.token_ids is not None
            assert draw.logprobs is not None
            expected = logprobs(read, draw.token_ids)
            away += [abs(one - other) for one, other in zip(draw.logprobs.tokens, expected, strict=True)]
    assert sum(away) / len(away) < NEARBY


async def test_deterministic_mode_is_float32(deterministic: EmbeddedGenerator, reference: Any) -> None:
    tokens, logprobs = reference
    away: list[float] = []
    for draw in await drawn(deterministic, ask(QUESTIONS[1]), 4):
        expected = logprobs(tokens(ask(QUESTIONS[1]).messages), draw.token_ids or ())
        assert draw.logprobs is not None
        away += [abs(one - other) for one, other in zip(draw.logprobs.tokens, expected, strict=True)]
    assert sum(away) / len(away) < 0.005


async def test_the_chat_is_read_as_its_template_writes_it(embedded: EmbeddedGenerator, reference: Any) -> None:
    (draw,) = await drawn(embedded, Prompt(id="chat", messages=CHAT), 1)
    assert draw.usage is not None
    assert draw.usage.prompt_tokens == len(reference[0](CHAT))


def same(one: list[Candidate], other: list[Candidate]) -> bool:
    return [(d.index, d.token_ids, d.logprobs) for d in one] == [(d.index, d.token_ids, d.logprobs) for d in other]


async def test_deterministic_draws_depend_on_nothing_else(
    deterministic: EmbeddedGenerator, embedded_model: Path
) -> None:
    """Bit for bit: not on N, on what else runs, on the order of arrival, nor on the process."""
    items = " ".join(f"Item {number} is number {number * 7 % 13}." for number in range(30))
    question = ask(f"{QUESTIONS[1]} {items}")
    sixteen = await drawn(deterministic, question, 16)
    assert same(await drawn(deterministic, question, 8), sixteen[:8])
    assert same(await drawn(deterministic, question, 8, start=8), sixteen[8:])
    assert same(await drawn(deterministic, question, 1, start=5), sixteen[5:6])

    async def noise(number: int) -> None:
        for turn in range(3):
            await drawn(
                deterministic, ask("Why is the sky blue? " * (9 * number + 7 * turn + 1), id=f"n{number}"), number
            )

    together = await asyncio.gather(drawn(deterministic, question, 16), noise(1), noise(2), noise(3))
    assert same(together[0], sixteen)
    other = EmbeddedGenerator(embedded_model, defaults=deterministic.defaults, deterministic=True)
    assert same(await drawn(other, question, 4), sixteen[:4])
    other.close()


async def test_an_openvino_folder_runs_as_it_is(embedded: EmbeddedGenerator, embedded_model: Path) -> None:
    from bon.models.cache import cache_directory

    await drawn(embedded, ask("Hello"), 1)
    (folder, *_) = sorted(cache_directory().glob(f"openvino-*/{embedded_model.stem}.*/"))
    assert reads(folder)
    generator = EmbeddedGenerator(folder, defaults={"max_tokens": 4})
    assert len(await drawn(generator, ask("Hello"), 2)) == 2
    generator.close()
