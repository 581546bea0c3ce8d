"""Formats of process reward models, one a file: how a solution becomes token ids, and what is read of each step."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bon.errors import ModelError
from bon.score.process.formats.format import Critic, Format
from bon.score.process.formats.math_shepherd import MATH_SHEPHERD
from bon.score.process.formats.own import OWN
from bon.score.process.formats.qwen import QWEN
from bon.score.process.formats.rlhflow import RLHFLOW
from bon.score.process.formats.skywork import SKYWORK
from bon.score.process.formats.trl import TRL
from bon.score.reward.aliases import alias_of
from bon.score.reward.family import Checkpoint

__all__ = ["FORMATS", "Critic", "Format", "format_of", "named_format"]

FORMATS: Mapping[str, Format] = MappingProxyType(
    {each.name: each for each in (OWN, QWEN, SKYWORK, TRL, MATH_SHEPHERD, RLHFLOW)}
)
"""By name, in the order in which they are tried."""


def format_of(checkpoint: Checkpoint, name: str | None = None) -> Format:
    """The format of a checkpoint: the one that is named, that is known of its id, or that fits its files.

    Raises ModelError for a model that is none of them, and says what it is as far as that can be told.
    """
    known = alias_of("prm", checkpoint.source)
    if name is None and known is not None:
        name = known.family
    if name is not None:
        return named_format(name)
    for each in FORMATS.values():
        if each.fits(checkpoint):
            return each
    raise ModelError(_refusal(checkpoint))


def named_format(name: str) -> Format:
    """A format by its name. Raises ModelError for one that is not there."""
    if name not in FORMATS:
        raise ModelError(f"there is no format {name!r} of process reward models; there are {', '.join(FORMATS)}")
    return FORMATS[name]


def _refusal(checkpoint: Checkpoint) -> str:
    what = checkpoint.architecture or str(checkpoint.config.get("model_type", "a model"))
    if (checkpoint.reward or {}).get("kind") == "rm" or what.endswith("ForSequenceClassification"):
        return f"{checkpoint.source!r} is a reward model of whole answers ({what}): name it rm:{checkpoint.source}"
    if what.endswith(("ForCausalLM", "LMHeadModel")):
        return (
            f"{checkpoint.source!r} is a language model ({what}) without a head that scores steps. If it was trained "
            "to say + or - of each, name its format: family=math_shepherd or family=rlhflow; else train a head on it "
            "with `bon train prm`"
        )
    return (
        f"{checkpoint.source!r} ({what}) has no head that bon knows: a process reward model has one of the formats "
        f"{', '.join(FORMATS)}; family=NAME takes one that is not told from its files"
    )
