"""What a policy is trained towards: the return of each response it draws, from the rank of its reward or the reward."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from bon.errors import UsageError
from bon.stats.law import log_weight, rho
from bon.stats.ranks import ESTIMATORS, Estimator, alike, below_and_upto, log_f
from bon.stats.subsets import Floats

__all__ = ["AUTHORS_SAMPLES", "KINDS", "Aim", "Kind", "Law", "Mode"]

Kind: TypeAlias = Literal["eq5", "L", "L1", "reward"]
"""The objective, by its name in Amini et al. 2025; all are maximised, and KL is KL(pi_theta || pi_ref).

- `eq5`: J = E[log pi_bon - log pi_ref] - KL, which is -KL(pi_theta || pi_bon); its optimum is best-of-N itself.
- `L`: (N - 1) E[log F] - KL, the bound of Theorem 2; its optimum is pi_ref F^(N-1), normalised.
- `L1`: E[gamma log F + beta log pi_ref - log pi_theta], gamma = N (N-1) / 2, beta = N (N+1) / 2: Theorem 3's bound.
- `reward`: E[r] - beta KL, KL-regularised reinforcement learning; its optimum is pi_ref exp(r / beta), normalised.
"""
Law: TypeAlias = Literal["ties", "eq4"]
"""Which pi_bon `eq5` means: that of equal rewards decided at random, or Eq. 4, which holds where no two are equal."""
Mode: TypeAlias = Literal["paper", "authors"]
"""`paper` is as derived; `authors` is as the paper's released code computes it, for comparison only."""

KINDS: tuple[Kind, ...] = get_args(Kind)
AUTHORS_SAMPLES = 301
"""The most reference samples a prompt that the released code reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """An objective, as the return R = reward - kl * (log pi_theta - log pi_ref) of each response drawn from pi_theta.

    The KL stands inside the return, as one sample of it and without a gradient of its own: that is the placement whose
    expected gradient is the objective's. J, L and L1 are divided by N - 1, which leaves their optimum where it is and
    their scale free of N; at N = 1 all three are the plain KL, whose optimum is pi_ref.

    `mode="authors"` is what the released code does: N is int(1 / (1 / (N - 1))) + 1 (99 for 100), `L1` means L, the
    reward is divided by N but the KL by N - 1 (by which alone the optimum of L at N = 2 has a win rate of 0.60 and not
    2/3), pi_bon is Eq. 4.

    Raises `UsageError` for what does not fit together: `eq5` and `L1` take a whole `n`, `L` either `n` or `beta`
    (N = 1 / beta + 1), `reward` a `beta` only.
    """

    kind: Kind = "eq5"
    n: float | None = None
    """N of best-of-N, 1 or more."""
    beta: float | None = None
    """Weight of the KL beside a reward, positive; for `L` another way to say N."""
    estimator: Estimator = "add_one"
    """How F is estimated from the reference samples."""
    law: Law = "ties"
    mode: Mode = "paper"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("objective", self.kind, KINDS),
            ("estimator of F", self.estimator, ESTIMATORS),
            ("law", self.law, get_args(Law)),
            ("mode", self.mode, get_args(Mode)),
        ):
            if value not in known:
                raise UsageError(f"there is no {name} {value!r}; there are {', '.join(known)}")
        if self.kind == "reward":
            if self.n is not None or self.beta is None:
                raise UsageError("the objective 'reward' is E[r] - beta KL: it takes beta, and no N")
        elif (self.n is None) == (self.beta is None) or (self.beta is not None and self.kind != "L"):
            raise UsageError(f"the objective {self.kind!r} takes n{' or beta' * (self.kind == 'L')}, and nothing else")
        if self.beta is not None and not (math.isfinite(self.beta) and self.beta > 0):
            raise UsageError(f"beta is a positive number, not {self.beta!r}")
        if self.n is not None and not (math.isfinite(self.n) and self.n >= 1):
            raise UsageError(f"N is 1 or more, not {self.n!r}")
        if self.n is not None and self.kind != "L" and self.n != int(self.n):
            raise UsageError(
                f"best-of-N draws a whole number of responses, not {self.n!r}; the objective 'L' takes any"
            )

    @property
    def draws(self) -> float:
        """The N that is trained towards, whichever way it was said; 1 / beta + 1 for `reward`, which matches L."""
        if self.n is not None and not (self.mode == "authors" and self.n > 1):
            return self.n
        beta = 1 / (self.n - 1) if self.n is not None else self.beta
        assert beta is not None  # one of the two is there  # noqa: S101
        return float(int(1 / beta) + 1) if self.mode == "authors" else 1 / beta + 1

    @property
    def kl(self) -> float:
        """The weight of log pi_theta - log pi_ref in the return: beta, 1 / (N - 1), or 1 where N is 1."""
        if self.beta is not None:
            return self.beta
        assert self.n is not None  # so it was checked  # noqa: S101
        return 1 / (self.n - 1) if self.n > 1 else 1.0

    @property
    def ranked(self) -> bool:
        """Whether the return reads ranks among reference samples; `reward`, and N = 1, need none."""
        return self.kind != "reward" and self.draws > 1

    def reward(self, rewards: npt.ArrayLike, samples: Sequence[npt.ArrayLike], log_ref: npt.ArrayLike) -> Floats:
        """The part of each response's return that does not hold log pi_theta, shape `(B,)`.

        `rewards` and `log_ref` (log pi_ref of the response, under the distribution it was drawn from: temperature and
        all) have shape `(B,)`; `samples` has the sorted rewards of each response's own prompt, shape `(M,)` a row, and
        may be empty where the aim is not `ranked`. Raises `UsageError` for shapes that differ and for what cannot be
        ranked.
        """
        values, logs = np.asarray(rewards, dtype=np.float64), np.asarray(log_ref, dtype=np.float64)
        if values.ndim != 1 or values.shape != logs.shape:
            raise UsageError(f"rewards of shape {values.shape} and log pi_ref of {logs.shape}: wanted (B,) of each")
        if not self.ranked:
            return self.of(values, logs, logs, logs, logs)  # which reads none of them
        if len(samples) != values.size:
            raise UsageError(f"{len(samples)} rows of reference samples for {values.size} rewards: wanted one of each")
        below, upto, log_below = np.empty((3, values.size))
        for rows in alike(samples):  # answers to one prompt are looked up at once
            known, asked = samples[rows[0]], values[rows]
            below[rows], upto[rows] = below_and_upto(known, asked, self.estimator)
            log_below[rows] = log_f(known, asked, self.estimator)
        return self.of(values, logs, below, upto, log_below)

    def of(self, rewards: Floats, log_ref: Floats, below: Floats, upto: Floats, log_below: Floats) -> Floats:
        """The same where P(r' < r), P(r' <= r) and log P(r' < r) are known or estimated already; shapes broadcast."""
        if not self.ranked:
            return np.array(rewards) if self.kind == "reward" else np.zeros(np.shape(rewards))
        n = self.draws
        scale = n if self.mode == "authors" else n - 1
        if self.kind == "eq5":
            by_eq4 = self.law == "eq4" or self.mode == "authors"
            return (rho(log_ref, log_below, int(n)) if by_eq4 else log_weight(log_ref, below, upto, n)) / scale
        if self.kind == "L1" and self.mode == "paper":
            # beta log pi_ref - log pi_theta = (beta - 1) log pi_ref - k1
            return (n * (n - 1) / 2 * log_below + (n * (n + 1) / 2 - 1) * log_ref) / scale
        return (n - 1) * log_below / scale
