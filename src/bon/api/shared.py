"""Things built by the one-call API, kept for the next call: a model is loaded once a process, not once a question."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bon.events import Hook, no_hook
from bon.observe import stage_lines
from bon.registry import Builder, Built, BuiltGenerator, BuiltScorer, Config, load_config
from bon.registry.spec import Spec

__all__ = ["SharedBuilder", "close", "shared_builder"]

_kept: dict[tuple[str, ...], Built[Any]] = {}
_config: Config | None = None
_lock = threading.RLock()


class SharedBuilder(Builder):
    """A Builder that hands out what it has built before, where the spec is the same string.

    A scorer is made anew when a file that its spec names has changed: a judge was edited, verdicts were added.
    """

    def generator(self, spec: Any, **options: Any) -> BuiltGenerator:
        if not isinstance(spec, str) or options:
            return super().generator(spec, **options)
        built: BuiltGenerator = _keep("generator", spec, super().generator)
        return built

    def scorer(self, spec: Any, **options: Any) -> BuiltScorer:
        if not isinstance(spec, str) or options:
            return super().scorer(spec, **options)
        own = self.drawing  # which may judge: what was built for one is not for another
        if own is not None and not own.spec:
            return super().scorer(spec)
        beside = (own.spec if own is not None else "", _state(self.resolved("scorer", spec)))
        built: BuiltScorer = _keep("scorer", spec, super().scorer, *beside)
        return built


def _state(spec: Spec) -> str:
    """What tells whether the files that a spec names are as they were; empty where it names none."""
    named = [Path(one) for one in (spec.target, *spec.options.values()) if isinstance(one, str) and one]
    found = [path.stat() for path in named if path.is_file()]
    return " ".join(f"{one.st_ino}-{one.st_size}-{one.st_mtime_ns}" for one in found)


def _keep(seam: str, spec: str, make: Callable[[str], Built[Any]], *beside: str) -> Any:
    """What `make` made of a spec, now or earlier under the same circumstances."""
    with _lock:
        key = (seam, spec, *beside)
        if key not in _kept:
            _kept[key] = make(spec)
        return _kept[key]


def shared_builder(n: int | None = None, hook: Hook = no_hook) -> SharedBuilder:
    """The builder of the one-call API; when bon.toml or the environment has changed, it starts afresh."""
    global _config  # noqa: PLW0603  # process-wide by purpose
    config = load_config()
    with _lock:
        if config != _config:
            close()
            _config = config
    return SharedBuilder(config, n=n, hook=hook, progress=stage_lines())


def close() -> None:
    """Close every generator and scorer that the one-call API has built; the next call builds anew."""
    with _lock:
        while _kept:
            _, built = _kept.popitem()
            built.close()


def _forget() -> None:
    """In a forked child: what was built belongs to the parent, whose connections and processes it uses."""
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()
    _kept.clear()


atexit.register(close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
