"""HTTP to one endpoint: the one retry loop, limits, deadlines and server-sent events; it knows no chat format."""

from __future__ import annotations

from bon.transport.endpoint import Endpoint
from bon.transport.limits import Limits
from bon.transport.policy import Retries, Timeouts
from bon.transport.slots import Slots

__all__ = ["Endpoint", "Limits", "Retries", "Slots", "Timeouts"]
