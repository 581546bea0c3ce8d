from __future__ import annotations

import asyncio
import json
import math
import os
import sys
import threading
import time
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bon.errors import ModelError, UsageError
from bon.generate.embedded import EmbeddedGenerator, reads
from bon.generate.request import draw_seed
from bon.testing import check_generator
from bon.types import Candidate, Delta, Draw, Failure, Prompt

ANIMALS = "Name three animals that live in the sea, and say why each is interesting."


def ask(text: str, **request: Any) -> Prompt:
    return Prompt(id="p1", messages=({"role": "user", "content": text},), request=request)


async def drawn(generator: EmbeddedGenerator, prompt: Prompt, n: int, start: int = 0) -> list[Draw]:
    return sorted([draw async for draw in generator(prompt, n, start=start)], key=lambda draw: draw.index or 0)


async def candidates(generator: EmbeddedGenerator, prompt: Prompt, n: int, start: int = 0) -> list[Candidate]:
    draws = await drawn(generator, prompt, n, start)
    assert all(isinstance(draw, Candidate) for draw in draws), draws
    return [draw for draw in draws if isinstance(draw, Candidate)]


async def test_n_draws_each_with_its_own_seed(embedded: EmbeddedGenerator) -> None:
    found = await candidates(embedded, ask(ANIMALS, seed=7, return_token_ids=True), 4, start=2)
    assert [draw.index for draw in found] == [2, 3, 4, 5]
    assert [draw.seed for draw in found] == [draw_seed(7, "p1", index) for index in range(2, 6)]
    assert len({draw.text for draw in found}) == 4
    for draw in found:
        assert draw.generator == "local:SmolLM2-135M-Instruct"
        assert draw.text
        assert "<|im_" not in draw.text
        assert draw.usage is not None
        assert draw.usage.prompt_tokens == 46
        assert 1 <= draw.usage.completion_tokens <= 16
        assert draw.finish_reason == ("length" if draw.usage.completion_tokens == 16 else "stop")
        assert draw.token_ids is not None
        assert draw.logprobs is not None
        assert len(draw.logprobs.tokens) == len(draw.token_ids) == draw.usage.completion_tokens
        assert all(math.isfinite(value) and value <= 0 for value in draw.logprobs.tokens)
        assert draw.seconds is not None
        assert 0 < (draw.seconds.first_token or 0) <= draw.seconds.total


async def test_it_keeps_what_a_generator_promises(embedded: EmbeddedGenerator) -> None:
    await check_generator(embedded, n=3)


async def test_temperature_zero_is_greedy_and_a_high_one_is_not(embedded: EmbeddedGenerator) -> None:
    greedy = await candidates(embedded, ask(ANIMALS, temperature=0, return_token_ids=True), 2)
    assert greedy[0].token_ids == greedy[1].token_ids  # of one batch, in which equal rows are rounded alike
    hot = await candidates(embedded, ask(ANIMALS, temperature=1.5, top_p=1.0, return_token_ids=True), 3)
    assert len({draw.token_ids for draw in hot}) == 3
    mean = [sum(draw.logprobs.tokens) / len(draw.logprobs.tokens) for draw in (*greedy, *hot) if draw.logprobs]
    assert min(mean[:2]) > max(mean[2:])


async def test_system_and_earlier_turns_are_read(embedded: EmbeddedGenerator) -> None:
    turns = (
        {"role": "system", "content": "Answer with one word."},
        {"role": "user", "content": "My name is Bob."},
        {"role": "assistant", "content": "Hello, Bob."},
        {"role": "user", "content": [{"type": "text", "text": "What is"}, {"type": "text", "text": "my name?"}]},
    )
    (draw,) = await candidates(embedded, Prompt(id="t", messages=turns, request={"temperature": 0}), 1)
    assert "Bob" in draw.text


async def test_a_draw_can_be_read_as_it_grows(embedded: EmbeddedGenerator) -> None:
    prompt = ask(ANIMALS, max_tokens=40, ignore_eos=True)
    deltas = [delta async for delta in embedded.stream(prompt, 3)]
    last = deltas[-1].candidate
    assert last is not None
    assert (last.index, last.seed) == (3, draw_seed(0, "p1", 3))
    assert "".join(delta.text for delta in deltas) == last.text
    assert len(deltas) > 3
    assert all(delta.candidate is None for delta in deltas[:-1])


async def test_the_loop_ticks_between_tokens(embedded: EmbeddedGenerator) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    others = asyncio.create_task(drawn(embedded, ask(ANIMALS, ignore_eos=True, max_tokens=30), 7, start=1))
    deltas = embedded.stream(ask(ANIMALS, ignore_eos=True, max_tokens=30), 0)
    seen = [ticks async for delta in deltas if delta.text]
    ticking.cancel()
    await others
    gaps = [later - earlier for earlier, later in pairwise(seen)]
    assert len(gaps) > 3
    assert sorted(gaps)[len(gaps) // 2] >= 5  # a worker in this process would hold the loop for each whole step


async def worker_seconds(generator: EmbeddedGenerator) -> float:
    """CPU seconds of the worker so far."""
    text = await asyncio.to_thread(Path(f"/proc/{generator._worker.pid}/stat").read_text)
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the worker's CPU time from /proc")
@pytest.mark.parametrize("way", ["stream", "call"])
async def test_closing_ends_the_draw_in_the_worker_too(embedded: EmbeddedGenerator, way: str) -> None:
    endless = ask(ANIMALS, max_tokens=4000, ignore_eos=True)
    if way == "stream":
        async with aclosing(embedded.stream(endless, 0)) as deltas:
            assert isinstance(await anext(deltas), Delta)
    else:
        running = asyncio.create_task(drawn(embedded, endless, 2))
        await asyncio.sleep(0.3)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    await asyncio.sleep(0.5)
    before = await worker_seconds(embedded)
    await asyncio.sleep(0.5)
    assert await worker_seconds(embedded) - before <= 0.05
    assert len(await candidates(embedded, ask(ANIMALS), 2)) == 2


async def test_a_stop_string_ends_the_answer_before_it(embedded: EmbeddedGenerator) -> None:
    """Cut at the character, not at the token; the draw is alone each time, so its batch is the same."""
    (whole,) = await candidates(embedded, ask(ANIMALS, temperature=0, max_tokens=24), 1)
    stop = whole.text[len(whole.text) // 2 :][:3]
    (cut,) = await candidates(embedded, ask(ANIMALS, temperature=0, max_tokens=24, stop=[stop, "never said"]), 1)
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish_reason == "stop"
    shown = [delta.text async for delta in embedded.stream(ask(ANIMALS, temperature=0, max_tokens=24, stop=stop), 0)]
    assert "".join(shown) == cut.text


async def test_json_schema_is_kept_to(embedded: EmbeddedGenerator) -> None:
    schema = {
        "type": "object",
        "properties": {"legs": {"type": "integer", "minimum": 0, "maximum": 99}, "wild": {"type": "boolean"}},
        "required": ["legs", "wild"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "animal", "schema": schema}}
    for draw in await candidates(embedded, ask("Describe a horse.", response_format=wanted, max_tokens=60), 3):
        assert draw.finish_reason == "stop"
        answer = json.loads(draw.text)
        assert set(answer) == {"legs", "wild"}
        assert isinstance(answer["legs"], int)
        assert isinstance(answer["wild"], bool)


async def test_diverse_beams_are_the_candidates(embedded: EmbeddedGenerator) -> None:
    found = await drawn(embedded, ask("Name an animal.", num_beams=4, num_beam_groups=4, diversity_penalty=2.0), 5)
    assert [type(draw) for draw in found] == [Candidate] * 4 + [Failure]
    assert len({draw.text for draw in found if isinstance(draw, Candidate)}) == 4
    assert "no draw 4" in found[4].message  # type: ignore[union-attr]  # a Failure, as asserted above


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        (ask("word " * 9000), r"about 9\d\d\d tokens.*8192"),
        (ask("x", tools=[{"type": "function", "function": {"name": "f"}}]), "no place for tools"),
        (replace(ask(""), messages=({"role": "user", "content": [{"type": "image_url"}]},)), "image_url"),
    ],
    ids=["too long for the context: never cut in silence", "tools", "images"],
)
async def test_a_prompt_that_cannot_be_answered_is_a_failure_of_each_draw(
    embedded: EmbeddedGenerator, prompt: Prompt, says: str
) -> None:
    failures = await drawn(embedded, prompt, 2)
    for index, failure in enumerate(failures):
        assert isinstance(failure, Failure)
        assert (failure.stage, failure.index, failure.error) == ("generate", index, "Rejected")
        assert failure.by == embedded.name
        with pytest.raises(AssertionError, match=says):
            raise AssertionError(failure.message)


async def test_a_request_that_would_have_to_be_ignored_raises(embedded: EmbeddedGenerator) -> None:
    with pytest.raises(UsageError, match="logit_bias"):
        await drawn(embedded, ask("x", logit_bias={"1": 1}), 2)
    with pytest.raises(UsageError, match="seed='x'"):
        await drawn(embedded, ask("x", seed="x"), 2)


def test_many_loops_and_threads_share_one_worker(embedded: EmbeddedGenerator) -> None:
    results: list[int] = []

    def in_thread(number: int) -> None:
        async def main() -> int:
            prompt = replace(ask(ANIMALS), id=f"thread-{number}")
            return len(await candidates(embedded, prompt, 3))

        results.append(asyncio.run(main()))

    asyncio.run(candidates(embedded, ask(ANIMALS), 1))
    pid = embedded._worker.pid
    threads = [threading.Thread(target=in_thread, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [3, 3, 3]
    assert embedded._worker.pid == pid


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model"):
        EmbeddedGenerator(tmp_path / "gone.gguf")
    with pytest.raises(ModelError, match=r"no openvino_model\.xml"):
        reads(tmp_path)


async def test_a_model_that_cannot_be_read_raises(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"not a model at all")
    generator = EmbeddedGenerator(tmp_path / "x.gguf")
    started = time.monotonic()
    with pytest.raises(ModelError, match="not a GGUF file"):
        await drawn(generator, ask("x"), 3)
    assert time.monotonic() - started < 30
    generator.close()


def test_architectures_are_told_apart(embedded_model: Path, tmp_path: Path) -> None:
    assert reads(embedded_model)
    folder = tmp_path / "openvino"
    folder.mkdir()
    (folder / "openvino_model.xml").touch()
    assert reads(folder)
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(tmp_path / "other.gguf", "mamba")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    assert not reads(tmp_path / "other.gguf")


async def test_an_unknown_architecture_names_what_is_supported(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(tmp_path / "other.gguf", "mamba")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    generator = EmbeddedGenerator(tmp_path / "other.gguf")
    with pytest.raises(ModelError, match=r"'mamba'.*llama, qwen2, qwen3.*llama\.cpp"):
        await drawn(generator, ask("x"), 1)
    generator.close()
