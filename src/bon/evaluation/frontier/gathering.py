"""From scored pools of a policy and of its reference to what the frontier is made of; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bon.evaluation.frontier.measured import Measured, Reference
from bon.stats.ranks import win_share
from bon.types import Candidate, Pool

__all__ = ["KL", "LOG_PROB", "measured_of", "reference_of"]

KL = "kl"
"""The scorer under which the KL of a policy's answer stands, in nats."""
LOG_PROB = "log_prob"
"""The scorer under which the log-probability of an answer stands, in nats, as it was drawn."""


def reference_of(
    pools: Sequence[Pool], *, name: str, temperature: float, by: str, chosen: str | None = None
) -> Reference:
    """The reference's samples that have every score; a prompt with fewer than two of them is left out.

    `by` is the scorer that measures, `chosen` the one that best-of-N chooses by, where that is another. KL is known
    where the pools have log-probabilities (`LOG_PROB`).
    """
    known = all(LOG_PROB in pool.scores for pool in pools)
    names = [by, *([chosen] if chosen else []), *([LOG_PROB] if known else [])]
    whole = [pool.only(_whole(pool, names)) for pool in pools]
    kept = [pool for pool in whole if len(pool) > 1]
    draws = [candidate for pool in kept for candidate in pool.candidates]
    return Reference(
        name=name,
        temperature=temperature,
        ids=tuple(pool.prompt.id for pool in kept),
        rewards=_values(kept, by),
        chosen=_values(kept, chosen) if chosen else None,
        log_probs=_values(kept, LOG_PROB) if known else None,
        length=_length(draws),
        seconds=_seconds(draws),
    )


def measured_of(
    pools: Sequence[Pool],
    reference: Reference,
    *,
    by: str,
    run: str,
    method: str,
    setting: str,
    seed: int,
    cost: Mapping[str, Mapping[str, float]],
) -> Measured:
    """What a policy's answers come to, held against the reference's samples of each prompt, ties half.

    A draw without a reward is left out and counted, and so is a prompt without any, or without samples.
    """
    samples = {id_: sorted(row) for id_, row in zip(reference.ids, reference.rewards, strict=True)}
    rows, unscored = [], 0
    for pool in pools:
        rewards = [value for value in pool.values(by) if value is not None]
        unscored += len(pool) - len(rewards)
        if rewards and pool.prompt.id in samples:
            kls = [kl for kl in pool.values(KL) if kl is not None]
            wins = win_share(samples[pool.prompt.id], rewards)
            rows.append((pool.prompt.id, sum(kls) / len(kls), sum(rewards) / len(rewards), float(wins.mean())))
    draws = [candidate for pool in pools for candidate in pool.candidates]
    return Measured(
        run=run,
        method=method,
        setting=setting,
        seed=seed,
        temperature=reference.temperature,
        ids=tuple(id_ for id_, *_ in rows),
        kl=tuple(kl for _, kl, _, _ in rows),
        reward=tuple(reward for *_, reward, _ in rows),
        win=tuple(win for *_, win in rows),
        draws=max((len(pool) for pool in pools), default=0),
        length=_length(draws) or 0.0,
        ended=_mean([float(candidate.complete) for candidate in draws]) or 0.0,
        seconds=_seconds(draws),
        missing={"draws without a reward": unscored} if unscored else {},
        cost=cost,
    )


def _whole(pool: Pool, names: Sequence[str]) -> list[int]:
    """The places of the candidates that have all of these scores."""
    return [place for place in range(len(pool)) if all(pool.scores[name][place].value is not None for name in names)]


def _values(pools: Sequence[Pool], by: str) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(value for value in pool.values(by) if value is not None) for pool in pools)


def _length(draws: Sequence[Candidate]) -> float | None:
    return _mean([candidate.usage.completion_tokens for candidate in draws if candidate.usage])


def _seconds(draws: Sequence[Candidate]) -> float | None:
    return _mean([candidate.seconds.total for candidate in draws if candidate.seconds])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
