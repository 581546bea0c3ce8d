"""A run put together from specs: the plan for the engine, the selector, and the request every prompt starts from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from typing import Any

from bon.api.memory import check_memory
from bon.api.prompts import with_defaults
from bon.budgets import Threshold
from bon.engine import Plan
from bon.errors import UsageError
from bon.protocols import Budget, Extractor, Generator, Selector
from bon.registry import Builder, BuiltBudget, BuiltGenerator, BuiltScorer, BuiltSelector, DryBuilder
from bon.registry.extractors import extractor
from bon.score import ScorerLike, agreement
from bon.select import GOLD, name_of
from bon.types import Prompt

__all__ = ["Job", "build_scorers", "make_job"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything a run needs, built."""

    plan: Plan
    selector: BuiltSelector
    extract: str
    """The extractor's name, for the record."""
    request: Mapping[str, Any]
    """What every prompt is asked with where it does not say otherwise."""

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the generator and the scorers; not for things that the caller still needs."""
        for built in (self.plan.generator, *self.plan.scorers.values()):
            built.close()  # type: ignore[attr-defined]  # a Job's parts come from a Builder

    def prepared(self, prompt: Prompt) -> Prompt:
        """The prompt with its whole request written out, as it is stored with its pool."""
        return with_defaults(prompt, self.request)


def make_job(
    builder: Builder,
    *,
    generator: str | Generator | None = None,
    scorer: str | ScorerLike | Sequence[str | ScorerLike] | None = None,
    select: str | Selector | None = None,
    budget: str | Budget | None = None,
    extract: str | Extractor | None = None,
    request: Mapping[str, Any] | None = None,
) -> Job:
    """Build a run from specs or things; None takes what bon.toml and the environment say, else bon's own default.

    No scorer given means no scorer: who wants one names it (`best_of_n` and `bon ask` name a default).
    """
    defaults = builder.config.defaults
    built = builder.generator(generator or defaults.get("generator", "local"))
    scorers = build_scorers(builder.for_run(built), scorer)
    if not isinstance(builder, DryBuilder):
        check_memory([built, *scorers.values()])
    selector = builder.selector(select or defaults.get("select", "argmax"))
    _check_by(selector, scorers)
    chosen = extract or defaults.get("extract")
    if chosen is None and _votes(selector, scorers):
        chosen = "any"
    return Job(
        plan=Plan(
            generator=built,
            scorers=scorers,
            budget=_going_by(builder.budget(budget or "fixed"), scorers),
            extract=extractor(chosen) if isinstance(chosen, str) else chosen,
            hook=builder.hook,
        ),
        selector=selector,
        extract=chosen if isinstance(chosen, str) else getattr(chosen, "__name__", ""),
        request=_finite({"seed": 0, **_defaults(built, builder), **(request or {})}),
    )


def _defaults(generator: BuiltGenerator, builder: Builder) -> Mapping[str, Any]:
    """The request fields that the generator sets by itself; bon's own where it does not say."""
    own: Mapping[str, Any] | None = getattr(generator, "defaults", None)
    return builder.request if own is None else own


def _finite(request: dict[str, Any]) -> dict[str, Any]:
    """The request. Raises `UsageError` for a number in it that is none."""
    for name, value in request.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{name} is {value!r}; give a finite number")
    return request


def build_scorers(
    builder: Builder, scorer: str | ScorerLike | Sequence[str | ScorerLike] | None
) -> dict[str, BuiltScorer]:
    """Scorers by the name under which their scores are kept. Raises `UsageError` for two of the same name."""
    given: Sequence[str | ScorerLike]
    if scorer is None:
        given = ()
    elif isinstance(scorer, Sequence) and not isinstance(scorer, str):
        given = scorer
    else:
        given = (scorer,)
    scorers: dict[str, BuiltScorer] = {}
    for each in given:
        built = builder.scorer(each)
        if built.name in scorers:
            and_ = "&" if "?" in built.spec else "?"
            raise UsageError(f"two scorers are named {built.name!r}; give one another name: {built.spec}{and_}name=...")
        scorers[built.name] = built
    return scorers


def _check_by(selector: BuiltSelector, scorers: Mapping[str, BuiltScorer]) -> None:
    """Refuse, before anything is spent, a selector that could not tell by which scorer to go."""
    rule, names = selector.thing, ", ".join(map(repr, scorers)) or "none"
    if not isinstance(rule, partial):
        return
    options = signature(rule.func).parameters
    if "gold" in options:
        gold = rule.keywords.get("gold")
        if not scorers.keys() & (set(GOLD) if gold is None else {gold}):
            what = f"{gold!r}" if gold else "'correct' nor 'math'"
            raise UsageError(
                f"{selector.name!r} goes by the truth, and {'no' if gold else 'neither'} {what} is among the scorers "
                f"({names}); name the scorer whose value is the truth: --scorer NAME, and {selector.name}?gold=NAME"
            )
    if "by" not in options or not scorers:
        return
    by = rule.keywords.get("by")
    if by is None and len(scorers) > 1:
        raise UsageError(f"which scorer decides? There are {names}; name one: --by NAME, or {selector.name}?by=NAME")
    if by is not None and by not in scorers:
        raise UsageError(f"{selector.name!r} is to go by {by!r}, but the scorers are {names}")


def _going_by(budget: BuiltBudget, scorers: Mapping[str, BuiltScorer]) -> BuiltBudget:
    """A budget that reads a score, told which; refused, before anything is spent, where that cannot be known."""
    rule = budget.thing
    if not isinstance(rule, Threshold):
        return budget
    names = ", ".join(map(repr, scorers)) or "none"
    by = rule.by or (next(iter(scorers)) if len(scorers) == 1 else None)
    if by is None or by not in scorers:
        what = "does not say which scorer it reads" if by is None else f"reads {by!r}"
        raise UsageError(f"{budget.name!r} {what}, and the scorers are {names}; name one: {budget.name}:...?by=NAME")
    return BuiltBudget(replace(rule, by=by), spec=budget.spec, name=budget.name)


def _votes(selector: BuiltSelector, scorers: Mapping[str, BuiltScorer]) -> bool:
    """Whether anything in the run reads answers, so that they must be extracted."""
    return name_of(selector.thing) in ("majority", "weighted") or any(
        scorer.thing is agreement for scorer in scorers.values()
    )
