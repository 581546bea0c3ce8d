"""The kit for people who extend bon: scripted generators and judges, a server with faults, virtual time, checks."""

from __future__ import annotations

from bon.testing.bad_verdicts import BAD_VERDICTS
from bon.testing.checks import check_budget, check_generator, check_scorer, check_selector
from bon.testing.faults import Fault, by_chance, schedule
from bon.testing.judges import Asked, ScriptedJudge, asked_of
from bon.testing.pools import pool_of
from bon.testing.rewards import RewardServer
from bon.testing.scripted import Scripted
from bon.testing.server import FaultServer
from bon.testing.virtual import virtual_time

__all__ = [
    "BAD_VERDICTS",
    "Asked",
    "Fault",
    "FaultServer",
    "RewardServer",
    "Scripted",
    "ScriptedJudge",
    "asked_of",
    "by_chance",
    "check_budget",
    "check_generator",
    "check_scorer",
    "check_selector",
    "pool_of",
    "schedule",
    "virtual_time",
]
