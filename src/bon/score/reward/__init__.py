"""Reward models on this machine: `rm:DIR_OR_ID`, one small adapter for each shape in which they are published."""

from __future__ import annotations

from bon.score.reward.aliases import Alias, alias_of, aliases
from bon.score.reward.families import FAMILIES
from bon.score.reward.family import Options
from bon.score.reward.reward import RewardModel

__all__ = ["FAMILIES", "Alias", "Options", "RewardModel", "alias_of", "aliases"]
