"""The worker process: reads questions about formulas from stdin, one a line, and answers each on stdout, in turn.

It bounds itself, in case whoever asked is gone: the kernel ends it when a question has had twice its time, and refuses
it more memory than it may have.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import IO

import msgspec

from bon.score.maths.messages import Question, Reply

__all__ = ["main"]

_MEMORY = 4 << 30
"""Bytes of address space: what a library maps at its start counts too."""


def main() -> None:
    """Answer until stdin ends. What libraries print goes nowhere."""
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  # a descriptor is wanted, not a path
        os.dup2(nowhere.fileno(), 1)
    _bound()
    from bon.score.maths import formulas

    _serve(sys.stdin.buffer, replies, formulas.answered)


def _serve(questions: IO[bytes], replies: IO[bytes], answered: Callable[[Question], Reply]) -> None:
    read, write = msgspec.json.Decoder(Question).decode, msgspec.json.encode
    replies.write(b"ready\n")
    for line in questions:
        question = read(line)
        _alarm(2 * question.seconds + 1)
        try:
            reply = answered(question)
        except MemoryError:
            reply = Reply(verdict="broken", text="it needs too much memory")
        except Exception as error:  # noqa: BLE001  # whatever a library raises is an answer
            reply = Reply(verdict="broken", text=type(error).__name__)
        _alarm(0)
        replies.write(write(reply) + b"\n")


def _alarm(seconds: float) -> None:
    """End the process after so many seconds; 0: do not."""
    if hasattr(signal, "setitimer"):
        # Without a handler the signal ends it wherever it is, in the midst of a long multiplication too.
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _bound() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # not everywhere may a process bound itself
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
