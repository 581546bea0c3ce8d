"""Tokens per second of the embedded engine, against the raw pipeline and against transformers, in one run.

    python benchmarks/embedded.py [--json] [--without-transformers]

Only the ratios mean something on another machine: the goals are at least 0.85 of the raw pipeline at N=16, 2.5 times
one bf16 `generate(num_return_sequences=16)`, 8 times sixteen single `generate()` calls, and an event loop that is late
by less than 20 ms (99th percentile) while the engine draws.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bon.generate.embedded import EmbeddedGenerator
from bon.models.pull import pull
from bon.types import Candidate, Prompt

QUESTION = "Name three animals that live in the sea, and say why each is interesting."
LONG = " ".join(f"Item {number} is number {number * 7 % 13}." for number in range(160))
NEW_TOKENS = 128
SAMPLING = {"temperature": 0.7, "top_p": 0.9, "max_tokens": NEW_TOKENS, "ignore_eos": True}
COUNTS = (1, 4, 16, 32)
REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--without-transformers", action="store_true", help="leave out what needs the torch extra")
    options = parser.parse_args()
    path = pull()
    found = measure(path)
    if not options.without_transformers:
        found |= against_transformers(path, found)
    print(json.dumps(found, indent=2) if options.json else table(found))


def measure(path: Path) -> dict[str, Any]:
    """Ours and the raw pipeline, in turns, so that both meet the same weather."""
    ours = EmbeddedGenerator(path, defaults=SAMPLING)
    here, there = multiprocessing.get_context("spawn").Pipe()
    raw = multiprocessing.get_context("spawn").Process(target=raw_pipeline, args=(str(path), there), daemon=True)
    raw.start()
    there.close()
    tokens = here.recv()
    asyncio.run(draw(ours, 2))
    found: dict[str, Any] = {"prompt_tokens": len(tokens), "new_tokens": NEW_TOKENS, "embedded": {}, "raw": {}}
    for n in COUNTS:
        seconds: dict[str, list[float]] = {"embedded": [], "raw": []}
        for _ in range(REPEATS):
            seconds["embedded"].append(asyncio.run(draw(ours, n)))
            here.send(n)
            seconds["raw"].append(here.recv())
        for name, taken in seconds.items():
            found[name][str(n)] = n * NEW_TOKENS / min(taken)
    here.send(0)
    raw.join()
    found["of raw at 16"] = found["embedded"]["16"] / found["raw"]["16"]
    found["long prompt at 16"] = 16 * NEW_TOKENS / asyncio.run(draw(ours, 16, f"{QUESTION} {LONG}"))
    found |= asyncio.run(lateness(ours))
    found["worker MB"] = resident_megabytes(ours)
    ours.close()
    exact = EmbeddedGenerator(path, defaults=SAMPLING, deterministic=True)
    asyncio.run(draw(exact, 2))
    found["deterministic"] = {n: int(n) * NEW_TOKENS / asyncio.run(draw(exact, int(n))) for n in ("1", "16")}
    found["deterministic long prompt at 16"] = 16 * NEW_TOKENS / asyncio.run(draw(exact, 16, f"{QUESTION} {LONG}"))
    exact.close()
    found["tokens"] = tokens
    return found


async def draw(generator: EmbeddedGenerator, n: int, question: str = QUESTION) -> float:
    """Seconds for n draws; each must have all its tokens."""
    started = time.perf_counter()
    prompt = Prompt(id="p", messages=({"role": "user", "content": question},))
    draws = [one async for one in generator(prompt, n)]
    seconds = time.perf_counter() - started
    counted = [one.usage.completion_tokens for one in draws if isinstance(one, Candidate) and one.usage]
    if counted != [NEW_TOKENS] * n:
        raise SystemExit(f"expected {n} draws of {NEW_TOKENS} tokens, got {counted}: {draws[:1]}")
    return seconds


def raw_pipeline(path: str, pipe: Connection) -> None:
    """A process that runs the pipeline with nothing around it: told n, it says how many seconds n draws took."""
    from bon.generate.embedded.live import configured
    from bon.generate.embedded.load import load
    from bon.generate.embedded.prompts import Prompts
    from bon.generate.embedded.wire import Draw, Open, Sampling

    model = load(Open(path=path, cache_tokens=32768))
    pipeline = model.pipeline()
    asked = Draw(messages=({"role": "user", "content": QUESTION},), sampling=Sampling())
    tokens = Prompts(model.tokenizer).read(asked).tokens
    eos = pipeline.get_config().eos_token_id

    def run(seeds: range, room: int) -> list[Any]:
        handles = []
        for seed in seeds:
            how = Sampling(seed=seed, temperature=0.7, top_p=0.9, ignore_eos=True)
            handles.append(pipeline.add_request(seed, tokens, configured(how, room=room, eos=eos, stop_ids={eos})))
        while pipeline.has_non_finished_requests():
            pipeline.step()
        return handles

    run(range(2), 8)
    pipe.send([int(token) for token in tokens.data[0]])
    while n := pipe.recv():
        started = time.perf_counter()
        run(range(1), 1)
        run(range(n), NEW_TOKENS)
        pipe.send(time.perf_counter() - started)


async def lateness(generator: EmbeddedGenerator) -> dict[str, float]:
    """Milliseconds by which the event loop is late while 16 draws are under way, half of them read as they grow."""
    late: list[float] = []

    async def tick() -> None:
        while True:
            due = time.perf_counter() + 0.002
            await asyncio.sleep(0.002)
            late.append((time.perf_counter() - due) * 1e3)

    async def read(index: int) -> None:
        async for _ in generator.stream(Prompt(id="s", messages=({"role": "user", "content": QUESTION},)), index):
            pass

    ticking = asyncio.create_task(tick())
    await asyncio.gather(draw(generator, 8), *(read(index) for index in range(8)))
    ticking.cancel()
    late.sort()
    return {"lag p50 ms": statistics.median(late), "lag p99 ms": late[int(0.99 * len(late))], "lag max ms": late[-1]}


def resident_megabytes(generator: EmbeddedGenerator) -> float | None:
    """The worker's resident memory, where the system says it in a file."""
    status = Path(f"/proc/{generator._worker.pid}/status")  # noqa: SLF001  # nobody else needs to know the process
    if not status.exists():
        return None
    return int(status.read_text(encoding="ascii").partition("VmRSS:")[2].split()[0]) / 1024


def against_transformers(path: Path, found: dict[str, Any]) -> dict[str, Any]:
    """One bf16 generate() of sixteen sequences, and sixteen of one."""
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    dense = GgufConfig(dequantize=True)  # else its layers compute in float32 whatever the dtype says
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.bfloat16, quantization_config=dense
    )
    if {weight.dtype for weight in model.parameters()} != {torch.bfloat16}:
        raise SystemExit("transformers did not load the model in bfloat16")
    prompt = torch.tensor([found["tokens"]])

    def seconds(sequences: int) -> float:
        started = time.perf_counter()
        with torch.no_grad():
            model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=True,
                temperature=0.7,
                top_p=0.9,
                min_new_tokens=NEW_TOKENS,
                max_new_tokens=NEW_TOKENS,
                num_return_sequences=sequences,
                pad_token_id=0,
            )
        return time.perf_counter() - started

    seconds(1)
    together = min(seconds(16) for _ in range(2))
    apart = sum(seconds(1) for _ in range(16))
    one, many = 16 * NEW_TOKENS / together, 16 * NEW_TOKENS / apart
    return {
        "transformers": {"one generate of 16": one, "16 single generates": many},
        "of one generate of 16": found["embedded"]["16"] / one,
        "of 16 single generates": found["embedded"]["16"] / many,
    }


def table(found: dict[str, Any]) -> str:
    rows = [("tokens/s in all", *(f"N={n}" for n in COUNTS))]
    rows += [(name, *(f"{found[name][str(n)]:.0f}" for n in COUNTS)) for name in ("embedded", "raw")]
    lines = [f"{row[0]:<20}" + "".join(f"{cell:>9}" for cell in row[1:]) for row in rows]
    for name, value in found.items():
        if isinstance(value, dict) and name not in ("embedded", "raw"):
            lines += [f"{name}, {key}: {number:.1f}" for key, number in value.items()]
        elif isinstance(value, float):
            lines.append(f"{name}: {value:.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
