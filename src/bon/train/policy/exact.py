"""Best-of-N, objectives and optimal policies, summed over all responses of a model that can be enumerated; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bon.errors import UsageError
from bon.stats.law import log_law
from bon.stats.ranks import below_and_upto, log_f
from bon.stats.subsets import Floats
from bon.train.policy.objectives import Aim

__all__ = [
    "Point",
    "Reference",
    "best_of_n",
    "draw_samples",
    "frontier",
    "kl",
    "mean_reward",
    "measure",
    "objective",
    "optimum",
    "reference",
    "win_rate",
]

_ROUNDING = 1e-6
"""How far probabilities may be from summing to 1: those of a model in float32 are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """All responses of the reference model to one prompt, each array of shape `(S,)`."""

    log_p: Floats
    """log pi_ref, nats; normalised."""
    rewards: Floats
    below: Floats
    """P(r' < r) under pi_ref."""
    upto: Floats
    """P(r' <= r) under pi_ref."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where a policy stands against its reference."""

    kl: float
    """KL(policy || reference) in nats."""
    win_rate: float
    """How often its response has the greater reward than one of the reference's, equal ones counted half."""
    reward: float
    """The mean reward."""


def reference(log_p: npt.ArrayLike, rewards: npt.ArrayLike) -> Reference:
    """The reference whose responses have these log-probabilities and rewards, each of shape `(S,)`.

    Raises `UsageError` for shapes that differ, a reward that is not finite, and probabilities that do not sum to 1.
    """
    logs, values = np.asarray(log_p, dtype=np.float64), np.asarray(rewards, dtype=np.float64)
    if logs.ndim != 1 or logs.shape != values.shape or not np.isfinite(values).all():
        raise UsageError(f"log-probabilities {logs.shape} and rewards {values.shape}: wanted (S,) finite ones of each")
    total = float(np.exp(logs).sum())
    if not abs(total - 1) < _ROUNDING:
        raise UsageError(f"the probabilities of all responses sum to {total!r}, not 1: are these all, and each once?")
    logs = logs - np.log(total)
    _, places = np.unique(values, return_inverse=True)
    mass = np.bincount(places, weights=np.exp(logs))
    upto = np.minimum(np.cumsum(mass), 1.0)
    below = np.append(0.0, upto[:-1])
    return Reference(log_p=logs, rewards=values, below=below[places], upto=upto[places])


def best_of_n(known: Reference, n: float) -> Floats:
    """Log pi_bon of every response, shape `(S,)`: the law of the best of n draws, equal ones decided at random."""
    return log_law(known.log_p, known.below, known.upto, n)


def kl(log_q: npt.ArrayLike, log_p: npt.ArrayLike) -> float:
    """KL(q || p) in nats of two normalised distributions, log-probabilities of shape `(S,)` each; may be infinite."""
    first, second = np.asarray(log_q, dtype=np.float64), np.asarray(log_p, dtype=np.float64)
    seen = first > -np.inf  # 0 log 0 is 0
    return float(np.exp(first[seen]) @ (first[seen] - second[seen]))


def win_rate(log_q: npt.ArrayLike, known: Reference) -> float:
    """The chance that a response of q has a greater reward than one of the reference, equal ones counted half."""
    return float(np.exp(np.asarray(log_q)) @ (known.below + known.upto)) / 2


def mean_reward(log_q: npt.ArrayLike, known: Reference) -> float:
    """E_q[r]."""
    return float(np.exp(np.asarray(log_q)) @ known.rewards)


def measure(log_q: npt.ArrayLike, known: Reference) -> Point:
    """KL, win rate and mean reward of a policy, log-probabilities of shape `(S,)`."""
    return Point(kl=kl(log_q, known.log_p), win_rate=win_rate(log_q, known), reward=mean_reward(log_q, known))


def frontier(known: Reference, ns: Sequence[float]) -> list[Point]:
    """Where best-of-N itself stands, for each N."""
    return [measure(best_of_n(known, n), known) for n in ns]


def objective(aim: Aim, log_q: npt.ArrayLike, known: Reference, samples: npt.ArrayLike | None = None) -> float:
    """The objective of a policy q, log-probabilities of shape `(S,)`; -inf where q gives what best-of-N cannot.

    J, L and L1 as Amini et al. 2025 write them (Eq. 5, Eq. 8, Theorem 3), before they are divided by N - 1, and
    E[r] - beta KL for `reward`. With `samples`, sorted rewards of shape `(M,)`, F is estimated from these.
    """
    logs = np.asarray(log_q, dtype=np.float64)
    seen = logs > -np.inf
    gained = float(np.exp(logs[seen]) @ _returns(aim, known, samples)[seen]) - aim.kl * kl(logs, known.log_p)
    return gained if aim.kind == "reward" else gained / aim.kl


def optimum(aim: Aim, known: Reference, samples: npt.ArrayLike | None = None) -> Floats:
    """The policy that maximises the objective over all distributions, log-probabilities of shape `(S,)`.

    E_q[a] - c KL(q || pi_ref) is greatest at q in proportion to pi_ref exp(a / c). With `samples`, sorted rewards of
    shape `(M,)`, it is what the estimated F leads to: `kl(optimum(aim, known, samples), best_of_n(known, n))` is the
    floor that M samples leave, however long the training.
    """
    logs = known.log_p + _returns(aim, known, samples) / aim.kl
    top = logs.max()
    normalised: Floats = logs - top - np.log(np.exp(logs - top).sum())
    return normalised


def draw_samples(known: Reference, m: int, rng: np.random.Generator) -> Floats:
    """The sorted rewards of m independent responses of the reference, shape `(m,)`."""
    return np.sort(rng.choice(known.rewards, size=m, p=np.exp(known.log_p)))


def _returns(aim: Aim, known: Reference, samples: npt.ArrayLike | None) -> Floats:
    """The return of every response but for its KL, shape `(S,)`."""
    if samples is None:
        with np.errstate(divide="ignore"):
            return aim.of(known.rewards, known.log_p, known.below, known.upto, np.log(known.below))
    below, upto = below_and_upto(samples, known.rewards, aim.estimator)
    return aim.of(known.rewards, known.log_p, below, upto, log_f(samples, known.rewards, aim.estimator))
