"""What may be spent and what has been: reserved before a call, settled after; it sends nothing and knows no prices."""

from __future__ import annotations

from bon.ledger.bills import Bill, charged, charging
from bon.ledger.caps import Caps
from bon.ledger.ledger import Ledger, Reservation
from bon.ledger.prices import FREE, Price

__all__ = ["FREE", "Bill", "Caps", "Ledger", "Price", "Reservation", "charged", "charging"]
