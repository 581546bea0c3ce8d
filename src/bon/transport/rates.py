"""Requests and tokens a minute: what was let through in the last one, and the arithmetic on it; no clock of its own."""

from __future__ import annotations

from collections import deque

__all__ = ["MINUTE", "Entry", "Rates"]

MINUTE = 60.0
"""Seconds."""


class Entry:
    """One call in the log: when it leaves the minute, and the tokens that it counts for."""

    __slots__ = ("ends", "logged", "tokens")

    def __init__(self, ends: float, tokens: int) -> None:
        self.ends = ends
        self.tokens = tokens
        self.logged = True


class Rates:
    """At most `rpm` calls and `tpm` tokens in any 60 seconds; None is no limit. Not for several threads at once.

    A sliding log: a call counts from the moment in which it is let through until 60 s later, half-open windows
    everywhere. So the limit is exact, no call waits longer than it must, and tokens that were only estimated are
    corrected in place. A token bucket, which is the usual way, lets through up to its burst more than the limit in a
    minute, or fewer over the hour to make up for it; all that this lets through a bucket as deep as the limit would
    let through too. A call of more tokens than `tpm` goes through alone.
    """

    def __init__(self, *, rpm: int | None = None, tpm: int | None = None) -> None:
        self.limit(rpm=rpm, tpm=tpm)
        self._log: deque[Entry] = deque()
        self._tokens = 0

    def limit(self, *, rpm: int | None, tpm: int | None) -> None:
        """Other limits from now on."""
        self.rpm, self.tpm = rpm, tpm
        self.limited = rpm is not None or tpm is not None

    def opens(self, tokens: int, now: float) -> float:
        """From when on a call of so many tokens may go, in the clock of `now`; `now` or earlier: at once."""
        log = self._log
        while log and log[0].ends <= now:
            oldest = log.popleft()
            oldest.logged = False
            self._tokens -= oldest.tokens
        moment = now
        if self.rpm is not None and len(log) >= self.rpm:
            moment = log[len(log) - self.rpm].ends
        if self.tpm is not None:
            surplus = self._tokens + min(tokens, self.tpm) - self.tpm
            for entry in log:
                if surplus <= 0:
                    break
                surplus -= entry.tokens
                moment = max(moment, entry.ends)
        return moment

    def take(self, tokens: int, now: float) -> Entry | None:
        """Let a call through and note it; None where nothing is limited."""
        if not self.limited:
            return None
        entry = Entry(now + MINUTE, tokens)
        self._log.append(entry)
        self._tokens += tokens
        return entry

    def correct(self, entry: Entry, tokens: int) -> None:
        """The call took so many tokens in fact."""
        if entry.logged:
            self._tokens += tokens - entry.tokens
            entry.tokens = tokens

    def drop(self, entry: Entry) -> None:
        """The call was never sent."""
        if entry.logged:
            entry.logged = False
            self._log.remove(entry)
            self._tokens -= entry.tokens
