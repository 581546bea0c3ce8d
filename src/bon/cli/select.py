"""`bon select`: one candidate of each pool is chosen."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from bon.api import Result, decide
from bon.api.resume import reread_answers
from bon.api.settings import refuse_same
from bon.cli.options import selecting, selector_of
from bon.errors import UsageError
from bon.registry import Builder
from bon.registry.extractors import extractor
from bon.select import gold_of
from bon.stats import bootstrap_mean, wilson
from bon.store.jsonl import write_atomic
from bon.store.pools import read_pools

__all__ = ["command"]


@click.command("select")
@click.argument("pools", type=click.Path(path_type=Path, exists=True, allow_dash=True, dir_okay=False))
@selecting
@click.option("--extract", metavar="NAME", help="Read answers anew before choosing.")
@click.option("--gold", metavar="SCORER", help="The scorer that is the truth: says how often the choice is right.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides between equals, and what is sampled.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Where to write.  [default: stdout]")
@click.option("--json", "as_json", is_flag=True, help="Accepted as everywhere; the rows are JSON anyway.")
def command(pools: Path, out: Path | None, **options: Any) -> None:
    """Choose one candidate of each of POOLS and write it as a JSON line: id, index, text, answer, weight, score.

    With --gold the expected accuracy of the rule (weights times correctness, no dice) goes to stderr.
    """
    selector = selector_of(Builder(), options)
    extract = extractor(options["extract"]) if options["extract"] else None
    right: list[float] = []
    exact = True

    def rows() -> Iterable[bytes]:
        nonlocal exact
        for pool in read_pools(pools):
            if not pool.candidates:
                sys.stderr.write(f"{pool.prompt.id!r} has no candidates and is left out\n")
                continue
            read = pool if extract is None else reread_answers(pool, extract)
            result = decide(read, selector, seed=options["seed"])
            if options["gold"]:
                right.append(_expected(result, options["gold"]))
                exact = exact and set(result.pool.values(options["gold"])) <= {0.0, 1.0}
            yield json.dumps(_row(result), ensure_ascii=False).encode()

    if out is not None:
        refuse_same(out, pools)
        write_atomic(out, rows())
    else:
        for row in rows():
            sys.stdout.buffer.write(row + b"\n")
        sys.stdout.flush()
    if right:
        low, high = _interval(right, exact=exact, seed=options["seed"])
        interval = f"{np.mean(right):.4f} [{low:.4f}, {high:.4f}]"
        sys.stderr.write(f"{selector.name}: {options['gold']} {interval} over {len(right)} prompts\n")


def _interval(right: Sequence[float], *, exact: bool, seed: int) -> tuple[float, float]:
    """A 95 % interval of the mean: Wilson's where the truth is right or wrong, else by bootstrap."""
    if exact:
        return wilson(sum(right), len(right))
    return bootstrap_mean(right, level=0.95, draws=2000, rng=np.random.default_rng(seed))


def _row(result: Result) -> dict[str, Any]:
    score = result.pool.scores[result.by][result.position] if result.by else None
    return {
        "id": result.pool.prompt.id,
        "index": result.best.index,
        "text": result.text,
        **({"tool_calls": list(result.best.tool_calls)} if result.best.tool_calls else {}),
        "answer": result.best.answer,
        "weight": float(result.weights[result.position]),
        "by": result.by,
        "score": score.value if score else None,
        "degraded": result.degraded,
    }


def _expected(result: Result, gold: str) -> float:
    values = [score.value for score in result.pool.scores[gold_of(result.pool, gold)]]
    if None in values:
        which = result.pool.candidates[values.index(None)].index
        raise UsageError(f"pool {result.pool.prompt.id!r}: candidate {which} has no {gold!r} score: it cannot be gold")
    return float(result.weights @ np.array(values, dtype=float))
