"""What a reader of a frontier must know before its figures are believed, in words; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["adapted_otherwise", "few_prompts", "seen_in_training"]

_FEW = 10
"""Prompts below which the bootstrap is too narrow by far: over 5, an interval of 95 % holds the mean in 83 %."""
_SHOWN = 3


def few_prompts(count: int) -> str:
    """What so few prompts mean for intervals; empty where there are enough."""
    if count == 1:
        return (
            "one prompt was measured: no figure has an interval over prompts, since nothing is known of others; those "
            "that are shown are over runs or seeds alone"
        )
    if count < _FEW:
        return (
            f"{count} prompts were measured: a bootstrap of fewer than {_FEW} gives intervals that are too narrow; "
            "measure on more"
        )
    return ""


def adapted_otherwise(runs: Mapping[str, str]) -> str:
    """What is said where runs, given with the weights that each trained, trained other ones; empty where they did not.

    A method that may change fewer weights moves less for that alone.
    """
    groups: dict[str, list[str]] = {}
    for run, adapted in runs.items():
        groups.setdefault(adapted, []).append(run)
    if len(groups) < 2:
        return ""
    told = "; ".join(f"{adapted}: {_some(names)}" for adapted, names in groups.items())
    return f"compared with different trainable parameters: {told}"


def seen_in_training(prompts: Sequence[str], learned: Mapping[str, frozenset[str] | None]) -> list[str]:
    """What is said of test prompts that were trained on, given digests of both, the latter by run; None: not known."""
    every = [own for own in learned.values() if own is not None]
    seen = sum(any(prompt in own for own in every) for prompt in prompts)
    which = [run for run, own in learned.items() if own is not None and not own.isdisjoint(prompts)]
    unknown = [run for run, own in learned.items() if own is None]
    found = []
    if seen:
        found.append(
            f"{seen} of {len(prompts)} test prompts were trained on, or weights were chosen by them ({_some(which)}): "
            "what is shown of those is not what a policy does on new ones"
        )
    if unknown:
        found.append(f"whether test prompts were trained on is not known of {_some(unknown)}, whose folder says none")
    return found


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
