"""Every error bon raises on purpose, in one tree; nothing here imports anything of bon.

BonError
├── UsageError               the caller's input is wrong; the command exits with 2
│   ├── SpecError            a spec string that names nothing or is badly formed
│   ├── DataError            a row of a file that cannot be read (path and line number)
│   ├── MissingExtra         an optional dependency is not installed
│   └── NoSandbox            nothing on this machine confines programs, so none is run
├── DrawError                one draw failed; recorded on the Pool as a Failure of stage "generate"
│   ├── Retryable            trying the same draw again may help
│   │   ├── RateLimited      429
│   │   ├── Unavailable      408, 409, 5xx
│   │   ├── Unreachable      the connection could not be made or broke
│   │   ├── TimedOut         a deadline passed
│   │   └── Truncated        the answer ended without a finish_reason
│   ├── CapReached           a cap of the ledger leaves no room for the call; raising the cap lets the run go on
│   ├── Rejected             the endpoint refused the request (400, 413, 422)
│   │   └── Denied           it refuses us, whatever the request: key, model, credit (401, 402, 403, 404 ...)
│   └── BadReply             the endpoint answered with something that is no chat completion
├── ScoreError               a scorer could not do its work
│   └── Unreadable           a judge said something that is no verdict of the kind that was asked for
├── ModelError               a model cannot be found, read or run
├── StoreError               what was made cannot be kept: the disk is full, a file is read-only, damaged or in use
├── Undecided                a selector had nothing to go on
└── NoCandidates             fewer candidates arrived than were asked for at the least
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bon.types import Pool

__all__ = [
    "HOPELESS",
    "BadReply",
    "BonError",
    "CapReached",
    "DataError",
    "Denied",
    "DrawError",
    "MissingExtra",
    "ModelError",
    "NoCandidates",
    "NoSandbox",
    "RateLimited",
    "Rejected",
    "Retryable",
    "ScoreError",
    "SpecError",
    "StoreError",
    "TimedOut",
    "Truncated",
    "Unavailable",
    "Undecided",
    "Unreachable",
    "Unreadable",
    "UsageError",
]


class BonError(Exception):
    """The root: `except bon.BonError` catches whatever bon raises on purpose."""


class UsageError(BonError, ValueError):
    """The input is wrong: the message says what, which, and what to do."""


class SpecError(UsageError):
    """A spec string names nothing, or is badly formed."""


class DataError(UsageError):
    """A row of a file cannot be read; the message begins with `path:line`."""


class MissingExtra(UsageError, ImportError):
    """An optional dependency is missing; the message names the extra that brings it."""

    def __init__(self, package: str, *, extra: str, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs {package!r}, which is not installed: pip install 'bon[{extra}]'")
        self.package = package
        self.extra = extra


class NoSandbox(UsageError):
    """Nothing on this machine confines programs that nobody trusts; the message says what was tried."""


class DrawError(BonError):
    """One draw failed."""


class Retryable(DrawError):
    """A draw failed in a way that may pass.

    `retry_after` is the endpoint's own wish in seconds, where it stated one.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(Retryable):
    """The endpoint answered 429."""


class Unavailable(Retryable):
    """The endpoint answered 408, 409 or 5xx."""


class Unreachable(Retryable):
    """The connection could not be made, or broke."""


class TimedOut(Retryable):
    """A deadline passed: connect, first byte, between bytes, or total."""


class Truncated(Retryable):
    """The answer ended without a finish_reason, so it is not known to be whole."""


class Rejected(DrawError):
    """The endpoint refused the request; asking again would be refused again. `status` is its HTTP status."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Denied(Rejected):
    """The endpoint refused us and not this request: it would refuse any other too."""


class CapReached(DrawError):
    """A cap on tokens, money, calls or seconds leaves no room for this call: it was not made."""


class BadReply(DrawError):
    """The endpoint answered, but not with a chat completion."""


class ScoreError(BonError):
    """A scorer could not do its work."""


class Unreadable(ScoreError):
    """What a judge said is no verdict of the kind that was asked for; the message says why, in a few words."""


class ModelError(BonError):
    """A model cannot be found, read or run; the message says what would work."""


class StoreError(BonError):
    """What was made cannot be kept; the message says where, why, and what to do. What was kept before is whole."""


HOPELESS = (UsageError, ModelError, StoreError)
"""What ends a whole run: it is no matter of one draw or one score, and going on would be paid for in vain."""


class Undecided(BonError):
    """A selector had nothing to go on: nobody scored, nobody voted. `bon.select.weigh` turns it into data."""


class NoCandidates(BonError):
    """Fewer candidates arrived than `min_candidates`; `pool` holds those that did, and every failure."""

    def __init__(self, message: str, *, pool: Pool) -> None:
        super().__init__(message)
        self.pool = pool
