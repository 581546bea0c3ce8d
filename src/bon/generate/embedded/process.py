"""The parent's side of the worker process: started on first use, spoken to from any thread, replaced when it dies."""

from __future__ import annotations

import itertools
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, TypeAlias

import msgspec

from bon.errors import BonError, ModelError, Unavailable
from bon.generate.embedded.wire import (
    Broken,
    Cancel,
    Done,
    Draw,
    Open,
    Refused,
    Reply,
    Request,
    decode_reply,
    read_frame,
    write_frame,
)
from bon.models.environment import for_workers

__all__ = ["Listener", "WorkerProcess"]

Listener: TypeAlias = Callable[[Reply | BonError], None]
"""Is told each reply to a draw, or the error that ended the worker; on the worker's reader thread: it must be quick."""
_COMMAND = (sys.executable, "-P", "-m", "bon.generate.embedded.worker")
_SIGKILL = 9
_PATIENCE = 5.0
"""Seconds that a worker has to end when asked to; it may be in a long step."""


class WorkerProcess:
    """Starts a worker when first asked, and a new one after one died."""

    def __init__(self, opened: Open) -> None:
        self._opened = opened
        self._lock = threading.Lock()
        self._run: _Run | None = None
        self._ids = itertools.count(1)

    def ask(self, draw: Draw, listener: Listener) -> int:
        """Ask for a draw; returns its id, which is filled in here."""
        with self._lock:
            number = next(self._ids)
            if self._run is None or not self._run.ask(msgspec.structs.replace(draw, id=number), listener):
                self._run = _Run(self._opened)
                self._run.ask(msgspec.structs.replace(draw, id=number), listener)
            return number

    def cancel(self, number: int) -> None:
        """Drop a draw; nothing more is heard of it. One that has ended is nobody's concern."""
        with self._lock:
            if self._run is not None:
                self._run.cancel(number)

    def close(self) -> None:
        """End the worker; whoever still waits is told so. The next `ask` starts another."""
        with self._lock:
            run, self._run = self._run, None
        if run is not None:
            run.close()

    @property
    def pid(self) -> int | None:
        """The process id of the running worker."""
        with self._lock:
            return self._run.pid if self._run is not None else None


class _Run:
    """One life of a worker: a thread that reads from it and one that writes to it, so that neither blocks a caller."""

    def __init__(self, opened: Open) -> None:
        self._listeners: dict[int, Listener] = {}
        self._lock = threading.Lock()
        self._outbox: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._outbox.put(opened)
        self._path = opened.path
        self._ended = False
        self._started = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader = threading.Thread(target=self._live, name="bon-embedded", daemon=True)
        self._reader.start()

    def ask(self, draw: Draw, listener: Listener) -> bool:
        """False if this worker has ended."""
        with self._lock:
            if self._ended:
                return False
            self._listeners[draw.id] = listener
            self._outbox.put(draw)
            return True

    def cancel(self, number: int) -> None:
        with self._lock:
            if self._listeners.pop(number, None) is not None:
                self._outbox.put(Cancel(id=number))

    def close(self) -> None:
        self._outbox.put(None)
        if self._reader is threading.current_thread():
            return  # a generator may be forgotten, and so closed, anywhere
        self._reader.join(_PATIENCE)
        if self._reader.is_alive() and self._process is not None:
            self._process.kill()
            self._reader.join(_PATIENCE)

    @property
    def pid(self) -> int | None:
        self._started.wait()
        return self._process.pid if self._process is not None else None

    def _live(self) -> None:
        """Start the process and read from it until it ends.

        The process must be started by a thread that lives as long as it does: on Linux it asks to be killed when the
        thread that started it ends.
        """
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(  # noqa: S603  # our own command line
                    _COMMAND,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=for_workers(),
                    start_new_session=True,  # Ctrl-C in the terminal is for us alone
                )
            except OSError as error:
                self._started.set()
                return self._end(ModelError(f"the worker process cannot be started: {error}"))
            self._process = process
            self._started.set()
            assert process.stdin is not None  # noqa: S101  # asked for above
            assert process.stdout is not None  # noqa: S101
            writer = threading.Thread(target=self._write, args=(process.stdin,), name="bon-embedded-out", daemon=True)
            writer.start()
            broken = self._read(process.stdout)
            self._outbox.put(None)
            writer.join()
            process.stdout.close()
            code = process.wait()
            return self._end(broken or Unavailable(self._obituary(code, errors)))

    def _write(self, pipe: IO[bytes]) -> None:
        with suppress(OSError):  # it has ended, as the reader finds too
            while (request := self._outbox.get()) is not None:
                write_frame(pipe, request)
        with suppress(OSError):
            pipe.close()

    def _read(self, pipe: IO[bytes]) -> ModelError | None:
        while (frame := read_frame(pipe)) is not None:
            reply = decode_reply(frame)
            if isinstance(reply, Broken):
                return ModelError(reply.message)
            with self._lock:
                last = isinstance(reply, Done | Refused)
                listener = (self._listeners.pop if last else self._listeners.get)(reply.id, None)
            if listener is not None:
                listener(reply)
        return None

    def _end(self, error: BonError) -> None:
        with self._lock:
            self._ended = True
            listeners, self._listeners = list(self._listeners.values()), {}
        for listener in listeners:
            listener(error)

    def _obituary(self, code: int, errors: IO[bytes]) -> str:
        """What is said of a worker that ended by itself."""
        errors.seek(0)
        lines = [line for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
        if code == -_SIGKILL:
            why = "killed from outside; was there memory enough?"
        else:
            why = lines[-1].strip() if lines else "without a word"
        return f"the worker process of {self._path!r} ended (exit code {code}: {why}); the next draw starts another"
