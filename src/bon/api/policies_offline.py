"""Training from scored pools: `bon.train_sft`, `bon.train_dpo`, `bon.train_bonbon`; what comes of it draws as `hf:`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict, Unpack

from bon.api.policy_rounds import Rounds, train_rounds
from bon.api.timed import read_timed
from bon.train.policy.choices import Choosing, Kind
from bon.train.policy.distil import RECIPE, Offline, train_offline
from bon.train.policy.model import PolicySetup
from bon.train.policy.outcome import PolicyReport
from bon.train.preferences import Pairing
from bon.train.recipe import Hook, Recipe
from bon.types import Pool

__all__ = ["Learning", "Rounds", "train_bonbon", "train_dpo", "train_sft"]

Pools = str | Path | Iterable[Pool]


class Learning(TypedDict, total=False):
    """What all three trainings can be told besides; see `bon.train.policy.distil.Offline` and `Choosing`."""

    groups: int | None
    """Groups of n draws that a pool gives at the most."""
    temperature: float | None
    """By which logits are divided in log-probabilities; None: at which the pools were drawn."""
    held_out: float
    """A share of the prompts to measure on, by which the best weights are kept."""
    max_length: int | None
    """Most tokens of a prompt and its answer; longer ones are left out."""


def train_sft(
    pools: Pools,
    *,
    out: str | Path,
    by: str | None = None,
    n: int | None = None,
    setup: PolicySetup | None = None,
    recipe: Recipe = RECIPE,
    rounds: Rounds | None = None,
    progress: Hook | None = None,
    **more: Unpack[Learning],
) -> PolicyReport:
    """Fine-tune a model on the best of n draws, by the scorer `by` (BoN-SFT); `out` then loads as `hf:out`. It blocks.

    `pools` is a file of scored pools, or pools. Each n draws of a pool give a row, their best; without n it is the best
    of the pool. `setup` says what is trained and which of its weights, `recipe` how. With `rounds` the trained model
    draws again, what it drew is scored, and it is trained on the best of that. The same call goes on where one was
    stopped, and gives its report again once it is done.

    Raises as `bon.train.policy.distil.train_offline` does; with `rounds` what sampling and scoring raise.
    """
    offline = _offline("sft", by=by, n=n, recipe=recipe, more=more)
    if rounds is None or rounds.count == 1:
        return train_offline(_read(pools), offline, out=Path(out), setup=setup, recipe=recipe, progress=progress)
    return train_rounds(
        _read(pools), offline, rounds, out=Path(out), setup=setup or PolicySetup(), recipe=recipe, progress=progress
    )


def train_dpo(
    pools: Pools,
    *,
    out: str | Path,
    by: str | None = None,
    n: int | None = None,
    beta: float = 0.1,
    pairing: Pairing = "all",
    setup: PolicySetup | None = None,
    recipe: Recipe = RECIPE,
    progress: Hook | None = None,
    **more: Unpack[Learning],
) -> PolicyReport:
    """Train a model by DPO on pairs of draws that the scorer `by` tells apart; `out` then loads as `hf:out`. It blocks.

    `pairing` says which draws of each n make pairs: `all` (6 draws make 15), `best-worst`, or `adjacent` by rank. The
    rest is as for `train_sft`.
    """
    offline = _offline("dpo", by=by, n=n, recipe=recipe, more=more, pairing=pairing, beta=beta)
    return train_offline(_read(pools), offline, out=Path(out), setup=setup, recipe=recipe, progress=progress)


def train_bonbon(
    pools: Pools,
    *,
    out: str | Path,
    by: str | None = None,
    n: int | None = None,
    alpha: float | None = None,
    setup: PolicySetup | None = None,
    recipe: Recipe = RECIPE,
    progress: Hook | None = None,
    **more: Unpack[Learning],
) -> PolicyReport:
    """Train a model by BoNBoN on the best and the worst of n draws; `out` then loads as `hf:out`. It blocks.

    `alpha` weighs the likelihood of the best; by default so that both terms of the loss are equal before the first
    step. The rest is as for `train_sft`.
    """
    offline = _offline("bonbon", by=by, n=n, recipe=recipe, more=more, alpha=alpha)
    return train_offline(_read(pools), offline, out=Path(out), setup=setup, recipe=recipe, progress=progress)


def _offline(
    kind: Kind,
    *,
    by: str | None,
    n: int | None,
    recipe: Recipe,
    more: Learning,
    pairing: Pairing = "all",
    beta: float = 0.1,
    alpha: float | None = None,
) -> Offline:
    return Offline(
        kind=kind,
        choosing=Choosing(by=by, n=n, groups=more.get("groups"), pairing=pairing, seed=recipe.seed),
        beta=beta,
        alpha=alpha,
        temperature=more.get("temperature"),
        held_out=more.get("held_out", 0.0),
        max_length=more.get("max_length"),
    )


def _read(pools: Pools) -> Iterable[Pool]:
    return read_timed(pools) if isinstance(pools, str | Path) else pools
