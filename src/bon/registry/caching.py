"""What goes into the response cache, how it is set, and which file it is; what is kept is no business of this room."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args
from weakref import WeakValueDictionary

from bon.errors import UsageError
from bon.generate.cached import Cached
from bon.models.cache import cache_directory
from bon.protocols import Generator, Scorer
from bon.score.cached import CachedScorer
from bon.store.responses import DEFAULT_BYTES, LEAST_BYTES, Responses

__all__ = ["CacheMode", "CacheSettings", "cached_generator", "cached_scorer", "checked_mode", "read_cache"]

CacheMode: TypeAlias = Literal["off", "read", "write", "refresh"]

_MODES: tuple[str, ...] = get_args(CacheMode)
_KEYS = ("mode", "size")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B", re.IGNORECASE)
_POWERS = ("", "K", "M", "G", "T")


@dataclass(frozen=True, kw_only=True)
class CacheSettings:
    """How the response cache is used."""

    mode: CacheMode = "off"
    most_bytes: int = DEFAULT_BYTES


def read_cache(path: Path, section: Mapping[str, Any], environment: Mapping[str, str]) -> CacheSettings:
    """The settings of bon.toml's `[cache]`, over which BON_CACHE_MODE and BON_CACHE_SIZE win. Raises UsageError."""
    for key in section:
        if key not in _KEYS:
            raise UsageError(f"{path}: unknown key {key!r} in [cache]; there are {', '.join(_KEYS)}")
    said = {key: (section[key], f"{path}: [cache] {key}") for key in _KEYS if key in section}
    for key in _KEYS:
        variable = f"BON_CACHE_{key.upper()}"
        if text := environment.get(variable):
            said[key] = text, variable
    mode, size = said.get("mode", ("off", "")), said.get("size", (DEFAULT_BYTES, ""))
    return CacheSettings(mode=checked_mode(mode[0], mode[1]), most_bytes=_bytes(size[0], size[1]))


def checked_mode(mode: object, where: str = "cache") -> CacheMode:
    """A mode of the cache. Raises UsageError for what is none."""
    if mode not in _MODES:
        raise UsageError(f"{where} is {mode!r}; it must be one of {', '.join(_MODES)}")
    return cast("CacheMode", mode)


def cached_generator(generator: Generator, settings: CacheSettings) -> Generator:
    """A generator whose draws are kept, where the cache is on and the generator says who it is; else as it was."""
    if settings.mode == "off" or getattr(generator, "identity", None) is None or isinstance(generator, Cached):
        return generator
    return Cached(generator, _responses(settings), mode=settings.mode)


def cached_scorer(scorer: Scorer, settings: CacheSettings) -> Scorer:
    """A scorer whose scores are kept, where the cache is on and the scorer waits for something and says who it is."""
    if settings.mode == "off" or getattr(scorer, "identity", None) is None or isinstance(scorer, CachedScorer):
        return scorer
    if getattr(scorer, "instant", False):
        return scorer  # it is done before a cache would have looked
    return CachedScorer(scorer, _responses(settings), mode=settings.mode)


def _responses(settings: CacheSettings) -> Responses:
    """The one cache of this process at its path, closed when nobody has it any more, and when the process ends."""
    path = cache_directory() / "responses.sqlite"
    with _lock:
        found = _open.get((os.getpid(), path))
        if found is None:
            found = _open[os.getpid(), path] = Responses(path, most_bytes=settings.most_bytes)
        return found


def _bytes(size: object, where: str) -> int:
    """A number of bytes: 1073741824, "1 GiB", "500 MB". Raises UsageError."""
    if isinstance(size, int) and not isinstance(size, bool):
        count = size
    elif isinstance(size, str) and (found := _SIZE.fullmatch(size.strip())):
        number, power, binary = found.groups()
        count = int(float(number) * (1024 if binary else 1000) ** _POWERS.index(power.upper()))
    else:
        raise UsageError(f'{where} is {size!r}; it must be a number of bytes, or a text like "1 GiB" or "500 MB"')
    if count < LEAST_BYTES:
        raise UsageError(f"{where} is {size!r}; it must be at least 1 MiB")
    return count


_lock = threading.Lock()
_open: WeakValueDictionary[tuple[int, Path], Responses] = WeakValueDictionary()
"""By process, since a forked child cannot use its parent's, and path."""
