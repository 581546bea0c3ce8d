"""What a sandbox is asked and what it says: limits, tests, verdicts and outputs, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Kind", "Limits", "Output", "Tests", "Verdict"]

Kind: TypeAlias = Literal["pass", "fail", "timeout", "memory", "output", "crash", "sandbox-error"]
"""How a program did. "sandbox-error" is a failure of ours, or of the tests, and says nothing of the program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one program may take. Reaching one ends the program with a verdict of its own, not the run."""

    seconds: float = 10.0
    """Wall-clock time, and CPU time rounded up, of the program from its start to its last test."""
    memory: int = 512 << 20
    """Bytes of address space of each of its processes."""
    output: int = 1 << 20
    """Bytes that it may print, on stdout and stderr together."""
    files: int = 16 << 20
    """Bytes of one file that it may write; all its files together have at most 32 MiB."""
    processes: int = 1
    """With 1 it may start threads, and no process; with more this many with four threads each, or more with fewer."""

    def __post_init__(self) -> None:
        for name in ("seconds", "memory", "output", "files", "processes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"the limit {name} is above 0, not {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tests:
    """Tests of a program's functions: Python texts with asserts, which call functions that they do not define."""

    texts: tuple[str, ...]
    """Each runs on its own, in its own names; every assert in it is one test."""
    entry_point: str = ""
    """The function under test: a stand-in for it is passed to `check`."""
    check: str = ""
    """A function that the texts define and that is called with the function under test; "" for none."""
    setup: str = ""
    """Python that runs before each text: helpers that the tests share with the prompt."""

    __test__ = False  # for pytest, which takes the name for tests of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a program did under its tests."""

    kind: Kind
    parts: tuple[bool | None, ...] = ()
    """Whether each test held, in their order; None for one that was not reached though all ran to their end."""
    reason: str = ""
    """Why it did not pass: the first test that failed, or what ended the program."""
    printed: str = ""
    """The end of what the program printed."""
    seconds: float = 0.0
    """Wall-clock seconds."""

    @property
    def share(self) -> float:
        """The share of tests passed, of those that count; 0 where there are none."""
        counted = [part for part in self.parts if part is not None]
        return sum(counted) / len(counted) if counted else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a program did as a script."""

    kind: Kind
    """"pass" where it ended by itself with exit code 0, "fail" for any other exit code."""
    stdout: str = ""
    stderr: str = ""
    """The end of it."""
    reason: str = ""
    seconds: float = 0.0
    """Wall-clock seconds."""
