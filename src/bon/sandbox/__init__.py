"""Programs that nobody trusts, run where they can do no harm, and judged where they have no say."""

from __future__ import annotations

from bon.sandbox.backend import Backend
from bon.sandbox.choosing import available, choose
from bon.sandbox.pool import Sandbox
from bon.sandbox.selftest import Finding, selftest
from bon.sandbox.values import Limits, Output, Tests, Verdict

__all__ = ["Backend", "Finding", "Limits", "Output", "Sandbox", "Tests", "Verdict", "available", "choose", "selftest"]
