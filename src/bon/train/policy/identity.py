"""What tells one training of a policy from another: settings that are used, and the reference as it lies on a disk."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from bon.models.loading import base_and_adapter
from bon.models.stamp import stamp
from bon.train.policy.model import PolicySetup
from bon.train.policy.online_recipe import OnlineRecipe

__all__ = ["REFERENCE_FILES", "VALUED", "recipe_used", "reference_files", "setup_used"]

REFERENCE_FILES = "reference_files"
"""What an identity calls the files of its reference."""
VALUED = frozenset({"value_clip", "value_coef", "gamma", "lam"})
"""Settings of a value head, which RLOO has none of."""
_NO_MATTER = frozenset({"device", "checkpointing", "save_seconds"})
"""Settings that do not change the result."""


def setup_used(setup: PolicySetup) -> dict[str, Any]:
    """What of a setup changes the result: the rank of adapters and a number of layers only where there are such."""
    idle = {name for name, adapt in (("rank", "lora"), ("layers", "last")) if setup.adapt != adapt}
    return {name: value for name, value in asdict(setup).items() if name not in _NO_MATTER | idle}


def recipe_used(recipe: OnlineRecipe) -> dict[str, Any]:
    """What of a recipe changes the result, with what is taken where nothing is said."""
    idle = _NO_MATTER | (VALUED if recipe.algorithm == "rloo" else frozenset())
    taken = {
        **asdict(recipe),
        "epochs": recipe.passes,
        "minibatch": recipe.minibatch or recipe.rollouts,
        "whiten": recipe.whitens,
    }
    return {name: value for name, value in taken.items() if name not in idle}


def reference_files(reference: str) -> dict[str, int] | None:
    """How large a reference on this disk is and when it last changed; None for one on a hub, and for `local`.

    It is told by these and not by where it lies, so that a folder which is moved, or copied with its times, is the
    same. Only files directly in it count, for that is where weights are: a training may be written into it. Under
    adapters the files of what they lie on count too.
    """
    place = Path(reference.removeprefix("gguf:")).expanduser()
    if reference == "local" or not place.exists():
        return None
    parts = [Path(part) for part in base_and_adapter(place, None) if part is not None and Path(part).exists()]
    known = [stamp(file) for part in parts for file in ([part] if part.is_file() else _files(part))]
    return {
        "size": sum(int(one["size"]) for one in known),
        "mtime_ns": max((int(one["mtime_ns"]) for one in known), default=0),
    }


def _files(folder: Path) -> list[Path]:
    """The files of a model, but for its card: that is edited by hand."""
    return [file for file in folder.iterdir() if file.is_file() and file.suffix != ".md" and file.name[0] != "."]
