"""The kit for people who extend bon: a scripted generator, a fault-injecting server, virtual time, checks of seams."""

from __future__ import annotations

from bon.testing.checks import check_budget, check_generator, check_scorer, check_selector
from bon.testing.faults import Fault, by_chance, schedule
from bon.testing.pools import pool_of
from bon.testing.scripted import Scripted
from bon.testing.server import FaultServer
from bon.testing.virtual import virtual_time

__all__ = [
    "Fault",
    "FaultServer",
    "Scripted",
    "by_chance",
    "check_budget",
    "check_generator",
    "check_scorer",
    "check_selector",
    "pool_of",
    "schedule",
    "virtual_time",
]
