"""The parent's side of the workers that read formulas: hard time limits, from any thread and any event loop.

math-verify's own time limits are signals, which only a main thread can have; and no signal's handler runs while a huge
number is being multiplied. So a question that takes too long costs its worker: it is killed, and another one started.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import subprocess
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress

import msgspec

from bon.errors import ScoreError
from bon.models.environment import for_workers
from bon.score.maths.messages import Question, Reply

__all__ = ["Workers", "shared"]

_COMMAND = (sys.executable, "-P", "-m", "bon.score.maths.worker")
_START = 120.0
"""Seconds that a worker has to start: it imports a computer algebra system, on a machine that may be busy."""
_IDLE = 20.0
"""Seconds after which a worker without questions ends."""
_SLICE = 0.05
"""Seconds between two looks at whether anybody still waits for an answer."""
_REMEMBERED = 10_000
"""Replies that are remembered."""
_decode = msgspec.json.Decoder(Reply).decode


class Workers:
    """Up to `most` worker processes (default: a core each), started when there are questions, ended when there are not.

    The same question is asked once, whoever asks it and however often: replies are remembered, and so is that one took
    too long. Who stops waiting (a task that is cancelled) stops the work, unless another one waits for it too.
    """

    def __init__(self, *, most: int | None = None, idle: float = _IDLE, command: Sequence[str] = _COMMAND) -> None:
        self._command = command
        self._most = most or _cores()
        self._idle = idle
        self._changed = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._jobs: dict[Question, _Job] = {}
        self._known: OrderedDict[Question, Reply | ScoreError] = OrderedDict()
        self._threads: set[threading.Thread] = set()
        self._free = 0
        self._closing = False

    async def ask(self, question: Question) -> Reply:
        """The reply. Raises ScoreError where there is none: the time limit, or a worker that died."""
        found = self._begin(question)
        if not isinstance(found, _Job):
            return _told(found)
        try:
            return _told(await asyncio.wrap_future(found.join()))
        finally:
            found.leave()

    def ask_blocking(self, question: Question) -> Reply:
        """The same for callers that have a thread to wait in."""
        found = self._begin(question)
        if not isinstance(found, _Job):
            return _told(found)
        try:
            return _told(found.join().result())
        finally:
            found.leave()

    def close(self) -> None:
        """End the workers; whoever still waits is told so. The next question starts others."""
        with self._changed:
            self._closing = True
            for job in self._jobs.values():
                job.waiters = 0
            self._changed.notify_all()
            threads = list(self._threads)
        for thread in threads:
            thread.join(_START)
        with self._changed:
            self._closing = False

    def _begin(self, question: Question) -> _Job | Reply | ScoreError:
        with self._changed:
            if question in self._known:
                self._known.move_to_end(question)
                return self._known[question]
            job = self._jobs.get(question)
            if job is not None and not job.abandoned:
                job.waiters += 1
                return job
            job = self._jobs[question] = _Job(question, self._changed)
            self._waiting.append(job)
            if len(self._waiting) > self._free and len(self._threads) < self._most:
                thread = threading.Thread(target=self._work, name="bon-maths", daemon=True)
                self._threads.add(thread)
                thread.start()
            else:
                self._changed.notify()
            return job

    def _next(self) -> _Job | None:
        """The next job; None when there has been none for a while."""
        with self._changed:
            self._free += 1
            try:
                if not self._changed.wait_for(lambda: self._waiting or self._closing, self._idle) or not self._waiting:
                    self._threads.discard(threading.current_thread())
                    return None
                return self._waiting.popleft()
            finally:
                self._free -= 1

    def _work(self) -> None:
        """The life of a thread: it has one process at a time, and ends it when there is nothing to do."""
        worker: _Worker | None = None
        try:
            while (job := self._next()) is not None:
                reply: Reply | ScoreError = ScoreError("the comparison was stopped")
                try:
                    if not job.abandoned:
                        worker = worker if worker is not None and worker.alive else _Worker(self._command)
                        reply = worker.ask(job)
                except OSError as error:
                    reply = ScoreError(f"the worker process cannot be started: {error}")
                finally:  # whatever happens, who waits is told
                    self._end(job, reply)
        finally:
            if worker is not None:
                worker.close()

    def _end(self, job: _Job, reply: Reply | ScoreError) -> None:
        with self._changed:
            if self._jobs.get(job.question) is job:
                del self._jobs[job.question]
            if not isinstance(reply, ScoreError) or isinstance(reply, _Final):
                self._known[job.question] = reply
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        job.future.set_result(reply)


class _Final(ScoreError):
    """A question that takes longer than it may, or ends its worker; asked again, it would again."""


class _Job:
    """A question that is being worked on, and how many wait for the reply."""

    def __init__(self, question: Question, changed: threading.Condition) -> None:
        self.question = question
        self.future: Future[Reply | ScoreError] = Future()
        self.waiters = 1
        self._changed = changed

    @property
    def abandoned(self) -> bool:
        return self.waiters <= 0

    def join(self) -> Future[Reply | ScoreError]:
        """A future of one's own: cancelling it leaves the others theirs."""
        own: Future[Reply | ScoreError] = Future()

        def settle(done: Future[Reply | ScoreError]) -> None:
            if own.set_running_or_notify_cancel():
                own.set_result(done.result())

        self.future.add_done_callback(settle)
        return own

    def leave(self) -> None:
        with self._changed:
            self.waiters -= 1


class _Worker:
    """One process, and the thread that reads what it says."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # our own command line
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=for_workers(),
            start_new_session=True,  # Ctrl-C in the terminal is for us alone
        )
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="bon-maths-in", daemon=True)
        self._reader.start()
        self._ready = False
        self.alive = True

    def ask(self, job: _Job) -> Reply | ScoreError:
        """The reply, or why there is none; then the process is no more."""
        try:
            if not self._ready:
                self._line(job, _START)
                self._ready = True
            assert self._process.stdin is not None  # noqa: S101  # asked for above
            self._process.stdin.write(msgspec.json.encode(job.question) + b"\n")
            self._process.stdin.flush()
            return _decode(self._line(job, job.question.seconds))
        except TimeoutError:
            error = ScoreError(f"a worker process did not start within {_START:g} s")
            if self._ready:
                error = _Final(f"the comparison took longer than {job.question.seconds:g} s")
        except InterruptedError:
            error = ScoreError("the comparison was stopped")
        except (OSError, EOFError, msgspec.MsgspecError):
            error = ScoreError("the worker process ended before it was ready")
            if self._ready:
                error = _Final("the worker process ended in the midst of the comparison")
        self.close()
        return error

    def _line(self, job: _Job, seconds: float) -> bytes:
        """The next line. Raises TimeoutError, EOFError at the end, and InterruptedError when nobody waits for it."""
        until = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, min(until - time.monotonic(), _SLICE)))
            except queue.Empty:
                if time.monotonic() >= until:
                    raise TimeoutError from None
                if job.abandoned:
                    raise InterruptedError from None
                continue
            if not line:
                raise EOFError
            return line

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101  # asked for above
        with self._process.stdout as replies:
            for line in replies:
                self._lines.put(line)
        self._lines.put(b"")

    def close(self) -> None:
        self.alive = False
        self._process.kill()
        self._process.wait()
        self._reader.join()
        with suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()


def _told(found: Reply | ScoreError) -> Reply:
    if isinstance(found, ScoreError):
        raise ScoreError(str(found))
    return found


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


_lock = threading.Lock()
_shared: dict[int, Workers] = {}


def shared() -> Workers:
    """The workers of this process: a forked child, which has none of its parent's threads, has its own."""
    with _lock:
        if os.getpid() not in _shared:
            _shared.clear()
            _shared[os.getpid()] = Workers()
            atexit.register(_shared[os.getpid()].close)
        return _shared[os.getpid()]
