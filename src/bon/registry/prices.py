"""What a model costs: as bon.toml says, else as the optional library genai-prices does; None where nobody says."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bon.errors import UsageError
from bon.ledger import Price

__all__ = ["price_of", "read_prices"]

_MILLION = 1e6
"""Tokens that a stated price is for."""
_KEYS = ("prompt", "completion", "cached", "call")
_AHEAD = 24
"""Hours over which a listed price has to hold: some endpoints are cheaper at night."""


def price_of(model: str, *, url: str | None = None, prices: Mapping[str, Price]) -> Price | None:
    """The price of a model: of `prices` (bon.toml), else the listed one of the endpoint at `url`; None: unknown.

    Only endpoints out in the world are looked up: what runs on this machine or in a private network has no list price.
    Where the price depends on the size of the prompt or the hour it is the highest, so that reservations hold; it is
    that of the standard service tier.
    """
    if model in prices:
        return prices[model]
    return _listed(model, url) if url is not None and _public(url) else None


def read_prices(path: Path, section: Mapping[str, Any]) -> dict[str, Price]:
    """The prices of bon.toml's `[prices."MODEL"]`. Raises UsageError that names what is not as it should be."""
    return {model: _read(f'{path}: [prices."{model}"]', table) for model, table in section.items()}


def _read(where: str, table: Mapping[str, Any]) -> Price:
    for key, value in table.items():
        if key not in _KEYS:
            raise UsageError(f"{where}: unknown key {key!r}; there are {', '.join(_KEYS)}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(f"{where}: {key} is {value!r}; it must be a number of US dollars")
    for key in ("prompt", "completion"):
        if key not in table:
            raise UsageError(f"{where} needs {key}: US dollars a million tokens (0 where they are free)")
    try:
        return Price(
            prompt=table["prompt"] / _MILLION,
            completion=table["completion"] / _MILLION,
            cached=table["cached"] / _MILLION if "cached" in table else None,
            call=float(table.get("call", 0.0)),
        )
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _public(url: str) -> bool:
    """Whether a URL leads out of this machine and of private networks, as far as its name tells."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".local", ".internal", ".localhost", ".lan", ".home.arpa"))


@lru_cache(maxsize=1024)
def _listed(model: str, url: str) -> Price | None:
    try:
        import genai_prices
    except ImportError:
        return None
    now, listed = datetime.now(UTC), []
    try:
        for hour in range(_AHEAD):
            found = genai_prices.calc_price(
                genai_prices.Usage(),
                model,
                provider_api_url=url,
                genai_request_timestamp=now + timedelta(hours=hour),
            )
            listed.append(found.model_price)
    except LookupError:
        return None
    prompt = _highest(listed, "input_mtok")
    completion = _highest(listed, "output_mtok", "output_reasoning_mtok")
    cached = _highest(listed, "cache_read_mtok")
    if prompt is None or completion is None:
        return None
    return Price(
        prompt=prompt / _MILLION,
        completion=completion / _MILLION,
        cached=None if cached is None else min(cached, prompt) / _MILLION,
        call=(_highest(listed, "requests_kcount") or 0.0) / 1000,
    )


def _highest(prices: list[Any], *keys: str) -> float | None:
    """The highest of the prices under these keys, over all tiers; None where there is none."""
    found: list[float] = []
    for price in (getattr(one, key) for one in prices for key in keys):
        if price is not None:
            tiers = [tier.price for tier in getattr(price, "tiers", ())]
            found += map(float, (getattr(price, "base", price), *tiers))
    return max(found, default=None)
