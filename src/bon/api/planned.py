"""What a run would take, worked out before it is made: draws, tokens and money, at the least and at the most; pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import count, islice
from operator import add
from types import MappingProxyType
from typing import Any, Literal

from bon.api.judging import asked
from bon.generate.composing import name_of
from bon.generate.fallback import Fallback
from bon.generate.mixture import Mixture
from bon.generate.request import DEFAULT_REQUEST, at_most, merged
from bon.generate.variations import Variations, varied
from bon.ledger import Caps, Price
from bon.protocols import Budget, Generator, Scorer
from bon.registry import BuiltGenerator
from bon.types import Pool, Prompt, Spent, Usage, text_of

__all__ = ["Load", "Planned", "Verdict", "estimated_tokens", "load_of", "plan", "verdicts"]

_COMPOSITE = (Fallback, Mixture, Variations)
_BYTES_A_TOKEN = 4
"""Of text in English; others make more tokens of as many bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What draws take."""

    calls: int = 0
    """A draw each; an endpoint that gives several in one request is called less often, one that fails more often."""
    prompt_tokens: int = 0
    """An estimate: a token for every 4 bytes of UTF-8."""
    completion_tokens: int = 0
    """At the most, where max_tokens bounds them."""
    money: float | None = 0.0
    """US dollars for these tokens, as far as prices are known; None where a priced answer has no bound."""
    tokens_bound: int = 0
    """What is reserved for them, and never passed: both kinds of tokens, a token for every byte of the prompts."""
    money_bound: float | None = 0.0
    """US dollars for those."""
    unpriced: frozenset[str] = frozenset()
    """The generators whose price is not known; `money` leaves them out."""
    unbounded: frozenset[str] = frozenset()
    """The generators that no max_tokens bounds; `completion_tokens` and `tokens_bound` leave their answers out."""

    def __add__(self, other: Load) -> Load:
        return Load(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            money=_sum(self.money, other.money),
            tokens_bound=self.tokens_bound + other.tokens_bound,
            money_bound=_sum(self.money_bound, other.money_bound),
            unpriced=self.unpriced | other.unpriced,
            unbounded=self.unbounded | other.unbounded,
        )

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a run would take, and what there is already."""

    prompts: int
    done: int
    """Prompts for which nothing is drawn any more."""
    drawn: int
    """Candidates that there are."""
    least: Load
    """If the budget stops each prompt as soon as it may."""
    most: Load | None
    """If it lets each go on as long as it may; None where nothing says how long that is."""
    verdicts: int = 0
    """Calls of judges, and of endpoints that score, among those of `most`, if all candidates differ; a verdict that
    cannot be read is asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a cap suffices."""

    cap: str
    limit: float
    spent: float
    """By the runs that are continued."""
    suffices: Literal["yes", "likely", "no", "unknown", "refused"]
    """yes: whatever the draws cost; likely: if they cost what was estimated; no: not if all draws are made and as long
    as they may be; unknown: nobody can tell; refused: the cap cannot be kept, so nothing would be drawn."""
    why: str = ""


def plan(
    work: Iterable[tuple[Prompt, Pool | None]],
    *,
    generator: Generator,
    budget: Budget,
    scorers: Mapping[str, Scorer] = MappingProxyType({}),
) -> Planned:
    """What is to be drawn for prompts (their request written out), each with the pool that there is of it.

    What judges and endpoints among `scorers` would be asked is counted too, as if all candidates were different and as
    long as they may.
    """
    prompts = done = drawn = verdicts = 0
    least, most = Load(), Load()
    endless = False
    for prompt, known in work:
        pool = known or Pool(prompt=prompt)
        surely = max(0, budget(pool))
        in_all = getattr(budget, "most", None)
        endless = endless or (in_all is None and surely > 0)
        perhaps = 0 if not surely else surely if in_all is None else max(surely, in_all - pool.landed)
        prompts, done, drawn = prompts + 1, done + (not surely), drawn + len(pool)
        free = _free(pool, perhaps)
        low, high = load_of(generator, prompt, free)
        least += low if surely == perhaps else load_of(generator, prompt, free[:surely])[0]
        least += _judging(scorers, pool, surely)
        judging = _judging(scorers, pool, perhaps)
        most += high + judging
        verdicts += judging.calls
    whole = None if endless else most
    return Planned(prompts=prompts, done=done, drawn=drawn, least=least, most=whole, verdicts=verdicts)


def load_of(generator: Generator, prompt: Prompt, indices: Sequence[int]) -> tuple[Load, Load]:
    """What the draws of these indices take, at the least and at the most: these differ where several may make them."""
    thing = _thing(generator)
    if isinstance(thing, Variations):
        k = len(thing.variations)
        turns = [(place, [i for i in indices if i % k == place]) for place in range(k)]
        parts = [load_of(thing.inner, varied(prompt, thing.variations[place]), mine) for place, mine in turns if mine]
    elif isinstance(thing, Mixture):
        k = len(thing.generators)
        turns = [(place, [i for i in indices if i % k == place]) for place in range(k)]
        parts = [load_of(thing.generators[place], prompt, mine) for place, mine in turns if mine]
    elif isinstance(thing, Fallback) and indices:
        simple = not any(isinstance(_thing(one), _COMPOSITE) for one in thing.generators)
        groups = [indices] if simple else [[index] for index in indices]  # each draw may go its own way
        parts = [_any_of([load_of(one, prompt, group) for one in thing.generators]) for group in groups]
    else:
        parts = [_leaf(thing, prompt, len(indices))] if indices else []
    return reduce(add, (low for low, _ in parts), Load()), reduce(add, (high for _, high in parts), Load())


def _judging(scorers: Mapping[str, Scorer], pool: Pool, more: int) -> Load:
    """What judges and endpoints that score take once `more` candidates are drawn."""
    if not scorers:
        return Load()
    request = pool.prompt.request
    tokens = int(request.get("max_completion_tokens") or request.get("max_tokens") or DEFAULT_REQUEST["max_tokens"])
    asking = asked(scorers, pool, more, most_tokens=tokens)
    loads = (load_of(ask.model, ask.prompt, range(ask.calls))[1] for ask in asking)
    return reduce(add, loads, Load())


def _thing(generator: Generator) -> Any:
    return generator.thing if isinstance(generator, BuiltGenerator) else generator


def verdicts(planned: Planned, caps: Caps, *, spent: Spent, allow_unpriced: bool = False) -> list[Verdict]:
    """Whether each cap that is set leaves room for the plan, beside what is spent already."""
    most, found = planned.most or Load(money=None, money_bound=None), []
    needs: dict[str, tuple[float, float | None, float | None]] = {
        "tokens": (spent.usage.total_tokens, most.tokens, most.tokens_bound),
        "calls": (spent.calls, most.calls, most.calls),
        "money": (spent.money or 0.0, most.money, most.money_bound),
        "seconds": (spent.seconds, None, None),
    }
    for cap, (already, likely, bound) in needs.items():
        limit = getattr(caps, cap)
        if limit is None:
            continue
        why = _unkept(cap, planned.most or planned.least, allow_unpriced=allow_unpriced)
        if why:
            word: Any = "refused"
        elif planned.most is None or likely is None or bound is None:
            word = "unknown"
        else:
            word = "yes" if already + bound <= limit else "likely" if already + likely <= limit else "no"
        found.append(Verdict(cap=cap, limit=limit, spent=already, suffices=word, why=why))
    return found


def estimated_tokens(prompt: Prompt, request: Mapping[str, Any]) -> int:
    """About how many tokens a model reads: a token for every 4 bytes of its text, tools and response format."""
    size = sum(len(text_of(message).encode("utf-8", "surrogatepass")) for message in prompt.messages)
    size += sum(len(json.dumps(request[key], default=str)) for key in ("tools", "response_format") if key in request)
    return -(-size // _BYTES_A_TOKEN)


def _leaf(generator: Any, prompt: Prompt, draws: int) -> tuple[Load, Load]:
    name, price = name_of(generator), getattr(generator, "price", None)
    request = merged(getattr(generator, "defaults", {}), prompt)
    bound = at_most(prompt, request)
    about = Usage(
        prompt_tokens=estimated_tokens(prompt, request), completion_tokens=bound.completion_tokens if bound else 0
    )
    low = Load(
        calls=draws,
        prompt_tokens=draws * about.prompt_tokens,
        completion_tokens=draws * about.completion_tokens,
        money=_money(price, about, draws, bounded=bound is not None),
        tokens_bound=draws * bound.total_tokens if bound else 0,
        money_bound=_money(price, bound or about, draws, bounded=bound is not None),
        unpriced=frozenset([name] if price is None else []),
        unbounded=frozenset([name] if bound is None else []),
    )
    return low, reduce(add, [low] * getattr(generator, "at_once", 1))


def _money(price: Price | None, usage: Usage, draws: int, *, bounded: bool) -> float | None:
    if price is None:
        return 0.0
    return draws * price.of(usage) if bounded or not price.per_token else None


def _any_of(loads: Sequence[tuple[Load, Load]]) -> tuple[Load, Load]:
    """The loads of draws that any of several generators may make: the least and the most of each number."""
    return _extreme([low for low, _ in loads], min), _extreme([high for _, high in loads], max)


def _extreme(loads: Sequence[Load], which: Callable[[Iterable[Any]], Any]) -> Load:
    def money(values: Sequence[float | None]) -> float | None:
        return None if None in values else which(values)

    return Load(
        calls=which(load.calls for load in loads),
        prompt_tokens=which(load.prompt_tokens for load in loads),
        completion_tokens=which(load.completion_tokens for load in loads),
        money=money([load.money for load in loads]),
        tokens_bound=which(load.tokens_bound for load in loads),
        money_bound=money([load.money_bound for load in loads]),
        unpriced=frozenset().union(*(load.unpriced for load in loads)),
        unbounded=frozenset().union(*(load.unbounded for load in loads)),
    )


def _unkept(cap: str, load: Load, *, allow_unpriced: bool) -> str:
    """Why a cap cannot be kept; empty where it can."""
    if cap == "money" and load.unpriced and not allow_unpriced:
        return f"no price of {_named(load.unpriced)} is known (--allow-unpriced)"
    if load.unbounded and (cap == "tokens" or (cap == "money" and load.money is None)):
        return f"nothing bounds what {_named(load.unbounded)} may answer: give max_tokens"
    return ""


def _named(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _free(pool: Pool, draws: int) -> list[int]:
    """The indices of the next draws of a pool."""
    taken = {candidate.index for candidate in pool.candidates}
    return list(islice((index for index in count() if index not in taken), draws))


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
