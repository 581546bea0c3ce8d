"""A confined process, seen from outside: whether it runs, and how it is ended so that nothing of it stays."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from pathlib import Path
from typing import IO

from bon.sandbox.bubblewrap import TEMPORARY

__all__ = ["Process"]

_PATIENCE = 1.0
"""Seconds that bubblewrap has to notice that what it started was ended."""


class Process:
    """A process that confines itself, or bubblewrap with what it confines."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.pipes: list[IO[bytes]] = [pipe for pipe in (popen.stdin, popen.stdout, popen.stderr) if pipe]
        """stdin, stdout and stderr, where they are pipes."""

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    @property
    def files(self) -> int:
        """How many files, folders and links it has at /tmp; 0 where it has no /tmp of its own, or nobody may look."""
        for child in self._children():
            try:
                temporary = os.statvfs(f"/proc/{child}/root/tmp")
            except OSError:
                continue
            if temporary.f_blocks * temporary.f_frsize == TEMPORARY:  # else bubblewrap is not done with its own files
                return temporary.f_files - temporary.f_ffree
        return 0

    def end(self) -> None:
        """End it, whatever it does. What bubblewrap started goes first: bubblewrap reaps it, and no zombie stays."""
        children = self._children() if self.running else []
        for child in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        if children:
            self._wait(_PATIENCE)
        if self.running:
            try:
                os.killpg(self._popen.pid, signal.SIGKILL)  # what bubblewrap has started dies with it
            except (ProcessLookupError, PermissionError):
                self._popen.kill()

    def _wait(self, seconds: float) -> None:
        """Wait for its end, told by the kernel: `subprocess` would look again and again, some milliseconds apart."""
        try:
            fd = os.pidfd_open(self._popen.pid)
        except OSError:  # it has ended, or the kernel is older than 5.3
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(seconds)
            return
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            poll.poll(1e3 * seconds)
        finally:
            os.close(fd)

    def close(self) -> int:
        """End it and let go of it; gives its exit code, below 0 for a signal."""
        self.end()
        code = self._popen.wait()
        for pipe in self.pipes:
            pipe.close()
        return code

    def _children(self) -> list[int]:
        """Its children, by their numbers; none where the kernel does not say."""
        try:
            listed = Path(f"/proc/{self._popen.pid}/task/{self._popen.pid}/children").read_text(encoding="ascii")
        except OSError:
            return []
        return [int(number) for number in listed.split()]
