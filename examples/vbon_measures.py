"""What policies do on prompts that nothing was trained on: frontiers, temperatures, clocks, and answers to read.

Draws are kept as pools in the folder (draws/...), so what was measured once is not drawn again. Everything is scored
by the reward that was trained on and by the evaluator that was not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vbon_parts import MAX_TOKENS, OPENINGS, Folder
from vbon_ranks import f_hat_rows, rejections
from vbon_runs import CLOCK, Run

import bon
from bon.api.frontier import frontier
from bon.api.measuring import Studio, Trial
from bon.evaluation.frontier.measured import Frontier
from bon.protocols import Scorer
from bon.stats.intervals import bootstrap_mean
from bon.stats.ranks import win_share
from bon.train.policy.report import read_run
from bon.types import Pool

__all__ = ["Measures"]

Floats = npt.NDArray[np.float64]

TEMPERATURES = (1.0, 0.75, 0.5, 0.25)
BEST_OF = 8
"""The N of the best-of-N that is shown beside policies."""
_APART = 64
"""Of the reference's samples: those that stand for the reference; the others are what win rates are against."""
_LESS = _APART + 200
"""Samples of a prompt out of the domain, at the most."""


class Measures:
    """All that is measured of finished runs in a folder."""

    def __init__(self, folder: Folder, *, draws: int, samples: int, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say
        self.trials = {
            part: Trial(draws=draws, samples=count, max_tokens=MAX_TOKENS, device="cpu")
            for part, count in {"test": samples, "openings": samples, "out_of_domain": min(samples, _LESS)}.items()
        }
        self._stack = ExitStack()
        self._scorers: dict[str, Scorer] = {}
        self._studios: dict[str, Studio] = {}

    def __enter__(self) -> Measures:
        os.environ["BON_EVALUATOR"] = str(self.folder.evaluator.resolve())
        evaluator = "vbon_evaluator:evaluator?name=evaluator"
        for name, spec in (("reward", self.folder.reward), ("evaluator", evaluator)):
            self._scorers[name] = self._stack.enter_context(bon.scorer(spec))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def frontier(self, runs: Sequence[Run], *, scorer: str = "reward") -> Frontier:
        """Runs on the test prompts beside best-of-N, which always chooses by the reward."""
        for run in runs:
            self._answers("test", run, 1.0)  # scored by both
        self._samples("test", 1.0)
        return frontier(
            [self._out(run) for run in runs],
            self.folder.prompts("test"),
            scorer=self._scorers[scorer],
            by=None if scorer == "reward" else self._scorers["reward"],
            folder=self._place("test"),
            trial=self.trials["test"],
        )

    def temperatures(self, runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
        """Win rate and the evaluator's view of each method at each temperature, in the domain and out of it.

        Wins are by the reward, against the reference's own samples at temperature 1. A method's runs are its seeds:
        their answers to a prompt count together, and intervals are over prompts.
        """
        for part in ("test", "out_of_domain"):
            against = {pool.prompt.id: np.sort(_values(pool, "reward")[_APART:]) for pool in self._samples(part, 1.0)}
            for heat in TEMPERATURES:
                shown = {"reference": self._apart(part, heat), f"best of {BEST_OF}": self._best(part, heat)}
                for method in dict.fromkeys(run.method for run in runs):
                    own = [run for run in runs if run.method == method]
                    shown[method] = [pool for run in own for pool in self._answers(part, run, heat)]
                for name, pools in shown.items():
                    yield {"domain": part, "temperature": heat, "method": name, **_amounts(pools, against)}

    def texts(self, runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
        """The first answer of each to the openings, at four temperatures: none is picked."""
        for heat in TEMPERATURES[::-1]:
            of = {"reference": self._apart("openings", heat), f"best of {BEST_OF}": self._best("openings", heat)}
            of |= {run.method: self._answers("openings", run, heat) for run in runs}
            for method, pools in of.items():
                for name, pool in zip(OPENINGS, pools, strict=True):
                    yield {
                        "opening": name,
                        "prompt": pool.prompt.text,
                        "temperature": heat,
                        "method": method,
                        "text": pool.candidates[0].text,
                        "reward": pool.values("reward")[0],
                        "evaluator": pool.values("evaluator")[0],
                    }

    def f_hat(self) -> list[dict[str, Any]]:
        """Log F-hat against the reward for the openings, at several M."""
        pools = self._samples("openings", 1.0)
        values = {name: _values(pool, "reward") for name, pool in zip(OPENINGS, pools, strict=True)}
        whole = min(map(len, values.values()))
        return list(f_hat_rows(values, [size for size in (10, 50, 200, 600) if size < whole] + [whole]))

    def test_of_f_hat(self) -> list[dict[str, float]]:
        """Table 1 of the paper, on the test prompts, with what it means."""
        samples = [_values(pool, "reward") for pool in self._samples("test", 1.0)]
        return rejections(samples, np.random.default_rng(0))

    def clocks(self, runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
        """Reward and win rate of a training as time passes, that of making its M samples included."""
        spent, count = self.folder.facts["done"]["samples"], self.folder.facts["size"]["samples"]
        for run in runs:
            path = self._out(run) / "training" / "metrics.jsonl"
            steps = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            seconds = spent * (run.samples or count) / count
            for row in steps:
                seconds += sum(row[f"seconds_{part}"] for part in ("rollout", "reward", "optimise"))
                shown = {name: row[name] for name in ("step", "reward", "win", "kl")}
                yield {"M": run.samples or count, "seed": run.seed, "n": CLOCK, "seconds": seconds, **shown}

    def nearest(self, runs: Sequence[Run], found: Frontier) -> list[Run]:
        """Of each method the setting that moves about as far as vBoN with N = 8 does: what is compared one by one."""
        kl: dict[tuple[str, float], list[float]] = {}
        rows = {Path(row.run).name: row.kl.value for row in found.runs}
        for run in runs:
            kl.setdefault((run.method, run.value), []).append(rows[run.name])
        aim = np.mean(kl.get(("vbon", float(BEST_OF))) or [rows[run.name] for run in runs if run.method == "vbon"])
        best: dict[str, float] = {}
        for (method, value), values in kl.items():
            before = best.get(method)
            if before is None or abs(np.mean(values) - aim) < abs(np.mean(kl[method, before]) - aim):
                best[method] = value
        return [run for run in runs if best[run.method] == run.value]

    def _out(self, run: Run) -> Path:
        return self.folder.root / "runs" / run.name

    def _place(self, part: str) -> Path:
        return self.folder.root / "draws" / part

    def _studio(self, part: str) -> Studio:
        if part not in self._studios:
            self._studios[part] = Studio(
                self._place(part), self.folder.prompts(part), self.trials[part], reference=str(self.folder.reference)
            )
        return self._studios[part]

    def _samples(self, part: str, heat: float) -> list[Pool]:
        """The reference's samples; away from temperature 1 only those that stand for it."""
        trial = self.trials[part]
        count = trial.samples if heat == 1.0 else _APART
        measuring = trial.measuring(heat, MAX_TOKENS, draws=count)
        return self._studio(part).samples(measuring, self._scorers)

    def _answers(self, part: str, run: Run, heat: float) -> list[Pool]:
        self.say(f"answers of {run.name} to {part} at {heat:g}")
        trial = self.trials[part]
        measuring = trial.measuring(heat, MAX_TOKENS, draws=trial.draws)
        return self._studio(part).answers(read_run(self._out(run)), measuring, self._scorers)

    def _apart(self, part: str, heat: float) -> list[Pool]:
        return [pool.only(range(_APART)) for pool in self._samples(part, heat)]

    def _best(self, part: str, heat: float) -> list[Pool]:
        """Of each 8 of those samples the best by the reward."""
        found = []
        for pool in self._apart(part, heat):
            values = _values(pool, "reward").reshape(-1, BEST_OF)
            places = values.argmax(axis=1) + np.arange(0, _APART, BEST_OF)
            found.append(pool.only([int(place) for place in places]))
        return found


def _amounts(pools: Iterable[Pool], against: Mapping[str, Floats]) -> dict[str, float]:
    """Means over prompts with 95 % intervals; all answers to a prompt count together."""
    table: dict[str, list[tuple[Floats, Floats, Floats]]] = {}
    for pool in pools:
        rewards = _values(pool, "reward")
        row = (win_share(against[pool.prompt.id], rewards), rewards, _values(pool, "evaluator"))
        table.setdefault(pool.prompt.id, []).append(row)
    found: dict[str, float] = {}
    for place, name in enumerate(("win", "reward", "evaluator")):
        means = np.array([np.concatenate([row[place] for row in rows]).mean() for rows in table.values()])
        low, high = bootstrap_mean(means, rng=np.random.default_rng(0))
        found |= {name: float(means.mean()), f"{name}_low": low, f"{name}_high": high}
    return found


def _values(pool: Pool, by: str) -> Floats:
    return np.array(pool.values(by), dtype=np.float64)
