"""Greedy against best-of-N on the same prompts: score, wins, time and tokens, at each N and temperature; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bon.errors import UsageError
from bon.evaluation.items import cluster_of
from bon.stats import Difference, best_at_k, paired_bootstrap
from bon.types import Candidate, Pool

__all__ = ["GREEDY", "Against", "Versus", "Warmth", "against", "labelled", "side", "versus", "warmth_of"]

GREEDY = "greedy"
"""The variation of the candidate that was drawn at temperature 0."""

_DRAWS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus:
    """Best-of-k at one temperature against the greedy answer, over the prompts for which both have a score."""

    temperature: float
    k: int
    by: str
    """The scorer that chose."""
    gold: str
    """The scorer in whose units it is measured: the same one, or the truth."""
    n: int
    """Prompts that could be compared."""
    missing: int
    """Prompts that could not: no greedy answer, fewer draws than k, or one of them without a score."""
    greedy: float
    chosen: float
    """Expected over all choices of k of the draws, as `best_at_k` has it."""
    gain: Difference | None
    """Of `chosen` over `greedy`; None with a single prompt."""
    wins: float
    """Shares of the prompts, expected over all choices of k: won, tied, lost. They sum to 1."""
    ties: float
    losses: float
    tokens: float | None
    """A prompt, of the k draws; None where it is not known of every draw."""
    greedy_tokens: float | None
    seconds: float | None
    """Until the slowest of the k draws is there, all drawn at once."""
    greedy_seconds: float | None
    base: str = GREEDY
    """What it is held against, in the fields that are called greedy: the greedy answer, or a draw of this policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmth:
    """What a temperature does to the draws."""

    temperature: float
    draws: int
    distinct: float | None
    """Different texts among the draws of a prompt, as a share of them, mean over prompts; None without draws."""
    mean: float | None
    """The mean score of a draw, by the scorer that chooses."""


@dataclass(frozen=True, kw_only=True)
class Against:
    """All of a comparison."""

    versus: tuple[Versus, ...]
    warmth: tuple[Warmth, ...]
    prompts: int
    policies: tuple[Versus, ...] = ()
    """Best-of-k against one draw of each policy, at each temperature and k."""
    notes: tuple[str, ...] = ()
    """What a reader must know: policies that were trained from another model."""


def labelled(temperature: float, policy: str | None = None) -> str:
    """The variation of candidates drawn at a temperature, by the model that is compared or by a policy."""
    return f"{policy}, temperature {temperature:g}" if policy else f"temperature {temperature:g}"


def side(pool: Pool, variation: str) -> Pool:
    """The candidates of one variation, with their scores."""
    return pool.only([place for place, candidate in enumerate(pool.candidates) if candidate.variation == variation])


def against(
    pools: Iterable[Pool],
    *,
    by: str,
    gold: str | None,
    temperatures: Sequence[float],
    sizes: Sequence[int],
    policies: Sequence[str] = (),
    seed: int = 0,
) -> Against:
    """Compare, for pools that hold a greedy candidate and draws at each temperature (see `labelled`).

    `by` is the scorer that chooses, `gold` the one in whose units it is measured (None: the same). `policies` are
    models of which they hold draws too, at the same temperatures: what best-of-k was trained into. Raises `UsageError`
    for a scorer that no pool has.
    """
    held = list(pools)
    for name in filter(None, (by, gold)):
        if not any(name in pool.scores for pool in held):
            there = ", ".join(sorted({scorer for pool in held for scorer in pool.scores})) or "none"
            raise UsageError(f"no pool has scores by {name!r}; there are {there}")
    return Against(
        versus=tuple(
            versus(held, by=by, gold=gold or by, temperature=temperature, k=k, seed=seed)
            for temperature in temperatures
            for k in sizes
        ),
        warmth=tuple(warmth_of(held, temperature, by) for temperature in temperatures),
        prompts=len(held),
        policies=tuple(
            versus(held, by=by, gold=gold or by, temperature=temperature, k=k, policy=policy, seed=seed)
            for policy in policies
            for temperature in temperatures
            for k in sizes
        ),
    )


def versus(
    pools: Sequence[Pool],
    *,
    by: str,
    gold: str,
    temperature: float,
    k: int,
    policy: str | None = None,
    seed: int = 0,
) -> Versus:
    """One line of a comparison: best-of-k against greedy, or against a draw of a policy, prompt by prompt."""
    label, base = labelled(temperature), labelled(temperature, policy) if policy else GREEDY
    rows: list[tuple[float, float, float, float]] = []
    clusters: list[int] = []
    costs: list[tuple[float | None, float | None, float | None, float | None]] = []
    for pool in pools:
        found = _compared(side(pool, base), side(pool, label), by=by, gold=gold, k=k)
        if found is not None:
            rows.append(found)
            clusters.append(cluster_of(pool))
            costs.append(_costs(side(pool, base), side(pool, label), k))
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    several = len(set(clusters)) > 1
    means = table.mean(axis=0).tolist() if rows else [0.0] * 4
    greedy, chosen, won, tied = means
    return Versus(
        temperature=temperature,
        k=k,
        by=by,
        gold=gold,
        n=len(rows),
        missing=len(pools) - len(rows),
        greedy=greedy,
        chosen=chosen,
        gain=paired_bootstrap(
            table[:, 1], table[:, 0], clusters=clusters, draws=_DRAWS, rng=np.random.default_rng(seed)
        )
        if several
        else None,
        wins=won,
        ties=tied,
        losses=1.0 - won - tied if rows else 0.0,
        tokens=_mean([tokens for tokens, *_ in costs]),
        greedy_tokens=_mean([tokens for _, tokens, *_ in costs]),
        seconds=_mean([seconds for _, _, seconds, _ in costs]),
        greedy_seconds=_mean([seconds for *_, seconds in costs]),
        base=policy or GREEDY,
    )


def warmth_of(pools: Sequence[Pool], temperature: float, by: str) -> Warmth:
    """How different the draws of a temperature are from one another, and what they are worth by themselves."""
    shares: list[float] = []
    values: list[float] = []
    draws = 0
    for pool in pools:
        part = side(pool, labelled(temperature))
        if part.candidates:
            draws += len(part)
            shares.append(len({candidate.text for candidate in part.candidates}) / len(part))
            values += [score.value for score in part.scores.get(by, ()) if score.value is not None]
    return Warmth(temperature=temperature, draws=draws, distinct=_mean(shares), mean=_mean(values))


def _compared(greedy: Pool, drawn: Pool, *, by: str, gold: str, k: int) -> tuple[float, float, float, float] | None:
    """Worth of greedy and of best-of-k, chance that this wins and that it ties; None where that cannot be said."""
    if len(greedy) != 1 or len(drawn) < k or by not in drawn.scores or gold not in drawn.scores:
        return None
    (base,), truth, scores = greedy.values(gold), drawn.values(gold), drawn.values(by)
    if base is None or None in truth or None in scores:
        return None
    worth = np.array(truth, dtype=np.float64)
    ranked = np.array(scores, dtype=np.float64)
    chosen, won, tied = (
        float(best_at_k(ranked, value, k)) for value in (worth, (worth > base) * 1.0, (worth == base) * 1.0)
    )
    return base, chosen, won, tied


def _costs(greedy: Pool, drawn: Pool, k: int) -> tuple[float | None, float | None, float | None, float | None]:
    """Tokens of k draws and of greedy, seconds of the slowest of k draws and of greedy."""
    tokens = [_tokens(candidate) for candidate in drawn.candidates]
    seconds = [candidate.seconds.total if candidate.seconds else None for candidate in drawn.candidates]
    waits = np.array(seconds, dtype=np.float64) if None not in seconds else None
    (one,) = greedy.candidates
    mean = _mean(tokens)
    return (
        None if mean is None else k * mean,
        _tokens(one),
        None if waits is None else float(best_at_k(waits, waits, k)),
        one.seconds.total if one.seconds else None,
    )


def _tokens(candidate: Candidate) -> float | None:
    return None if candidate.usage is None else float(candidate.usage.total_tokens)


def _mean(values: Sequence[float | None]) -> float | None:
    """None where nothing is there, or something is not known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
