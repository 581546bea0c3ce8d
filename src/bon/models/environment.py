"""The environment that worker processes get: the caller's, without what looks like a secret; a model needs none."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

__all__ = ["for_workers"]

_SECRET_NAME = re.compile(
    r"(KEYS?|TOKENS?|SECRETS?|PASS|PASSWD|PASSWORDS?|PASSPHRASE|CREDENTIALS?|AUTH|AUTHORIZATION|COOKIES?)(_|$)|^OPENAI_",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"://[^/\s@]*:[^/\s@]*@")
"""A password in a URL: of a proxy, a database, an index of packages."""


def for_workers(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that a worker process may see."""
    return {
        name: value
        for name, value in environment.items()
        if not _SECRET_NAME.search(name) and not _SECRET_VALUE.search(value)
    }
