"""Which family a checkpoint is of, told from its files before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bon.errors import ModelError
from bon.score.reward.aliases import alias_of
from bon.score.reward.armo import ARMO
from bon.score.reward.classifier import CLASSIFIER
from bon.score.reward.encoder import ENCODER
from bon.score.reward.family import Checkpoint, Family
from bon.score.reward.internlm2 import INTERNLM2
from bon.score.reward.ldl import LDL
from bon.score.reward.own import OWN
from bon.score.reward.pairrm import PAIRRM
from bon.score.reward.qrm import QRM
from bon.score.reward.reranker import RERANKER, YESNO
from bon.score.reward.urm import URM

__all__ = ["FAMILIES", "checkpoint_of", "family_of", "named_family"]

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (OWN, LDL, QRM, URM, ARMO, INTERNLM2, PAIRRM, ENCODER, CLASSIFIER, RERANKER, YESNO)
}
"""By name, in the order in which they are tried."""


def checkpoint_of(source: str, *, revision: str | None = None) -> Checkpoint:
    """A model folder, or what is published under an id, looked at. Raises ModelError for what is neither."""
    from bon.models.loading import ADAPTER, base_and_adapter
    from bon.models.weights import folder_of

    folder = folder_of(source, revision=revision)
    config, reward, base = _json(folder / "config.json"), _json(folder / "bon_reward.json"), None
    if config is None and reward is None and (folder / ADAPTER).is_file():
        base = folder_of(base_and_adapter(folder, None)[0])
        config = _json(base / "config.json")
    if config is None and reward is None:
        raise ModelError(
            f"{source!r} is no reward model: it has neither config.json nor bon_reward.json; "
            "give a folder saved with save_pretrained(), one that `bon train rm` wrote, or an id"
        )
    return Checkpoint(source=source, folder=folder, config=config or {}, reward=reward, base=base)


def family_of(checkpoint: Checkpoint, named: str | None = None) -> Family:
    """The family of a checkpoint: the one that is named, that is known of its id, or that fits its tensors.

    Raises ModelError for a model that is none of them, and says what it is as far as that can be told.
    """
    known = alias_of("rm", checkpoint.source)
    if named is not None or known is not None:
        return named_family(named if named is not None else known.family)  # type: ignore[union-attr]
    for family in FAMILIES.values():
        if family.fits(checkpoint):
            return family
    raise ModelError(_refusal(checkpoint))


def named_family(name: str) -> Family:
    """A family by its name. Raises ModelError for one that is not there."""
    if name not in FAMILIES:
        raise ModelError(f"there is no family {name!r} of reward models; there are {', '.join(FAMILIES)}")
    return FAMILIES[name]


def _refusal(checkpoint: Checkpoint) -> str:
    what = checkpoint.architecture or str(checkpoint.config.get("model_type", "a model"))
    if "ProcessReward" in what or (checkpoint.reward or {}).get("kind") == "prm":
        return f"{checkpoint.source!r} is a process reward model ({what}): name it prm:{checkpoint.source}"
    if what.endswith(("ForCausalLM", "LMHeadModel")):
        return (
            f"{checkpoint.source!r} is a language model ({what}) without a head that scores: draw from it with hf:, "
            f"let it judge with judge:...?judge=hf:{checkpoint.source}, ask it for yes or no with family=yesno, or "
            "train a head on it with `bon train rm`"
        )
    return (
        f"{checkpoint.source!r} ({what}) has no head that bon knows: a reward model has one of the shapes "
        f"{', '.join(FAMILIES)}; family=NAME takes one that is not told from its files"
    )


def _json(path: Path) -> dict[str, Any] | None:
    """An object out of a file; None where there is no file. Raises ModelError for one that cannot be read."""
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{str(path)!r} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{str(path)!r} holds {type(found).__name__} where an object is wanted")
    return found
