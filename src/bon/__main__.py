"""`python -m bon` is `bon`."""

from __future__ import annotations

from bon.cli import main

main()
