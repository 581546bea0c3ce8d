"""Scoring with a reward model: `rm:` against the usual wrapper, in one run, on a small decoder with random weights.

The usual wrapper writes each chat as text, tokenises it, and reads batches of four, padded: what a model card shows.
`rm:` reads what the candidates of a prompt share once, and the rest in batches of about equal length. Every round has
prompts of its own, so that nothing is known from the round before. Both give the same scores, to 1e-4.
Run it with `python benchmarks/reward_model.py [--rounds N] [--long N] [--short N] [--json]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers

import bon
from bon.models.loading import quiet
from bon.testing.checkpoints import tiny_tokenizer
from bon.types import Candidate, Pool, Prompt

GOALS = {"long": 6.0, "short": 1.5}
CANDIDATES, ANSWER, BATCH = 16, 64, 4
CPU = {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8}
GPU = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16}
TOLERANCE = {"cpu": 1e-4, "cuda": 0.1}
"""On a GPU the weights are in bfloat16."""


@dataclass
class Measured:
    """What the rounds of one length of prompt took, in seconds, and how far the scores were apart."""

    usual: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    landing: list[float] = field(default_factory=list)
    apart: float = 0.0

    @property
    def ratio(self) -> float:
        return median(u / o for u, o in zip(self.usual, self.ours, strict=True))


def save_model(folder: Path, sizes: dict[str, int], dtype: torch.dtype) -> None:
    tokenizer = tiny_tokenizer()
    heads = sizes["hidden_size"] // 64
    config = transformers.LlamaConfig(
        **sizes,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 2),
        vocab_size=len(tokenizer),
        max_position_embeddings=4096,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
        dtype=dtype,
    )
    torch.manual_seed(0)
    with quiet():
        transformers.LlamaForSequenceClassification(config).to(dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def text_of(tokens: int, tokenizer: Any, seed: int) -> str:
    """Random words of about so many tokens."""
    chosen, text = random.Random(seed), ""
    while len(tokenizer(text)["input_ids"]) < tokens:
        text += " " + "".join(chosen.choices("abcdefghijklmnopqrstuvwxyz", k=chosen.randint(2, 7)))
    return text


def make_pool(length: int, tokenizer: Any, seed: int) -> Pool:
    question = {"role": "user", "content": text_of(length, tokenizer, seed)}
    candidates = [
        Candidate(index=i, text=text_of(ANSWER, tokenizer, 1000 * seed + i), finish_reason="stop")
        for i in range(CANDIDATES)
    ]
    return Pool(prompt=Prompt(id=f"p{seed}", messages=(question,)), candidates=tuple(candidates))


def wrapper(folder: Path, device: str, dtype: torch.dtype, batch: int) -> Callable[[Pool], list[float]]:
    """Text, tokens, padded batches: the shape of the snippets on model cards."""
    with quiet():
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype).to(device).eval()

    def score(pool: Pool) -> list[float]:
        asked = list(pool.prompt.messages)
        chats = [[*asked, {"role": "assistant", "content": candidate.text}] for candidate in pool.candidates]
        texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
        scores: list[float] = []
        for start in range(0, len(texts), batch):
            given = tokenizer(texts[start : start + batch], padding=True, return_tensors="pt").to(device)
            given.pop("token_type_ids", None)
            with torch.inference_mode():
                scores += model(**given).logits[:, 0].float().tolist()
        return scores

    return score


def timed(work: Callable[[Pool], Sequence[float]], pool: Pool) -> tuple[float, Sequence[float]]:
    began = time.perf_counter()
    scores = work(pool)  # the last thing it does is to bring the scores to the CPU
    return time.perf_counter() - began, scores


def measure(folder: Path, length: int, rounds: int, device: str, dtype: torch.dtype) -> Measured:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    usual, alone = wrapper(folder, device, dtype, BATCH), wrapper(folder, device, dtype, 1)
    measured = Measured()
    with bon.scorer(f"rm:{folder}") as scorer, asyncio.Runner() as runner:

        def ours(pool: Pool) -> list[float]:
            return [score.value for score in runner.run(scored(pool))]

        def landing(pool: Pool) -> list[float]:
            single = [Pool(prompt=pool.prompt, candidates=(candidate,)) for candidate in pool.candidates]
            return [runner.run(scored(one))[0].value for one in single]

        async def scored(pool: Pool) -> Sequence[Any]:
            return await scorer(pool)

        ours(make_pool(20, tokenizer, 999))  # it is loaded, and everything is warm
        usual(make_pool(20, tokenizer, 998))
        for seed in range(rounds):
            pool, other = (make_pool(length, tokenizer, 2 * seed + k) for k in range(2))
            seconds, theirs = timed(usual, pool)
            measured.usual.append(seconds)
            seconds, mine = timed(ours, pool)
            measured.ours.append(seconds)
            seconds, _ = timed(landing, other)
            measured.landing.append(seconds)
            reference = alone(pool)
            measured.apart = max(measured.apart, *(abs(a - b) for a, b in zip(mine, reference, strict=True)))
            assert len(theirs) == len(mine) == CANDIDATES
    assert measured.apart <= TOLERANCE[device], f"scores are {measured.apart} apart from those of single forward passes"
    return measured


def facts_of(lengths: dict[str, int], rounds: int) -> dict[str, Any]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    facts: dict[str, Any] = {"device": device, "threads": torch.get_num_threads()}
    with tempfile.TemporaryDirectory() as place:
        save_model(Path(place), GPU if device == "cuda" else CPU, dtype)
        for name, length in lengths.items():
            found = measure(Path(place), length, rounds, device, dtype)
            tokens = CANDIDATES * (length + ANSWER)
            facts[name] = {
                "prompt tokens": length,
                "usual seconds": round(median(found.usual), 3),
                "rm seconds": round(median(found.ours), 3),
                "rm seconds, one by one": round(median(found.landing), 3),
                "ratio": round(found.ratio, 2),
                "ratios": [round(u / o, 1) for u, o in zip(found.usual, found.ours, strict=True)],
                "usual tokens/s": round(tokens / median(found.usual)),
                "rm tokens/s": round(tokens / median(found.ours)),
                "furthest apart": float(f"{found.apart:.1e}"),
            }
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--long", type=int, default=1500)
    parser.add_argument("--short", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    facts = facts_of({"long": options.long, "short": options.short}, options.rounds)
    if options.json:
        print(json.dumps(facts))
        return
    print(f"on {facts['device']}, {facts['threads']} threads, {CANDIDATES} candidates of {ANSWER} tokens")
    for name, goal in GOALS.items():
        row = facts[name]
        print(
            f"{row['prompt tokens']} tokens of prompt: {row['usual seconds']} s, rm: {row['rm seconds']} s "
            f"({row['rm tokens/s']} tokens/s, the usual wrapper {row['usual tokens/s']}), one by one "
            f"{row['rm seconds, one by one']} s: {row['ratio']} times as fast (goal {goal}); rounds {row['ratios']}; "
            f"scores at most {row['furthest apart']} apart"
        )


if __name__ == "__main__":
    main()
