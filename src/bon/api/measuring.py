"""Draws of policies and of their reference on test prompts, scored, in files of a folder: nothing is drawn twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from bon.api import blocking
from bon.api.files import score_file
from bon.evaluation.frontier.gathering import KL, LOG_PROB
from bon.ledger import Ledger
from bon.models.loading import release
from bon.models.stamp import stamp
from bon.models.transformers import LanguageModel
from bon.protocols import Scorer
from bon.store.plain import canonical
from bon.store.pools import PoolFile, read_pools, write_pools
from bon.store.runfile import Run, read_run, write_run
from bon.train.policy.measures import Answers, Measuring, loaded, measured_draws
from bon.train.policy.outcome import PolicyReport
from bon.types import Pool, Prompt, Score, Seconds

__all__ = ["Hearing", "Studio", "Trial"]

Hearing = Callable[[str, int, int], None]
"""Told what is done, how many prompts of it are, and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How policies are measured."""

    draws: int = 8
    """Answers a prompt, of each policy."""
    samples: int = 100
    """Answers a prompt, of the reference: what win rates are against, and best-of-N is made of."""
    temperatures: tuple[float, ...] = ()
    """At which all are drawn; the first is the one at which best-of-N and fronts are. Empty: that of the trainings."""
    max_tokens: int | None = None
    """Of an answer; None: that of the trainings."""
    seed: int = 0
    tokens: int = 32_768
    """Tokens a pass, padding included: what bounds the memory."""
    precision: Literal["float32", "bfloat16"] = "float32"
    device: str | None = None
    """A torch device; None: a GPU where there is one."""

    def measuring(self, temperature: float, max_tokens: int, *, draws: int) -> Measuring:
        """The same for one model at one temperature."""
        return Measuring(
            temperature=temperature,
            max_tokens=max_tokens,
            draws=draws,
            seed=self.seed,
            tokens=self.tokens,
            precision=self.precision,
        )


class Studio:
    """Where everything that a frontier is made of is drawn, scored and kept."""

    def __init__(
        self,
        folder: Path,
        prompts: Sequence[Prompt],
        trial: Trial,
        *,
        reference: str,
        revision: str | None = None,
        ledger: Ledger | None = None,
        progress: Hearing | None = None,
    ) -> None:
        self.folder, self.prompts, self.trial = folder, prompts, trial
        self.reference, self.revision = reference, revision
        self._ledger, self._progress = ledger, progress or _unheard
        self._asked = hashlib.sha256(b"\n".join(canonical([p.id, p.messages, p.request]) for p in prompts)).hexdigest()

    @cached_property
    def model(self) -> LanguageModel:
        """The reference; it is loaded where something is still to be drawn."""
        return loaded(self.reference, revision=self.revision, device=self.trial.device)

    def samples(self, measuring: Measuring, scorers: Mapping[str, Scorer]) -> list[Pool]:
        """The reference's own answers, each with its log-probability and its scores."""

        def drawn() -> Iterator[Answers]:
            told = self._telling(f"the reference at {measuring.temperature:g}")
            yield from measured_draws(self.prompts, self.model, measuring, progress=told)

        whose = {"numbers": "samples", **self._whose(self.reference)}
        return self._kept("reference", whose, measuring, scorers, drawn)

    def answers(self, report: PolicyReport, measuring: Measuring, scorers: Mapping[str, Scorer]) -> list[Pool]:
        """A policy's answers, each with its KL from the reference and its scores."""

        def drawn() -> Iterator[Answers]:
            told = self._telling(f"{report.out} at {measuring.temperature:g}")
            policy = loaded(report.out, device=self.trial.device)
            try:
                yield from measured_draws(self.prompts, policy, measuring, reference=self.model, progress=told)
            finally:
                del policy
                release()

        whose = {"numbers": "answers", "policy": stamp(report.out), **self._whose(self.reference)}
        name = f"{report.method}-{Path(report.out).name}"
        return self._kept(name, whose, measuring, scorers, drawn)

    def _whose(self, source: str) -> dict[str, Any]:
        known: Any = stamp(source) if Path(source).expanduser().exists() else source
        return {"reference": known, "revision": self.revision}

    def _telling(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self._progress(what, done, total)

    def _kept(
        self,
        name: str,
        whose: Mapping[str, Any],
        measuring: Measuring,
        scorers: Mapping[str, Scorer],
        drawn: Callable[[], Iterator[Answers]],
    ) -> list[Pool]:
        """What the file of a model holds, drawn first where it is not there, and scored where scores are lacking."""
        settings = {**whose, **_shared(measuring), "prompts": self._asked}
        mark = hashlib.sha256(canonical(settings)).hexdigest()[:10]
        path = self.folder / f"{name}-T{measuring.temperature:g}-{mark}.jsonl"
        if read_run(path) is None or not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_pools(path, [_pool(answers, name) for answers in drawn()])
            write_run(path, Run(command="frontier", settings=settings))
        blocking.run(self._scored(path, scorers))
        return list(read_pools(path))

    async def _scored(self, path: Path, scorers: Mapping[str, Scorer]) -> None:
        with PoolFile(path) as pools:
            async with aclosing(score_file(pools, path, scorers, ledger=self._ledger)) as steps:
                async for step in steps:
                    if step.pool is not None:
                        self._progress(f"scores of {path.stem}", step.done, len(self.prompts))


def _shared(measuring: Measuring) -> dict[str, Any]:
    """What changes the draws."""
    return {name: value for name, value in asdict(measuring).items() if name != "tokens"}


def _pool(answers: Answers, name: str) -> Pool:
    """The draws of a prompt, as pools hold them."""
    each = answers.seconds / max(1, len(answers.draws))
    scores = {LOG_PROB: tuple(Score(value=draw.log_prob) for draw in answers.draws)}
    kls = [draw.kl for draw in answers.draws if draw.kl is not None]
    if len(kls) == len(answers.draws):
        scores[KL] = tuple(Score(value=kl) for kl in kls)
    return Pool(
        prompt=replace(answers.prompt, request={}),
        candidates=tuple(
            replace(draw.candidate, seconds=Seconds(total=each), generator=name) for draw in answers.draws
        ),
        scores=scores,
    )


def _unheard(what: str, done: int, total: int) -> None:
    pass
