"""`bon sample --dry-run`: what the run would take, said without making it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from bon.api import Job
from bon.api.known import known
from bon.api.planned import Load, Planned, Verdict, plan, verdicts
from bon.api.settings import refuse_unfit, settings_of
from bon.cli.inputs import Problems
from bon.cli.options import caps_of
from bon.registry import KINDS, parse_spec
from bon.store.prompts import read_prompts
from bon.types import Pool, Prompt, Spent

__all__ = ["say"]

_WRITTEN = {
    "tokens": "{:,} tokens",
    "calls": "{:,} calls",
    "money": "${:,.4g}",
    "seconds": "{:,.4g} s",
}
"""How an amount of each cap is written."""
_WORDS = {
    "yes": "suffices, whatever the answers cost",
    "likely": "suffices if the estimate holds; what is reserved for calls under way may stop the run a little before",
    "no": "may stop the run before its end",
    "unknown": "nobody can say whether it suffices",
    "refused": "nothing would be drawn",
}


def say(prompts: Path, source: Path, out: Path, job: Job, options: Mapping[str, Any], *, n: int) -> None:
    """Print what a run of `job` would take; its generator is one that cannot draw (see `registry.DryBuilder`)."""
    refuse_unfit(out, prompts)
    bad = Problems(prompts)
    asked = map(job.prepared, read_prompts(source, on_bad=bad))
    run = settings_of("sample", job, data=prompts, n=n)
    begun = nullcontext((_nothing, Spent())) if options["restart"] else known(out, run)
    with begun as (pool_of, spent):
        work: Iterator[tuple[Prompt, Pool | None]] = ((prompt, pool_of(prompt)) for prompt in asked)
        planned = plan(work, generator=job.plan.generator, budget=job.plan.budget, scorers=job.plan.scorers)
    found = verdicts(planned, caps_of(options), spent=spent, allow_unpriced=options["allow_unpriced"])
    if options["as_json"]:
        sys.stdout.write(json.dumps(_facts(planned, bad, spent, found)) + "\n")
    else:
        lines = [*_lines(planned, bad, out), *_uncounted(job, options), *map(_line, found)]
        sys.stdout.writelines(f"{line}\n" for line in lines)


def _nothing(prompt: Prompt) -> None:  # noqa: ARG001
    return None


def _lines(planned: Planned, bad: Problems, out: Path) -> Iterator[str]:
    least, most = planned.least, planned.most

    def span(what: str) -> str:
        return _span(getattr(least, what), None if most is None else getattr(most, what))

    yield f"prompts: {planned.prompts:,}"
    if bad.count:
        yield f"lines that cannot be used: {bad.count:,}, the first {bad.listed()[0]}"
    if planned.drawn:
        yield f"already in {out}: {planned.drawn:,} candidates; {planned.done:,} prompts need no more"
    yield f"calls: {span('calls')} (a draw each; retries come on top)"
    if planned.verdicts:
        yield f"  of which scorers are asked {planned.verdicts:,}; judges once more for a verdict that cannot be read"
    yield f"prompt tokens: about {span('prompt_tokens')} (an estimate: bytes / 4)"
    yield f"completion tokens: at most {span('completion_tokens')}"
    load = most or least
    if load.unbounded:
        yield f"  without those of {_named(load.unbounded)}, whose answers no max_tokens bounds"
    yield f"price: {_price(least, most)}"
    if load.unpriced:
        yield f"  without that of {_named(load.unpriced)}, which is not known (bon.toml: [prices])"


def _uncounted(job: Job, options: Mapping[str, Any]) -> Iterator[str]:
    """What else would change the bill."""
    if options["cache"] in ("read", "write"):
        yield "answers that the response cache holds cost nothing"
    yours = [
        name
        for name, scorer in job.plan.scorers.items()
        if parse_spec(getattr(scorer, "spec", "") or "_").kind not in KINDS["scorer"]
    ]
    if yours:
        yield f"what {', '.join(yours)} may spend on scoring is not counted"


def _span(least: int, most: int | None) -> str:
    if most is None:
        return f"{least:,} or more: the budget does not say when it stops"
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _price(least: Load, most: Load | None) -> str:
    load = most or least
    if load.money is None or load.money_bound is None:
        return "not known"
    if load.money_bound == 0:
        return "nothing" if not load.unpriced else "not known"
    low = f"; at least ${least.money:,.4g}" if least.money is not None and least.money < load.money else ""
    if most is None:
        return f"${load.money:,.4g} or more: the budget does not say when it stops"
    surely = f"${load.money_bound:,.4g} in any case, retries aside"
    return f"at most ${load.money:,.4g} if the estimate holds, and {surely}{low}"


def _line(verdict: Verdict) -> str:
    written = _WRITTEN[verdict.cap].format
    spent = f", of which earlier runs spent {written(verdict.spent)}" if verdict.spent else ""
    why = f": {verdict.why}" if verdict.why else ""
    return f"cap of {written(verdict.limit)}{spent}: {_WORDS[verdict.suffices]}{why}"


def _named(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _facts(planned: Planned, bad: Problems, spent: Spent, found: list[Verdict]) -> dict[str, Any]:
    load = planned.most or planned.least
    return {
        "prompts": planned.prompts,
        "bad_lines": bad.count,
        "done": planned.done,
        "drawn": planned.drawn,
        "least": _numbers(planned.least),
        "most": planned.most and _numbers(planned.most),
        "verdicts": planned.verdicts,
        "unpriced": sorted(load.unpriced),
        "unbounded": sorted(load.unbounded),
        "spent": {
            "tokens": spent.usage.total_tokens,
            "calls": spent.calls,
            "money": spent.money,
            "seconds": spent.seconds,
        },
        "caps": {
            verdict.cap: {"limit": verdict.limit, "suffices": verdict.suffices, "why": verdict.why} for verdict in found
        },
    }


def _numbers(load: Load) -> dict[str, Any]:
    return {
        "calls": load.calls,
        "prompt_tokens_estimate": load.prompt_tokens,
        "completion_tokens": load.completion_tokens,
        "money": load.money,
        "tokens_bound": load.tokens_bound,
        "money_bound": load.money_bound,
    }
