"""The kinds `openai` and `ollama`: an endpoint, its key and its limits, and the generator on it, out of a spec."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

from bon.errors import SpecError
from bon.ledger import Price
from bon.protocols import Generator
from bon.registry.prices import price_of
from bon.registry.spec import Spec
from bon.registry.undrawn import Undrawn

if TYPE_CHECKING:
    from bon.registry.builder import Builder
    from bon.transport import Limits

__all__ = ["ENDPOINT", "key_of", "limits_of", "make_endpoint", "plan_endpoint", "refuse_secrets"]

_SECRET = re.compile(r"(?i)(.*_)?(api_?)?(key|token|secret|password|authorization)")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_LIMITS = ("slots", "rpm", "tpm", "adaptive")
_OPTIONS = (*_LIMITS, "hedge", "use_n", "key_env")
_FIELDS = frozenset({"user"})
"""Request fields that a reader could take for a misspelt option."""

ENDPOINT = """Options: key_env=NAME (the environment variable that holds the key); use_n=auto, true or false (whether
several draws may share one request); hedge=true (a draw that is slower than 95 of 100 gets a spare, the first answer
wins). Limits, for all that use this address and key in the process: slots=64 (requests at a time, at the most),
adaptive=false (always as many as that, however often the endpoint says that they are too many), rpm=N (requests a
minute), tpm=N (tokens a minute). Whatever else is given is a request field."""
"""What `bon show` says of both kinds."""


def make_endpoint(spec: Spec, builder: Builder) -> Generator:
    """The generator that a spec of kind `openai` or `ollama` names. Raises SpecError."""
    from bon.generate.endpoints import open_endpoint
    from bon.generate.hedged import Hedged
    from bon.generate.openai import OpenAIGenerator

    terms = _terms(spec, builder)
    generator = OpenAIGenerator(
        spec.target,
        url=open_endpoint(spec.target, url=terms.url, key=key_of(spec, terms.key_env), limits=terms.limits),
        name=spec.name,
        use_n=terms.use_n,
        price=terms.price,
        defaults=terms.defaults,
    )
    return Hedged(generator) if terms.hedge else generator


def plan_endpoint(spec: Spec, builder: Builder) -> Generator:
    """What stands for that generator in a plan; no key is needed. Raises SpecError."""
    terms = _terms(spec, builder)
    spares = 2 if terms.hedge else 1
    return Undrawn(name=spec.name, defaults=terms.defaults, price=terms.price, charges=True, at_once=spares)


@dataclass(frozen=True, kw_only=True)
class _Terms:
    """What a spec says of an endpoint and of the generator on it."""

    url: str
    key_env: str | None
    limits: Limits | None
    use_n: bool | Literal["auto"]
    hedge: bool
    price: Price | None
    defaults: Mapping[str, Any]


def _terms(spec: Spec, builder: Builder) -> _Terms:
    from bon.generate.endpoints import OLLAMA_URL, url_of
    from bon.transport.address import Address

    if not spec.target:
        raise SpecError(f"{spec.text!r} needs a model: {spec.kind}:MODEL{'[@URL]' if spec.kind == 'openai' else ''}")
    options = {key: value for key, value in spec.options.items() if key != "name"}
    refuse_secrets(spec, options)
    key_env = options.pop("key_env", None)
    url = url_of(spec.url or options.pop("url", None) or (OLLAMA_URL if spec.kind == "ollama" else None))
    limits = limits_of(spec, options)
    use_n, hedge = options.pop("use_n", "auto"), options.pop("hedge", False)
    if use_n != "auto" and not isinstance(use_n, bool):
        raise SpecError(f"{spec.name!r}: use_n is {use_n!r}; it must be auto, true or false")
    if not isinstance(hedge, bool):
        raise SpecError(f"{spec.name!r}: hedge is {hedge!r}; it must be true or false")
    _refuse_misspelt(spec, options)
    return _Terms(
        url=url,
        key_env=key_env,
        limits=limits,
        use_n=use_n,
        hedge=hedge,
        price=price_of(spec.target, url=Address.read(url).name, prices=builder.config.prices),
        defaults={**builder.request, **options},
    )


def limits_of(spec: Spec, options: dict[str, Any]) -> Limits | None:
    """The limits that a spec states, taken out of its options; None where it states none. Raises SpecError."""
    from bon.transport import Limits

    stated = {name: options.pop(name) for name in _LIMITS if name in options}
    try:
        return Limits(**stated) if stated else None
    except ValueError as error:
        raise SpecError(f"{spec.name!r}: {error}") from None


def refuse_secrets(spec: Spec, options: Mapping[str, Any]) -> None:
    """Keys come by the name of an environment variable only: specs are stored beside outputs, keys never are."""
    secret = next((name for name in options if _SECRET.fullmatch(name)), None)
    if secret or "@" in (spec.url or ""):
        what = f"{secret!r}" if secret else "a password in its address"
        raise SpecError(
            f"{spec.name!r}: a key ({what}) does not belong in a spec, which is stored and shown; put it into an "
            "environment variable and name that: key_env=MY_KEY"
        )


def _refuse_misspelt(spec: Spec, fields: Iterable[str]) -> None:
    """Whatever is no option is a request field, but hardly one that reads like an option."""
    for name in set(fields) - _FIELDS:
        for meant in get_close_matches(name, _OPTIONS, n=1, cutoff=0.65):
            raise SpecError(f"{spec.name!r}: there is no option {name!r}; did you mean {meant!r}?")


def key_of(spec: Spec, name: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key in the environment variable of this name; None without a name. Raises SpecError where it is not set."""
    if name is None:
        return None
    if name not in environment:
        shown = repr(name) if _VARIABLE.fullmatch(str(name)) else "something"  # it may be the key itself
        raise SpecError(f"{spec.name!r}: key_env names {shown}, which is not set in the environment")
    return environment[name]
