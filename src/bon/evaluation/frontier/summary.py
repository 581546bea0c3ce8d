"""From what was measured on each prompt to the frontier: means, fronts, shares and gaps, with intervals; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bon.errors import UsageError
from bon.evaluation.frontier.bestof import BestOfN, analytic, best_of_n, sizes_below
from bon.evaluation.frontier.gap import gaps, mean_gap
from bon.evaluation.frontier.measured import Amount, BestRow, CostRow, Frontier, Measured, MethodRow, Reference, RunRow
from bon.evaluation.frontier.notes import few_prompts
from bon.evaluation.frontier.pareto import front, front_shares
from bon.stats.resampling import bootstrap_curve
from bon.stats.subsets import Floats

__all__ = ["GAINS", "NAMES", "named", "summarise"]

GAINS = ("win", "reward")
"""What is gained for moving away from the reference."""
NAMES: Mapping[str, str] = {
    "vbon-eq5": "vBoN",
    "vbon-l": "vBoN (L)",
    "vbon-l1": "vBoN (L1)",
    "ppo": "PPO",
    "bonbon": "BoNBoN",
    "dpo": "DPO",
    "sft": "BoN-SFT",
    "vbon-eq5-authors": "vBoN, authors' code",
    "vbon-l-authors": "vBoN (L), authors' code",
}
"""What methods are called, in the order in which they are shown."""


def named(method: str) -> str:
    """What a method is called."""
    return NAMES.get(method, method)


def summarise(
    runs: Sequence[Measured],
    reference: Reference,
    *,
    scorer: str,
    sizes: Sequence[int] | None = None,
    draws: int = 2_000,
    seed: int = 0,
) -> Frontier:
    """The frontier of policies at the temperature of their reference, with best-of-N beside them.

    Everything is compared on the prompts that all of them have at that temperature; prompts that one lacks are left
    out and counted. Runs at other temperatures are shown, and are on no front. `sizes` are the N of best-of-N, by
    default from 1 to what the samples bear.

    Intervals are of 95 %, by bootstrap over prompts; one prompt says nothing of others, and has none. Raises UsageError
    where no run is measured at the reference's temperature, or no prompt is common to all.
    """
    level = [run for run in runs if run.temperature == reference.temperature]
    if not level:
        found = ", ".join(f"{run.temperature:g}" for run in runs) or "none"
        raise UsageError(
            f"no run is measured at the reference's temperature, {reference.temperature:g} (measured: {found}): "
            "nothing can be compared with best-of-N"
        )
    common = [id_ for id_ in reference.ids if all(id_ in set(run.ids) for run in level)]
    if not common:
        raise UsageError("no prompt has a measured answer of every run and samples of the reference: nothing compares")
    kept = _only(reference, common)
    least = min(map(len, kept.rewards))
    best = best_of_n(
        kept.chosen or kept.rewards,
        np.asarray(sizes or sizes_below(least)),
        gold=kept.rewards if kept.chosen else None,
        log_ref=kept.log_probs,
    )
    cut = [_common(run, common) for run in level]
    rng = np.random.default_rng(seed)
    lost = len(reference.ids) - len(common)
    return Frontier(
        reference=reference.name,
        scorer=scorer,
        prompts=len(common),
        samples=least,
        temperature=reference.temperature,
        runs=[*_run_rows(cut, best, draws, rng), *(_row(run, draws, rng) for run in runs if run not in level)],
        best=_best_rows(best, draws, rng),
        kl_estimated=best.estimated,
        methods=_method_rows(cut, best, draws, rng),
        costs=_costs(level, reference, int(best.n[-1])),
        notes=[
            *([few] if (few := few_prompts(len(common))) else []),
            *([f"{lost} prompts are left out: a run, or the reference, has no reward on them"] if lost else []),
            *(f"{run.run}: {count} {what}" for run in runs for what, count in run.missing.items()),
        ],
    )


def _table(runs: Sequence[Measured], name: str) -> Floats:
    """Shape `(R, P)`."""
    return np.asarray([getattr(run, name) for run in runs], dtype=np.float64)


def _only(reference: Reference, ids: Sequence[str]) -> Reference:
    places = [reference.ids.index(id_) for id_ in ids]

    def picked(rows: tuple[tuple[float, ...], ...] | None) -> tuple[tuple[float, ...], ...] | None:
        return None if rows is None else tuple(rows[place] for place in places)

    return replace(
        reference,
        ids=tuple(ids),
        rewards=picked(reference.rewards) or (),
        chosen=picked(reference.chosen),
        log_probs=picked(reference.log_probs),
    )


def _common(run: Measured, ids: Sequence[str]) -> Measured:
    places = {id_: place for place, id_ in enumerate(run.ids)}
    order = [places[id_] for id_ in ids]
    cut = {name: tuple(getattr(run, name)[place] for place in order) for name in ("kl", *GAINS)}
    return replace(run, ids=tuple(ids), kl=cut["kl"], win=cut["win"], reward=cut["reward"])


def _amounts(table: Floats, draws: int, rng: np.random.Generator) -> list[Amount]:
    """The mean of each column of `(P, K)`."""
    if len(table) == 1:
        return [Amount(value=value, low=None, high=None, why="one prompt") for value in table[0].tolist()]
    low, high = bootstrap_curve(table, draws=draws, rng=rng)
    ends = zip(table.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True)
    return [Amount(value=value, low=a, high=b) for value, a, b in ends]


def _row(run: Measured, draws: int, rng: np.random.Generator) -> RunRow:
    kl, win, reward = _amounts(np.asarray([run.kl, run.win, run.reward]).T, draws, rng)
    return RunRow(
        run=run.run,
        method=run.method,
        setting=run.setting,
        seed=run.seed,
        temperature=run.temperature,
        kl=kl,
        reward=reward,
        win=win,
        length=run.length,
        ended=run.ended,
    )


def _run_rows(runs: Sequence[Measured], best: BestOfN, draws: int, rng: np.random.Generator) -> list[RunRow]:
    """Runs at the reference's temperature: with their place on the front and their gap to best-of-N."""
    kl = _table(runs, "kl")
    on = {gain: front(kl.mean(axis=1), _table(runs, gain).mean(axis=1)).tolist() for gain in GAINS}
    short = {
        gain: gaps(kl, _table(runs, gain), curve_kl=best.kl, curve_value=curve, draws=draws, rng=rng)
        for gain, curve in zip(GAINS, (best.win, best.value), strict=True)
    }
    return [
        replace(
            _row(run, draws, rng),
            on_front={gain: on[gain][place] for gain in GAINS},
            gap={gain: short[gain][place] for gain in GAINS},
        )
        for place, run in enumerate(runs)
    ]


def _best_rows(best: BestOfN, draws: int, rng: np.random.Generator) -> list[BestRow]:
    bound, most = analytic(best.n)
    kl, reward, win = (_amounts(table, draws, rng) for table in (best.kl, best.value, best.win))
    return [
        BestRow(
            n=int(n),
            kl=kl[place],
            reward=reward[place],
            win=win[place],
            bound=float(bound[place]),
            most=float(most[place]),
        )
        for place, n in enumerate(best.n)
    ]


def _method_rows(runs: Sequence[Measured], best: BestOfN, draws: int, rng: np.random.Generator) -> list[MethodRow]:
    methods, kl = [run.method for run in runs], _table(runs, "kl")
    shares = {
        gain: {share.method: share for share in front_shares(kl, _table(runs, gain), methods, draws=draws, rng=rng)}
        for gain in GAINS
    }
    rows = []
    for method in _ordered(methods):
        own = [place for place, name in enumerate(methods) if name == method]
        short = {
            gain: mean_gap(
                kl[own],
                _table(runs, gain)[own],
                settings=[runs[place].setting for place in own],
                curve_kl=best.kl,
                curve_value=curve,
                draws=draws,
                rng=rng,
            )
            for gain, curve in zip(GAINS, (best.win, best.value), strict=True)
        }
        rows.append(
            MethodRow(method=method, runs=len(own), share={gain: shares[gain][method] for gain in GAINS}, gap=short)
        )
    return rows


def _costs(runs: Sequence[Measured], reference: Reference, largest: int) -> list[CostRow]:
    """One draw of the reference, the best of the most that were measured, and the methods."""
    rows = [
        CostRow(
            method=f"best of {n}" if n > 1 else "the reference",
            draws=n,
            tokens=None if reference.length is None else n * reference.length,
            seconds=None if reference.seconds is None else n * reference.seconds,
        )
        for n in dict.fromkeys((1, largest))
    ]
    for method in _ordered([run.method for run in runs]):
        own = [run for run in runs if run.method == method]

        def mean(part: str, unit: str, own: Sequence[Measured] = own) -> float | None:
            return _mean([run.cost[part][unit] for run in own if unit in run.cost.get(part, {})])

        rows.append(
            CostRow(
                method=method,
                draws=1,
                tokens=_mean([run.length for run in own]),
                seconds=_mean([run.seconds for run in own if run.seconds is not None]),
                optimisation_seconds=mean("optimisation", "seconds"),
                optimisation_tokens=mean("optimisation", "tokens"),
                drawing_seconds=mean("inference", "seconds"),
                preprocessing_seconds=mean("preprocessing", "seconds"),
                preprocessing_tokens=mean("preprocessing", "tokens"),
            )
        )
    return rows


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _ordered(methods: Sequence[str]) -> list[str]:
    """Each method once, as they are shown."""
    known = [method for method in NAMES if method in methods]
    return [*known, *(method for method in dict.fromkeys(methods) if method not in NAMES)]
