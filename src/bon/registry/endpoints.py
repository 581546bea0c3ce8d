"""The kinds `openai` and `ollama`: an endpoint, its key and its limits, and the generator on it, out of a spec."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bon.errors import SpecError
from bon.protocols import Generator
from bon.registry.prices import price_of
from bon.registry.spec import Spec

if TYPE_CHECKING:
    from bon.registry.builder import Builder
    from bon.transport import Limits

__all__ = ["ENDPOINT", "make_endpoint"]

_SECRET = re.compile(r"(?i)(.*_)?(api_?)?(key|token|secret|password|authorization)")
_LIMITS = ("slots", "rpm", "tpm", "adaptive")

ENDPOINT = """Options: key_env=NAME (the environment variable that holds the key); use_n=auto, true or false (whether
several draws may share one request); hedge=true (a draw that is slower than 95 of 100 gets a spare, the first answer
wins). Limits, for all that use this address and key in the process: slots=64 (requests at a time, at the most),
adaptive=false (always as many as that, however often the endpoint says that they are too many), rpm=N (requests a
minute), tpm=N (tokens a minute). Whatever else is given is a request field."""
"""What `bon show` says of both kinds."""


def make_endpoint(spec: Spec, builder: Builder) -> Generator:
    """The generator that a spec of kind `openai` or `ollama` names. Raises SpecError."""
    from bon.generate.endpoints import OLLAMA_URL, open_endpoint
    from bon.generate.hedged import Hedged
    from bon.generate.openai import OpenAIGenerator

    if not spec.target:
        raise SpecError(f"{spec.text!r} needs a model: {spec.kind}:MODEL{'[@URL]' if spec.kind == 'openai' else ''}")
    options = {key: value for key, value in spec.options.items() if key != "name"}
    key = _key(spec, options)
    url = spec.url or options.pop("url", None) or (OLLAMA_URL if spec.kind == "ollama" else None)
    limits = _limits(spec, options)
    use_n, hedge = options.pop("use_n", "auto"), options.pop("hedge", False)
    if use_n != "auto" and not isinstance(use_n, bool):
        raise SpecError(f"{spec.name!r}: use_n is {use_n!r}; it must be auto, true or false")
    if not isinstance(hedge, bool):
        raise SpecError(f"{spec.name!r}: hedge is {hedge!r}; it must be true or false")
    endpoint = open_endpoint(spec.target, url=url, key=key, limits=limits)
    generator = OpenAIGenerator(
        spec.target,
        url=endpoint,
        name=spec.name,
        use_n=use_n,
        price=price_of(spec.target, url=endpoint.name, prices=builder.config.prices),
        defaults={**builder.request, **options},
    )
    return Hedged(generator) if hedge else generator


def _limits(spec: Spec, options: dict[str, Any]) -> Limits | None:
    """The limits that a spec states, taken out of its options; None where it states none."""
    from bon.transport import Limits

    stated = {name: options.pop(name) for name in _LIMITS if name in options}
    try:
        return Limits(**stated) if stated else None
    except ValueError as error:
        raise SpecError(f"{spec.name!r}: {error}") from None


def _key(spec: Spec, options: dict[str, Any], environment: Mapping[str, str] = os.environ) -> str | None:
    """The API key, by the name of an environment variable only: specs are stored beside outputs, keys never are."""
    secret = next((name for name in options if _SECRET.fullmatch(name)), None)
    if secret or "@" in (spec.url or ""):
        what = f"{secret!r}" if secret else "a password in its address"
        raise SpecError(
            f"{spec.name!r}: a key ({what}) does not belong in a spec, which is stored and shown; put it into an "
            "environment variable and name that: key_env=MY_KEY"
        )
    name = options.pop("key_env", None)
    if name is None:
        return None
    if name not in environment:
        raise SpecError(f"{spec.name!r}: key_env names {name!r}, which is not set in the environment")
    return environment[name]
