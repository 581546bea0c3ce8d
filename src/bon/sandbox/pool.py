"""Sandboxes for many programs at a time: a worker thread a core, each with a process for tests that stays."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeAlias

from bon.errors import ScoreError
from bon.sandbox import checking
from bon.sandbox.backend import Backend
from bon.sandbox.choosing import choose
from bon.sandbox.tester import Tester
from bon.sandbox.values import Limits, Output, Tests, Verdict

__all__ = ["Sandbox"]

_Work: TypeAlias = Callable[["_Worker", threading.Event], Any]


_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_SLOTS = threading.Semaphore(_CORES)
"""One for each program that may run at a time, shared by all sandboxes that are not told otherwise."""
_TICK = 0.05


class Sandbox:
    """Runs programs that nobody trusts, each in a sandbox of its own.

    At most `workers` at a time; where nothing is said one a core, over all sandboxes of this process. More wait their
    turn. Nothing is started before the first program. Running one raises `NoSandbox` where no way to confine holds on
    this machine. May be used from many threads and event loops. Close it, or use it in a `with` block.
    """

    def __init__(
        self, *, limits: Limits | None = None, workers: int | None = None, backend: Backend | None = None
    ) -> None:
        self.limits = limits or Limits()
        self.workers = _CORES if workers is None else workers
        self.backend = backend
        self.slots = _SLOTS if workers is None else threading.Semaphore(workers)
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: list[_Worker] = []
        self._idle = 0
        self._closed = False

    def check(self, program: str, tests: Tests) -> Verdict:
        """The verdict on a program's functions under tests."""
        return self._submit(_check(program, tests, self.limits)).wait()  # type: ignore[no-any-return]

    async def acheck(self, program: str, tests: Tests) -> Verdict:
        """As `check`; cancelling it ends the program."""
        return await self._submit(_check(program, tests, self.limits)).awaited()  # type: ignore[no-any-return]

    def execute(self, program: str, stdin: str = "") -> Output:
        """What a program does as a script, given an input."""
        return self._submit(_execute(program, stdin, self.limits)).wait()  # type: ignore[no-any-return]

    async def aexecute(self, program: str, stdin: str = "") -> Output:
        """As `execute`; cancelling it ends the program."""
        return await self._submit(_execute(program, stdin, self.limits)).awaited()  # type: ignore[no-any-return]

    def _submit(self, work: _Work) -> _Job:
        job = _Job(work)
        with self._lock:
            if self._closed:
                raise ScoreError("this sandbox is closed; make another")
            self._jobs.put(job)
            if len(self._threads) < self.workers and self._jobs.qsize() > self._idle:
                self._threads.append(_Worker(self))
                self._threads[-1].start()
        return job

    def take(self) -> _Job | None:
        """The next job, waited for; None once there will be no more. For the workers."""
        with self._lock:
            self._idle += 1
        try:
            return self._jobs.get()
        finally:
            with self._lock:
                self._idle -= 1

    def close(self) -> None:
        """End what runs, and every process; what waits its turn is cancelled."""
        with self._lock:
            self._closed = True
            threads, self._threads = self._threads, []
            while not self._jobs.empty():
                if job := self._jobs.get():
                    job.future.cancel()
        for thread in threads:
            thread.stop.set()
            self._jobs.put(None)
        for thread in threads:
            thread.join()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Job:
    """One program to run, and what will come of it."""

    def __init__(self, work: _Work) -> None:
        self.work = work
        self.future: Future[Any] = Future()
        self.stop = threading.Event()

    def wait(self) -> Any:
        try:
            return self.future.result()
        except BaseException:  # Ctrl-C while it runs
            self.give_up()
            raise

    async def awaited(self) -> Any:
        try:
            return await asyncio.wrap_future(self.future)
        except asyncio.CancelledError:
            self.give_up()
            raise

    def give_up(self) -> None:
        self.stop.set()
        self.future.cancel()


class _Worker(threading.Thread):
    """Takes one job after another. The processes that it starts die with it, so it lives as long as its sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(name="bon-sandbox", daemon=True)
        self.sandbox = sandbox
        self.stop = threading.Event()
        self._tester: Tester | None = None

    def run(self) -> None:
        while not self.stop.is_set() and (job := self.sandbox.take()):
            if not job.future.set_running_or_notify_cancel():
                continue
            slot = self._slot(job)
            try:
                job.future.set_result(job.work(self, job.stop))
            except Exception as error:  # noqa: BLE001  # it is told where it is waited for
                job.future.set_exception(error)
            finally:
                if slot:
                    self.sandbox.slots.release()
        if self._tester:
            self._tester.kill()

    def _slot(self, job: _Job) -> bool:
        """Whether there is a core for it now, which is waited for; not where the job is no longer wanted."""
        stopped = self.stopped(job.stop)
        while not stopped():
            if self.sandbox.slots.acquire(timeout=_TICK):
                return True
        return False

    @property
    def backend(self) -> Backend:
        """What confines; found out here, where nobody else has to wait. Raises `NoSandbox`."""
        return self.sandbox.backend or choose()

    @property
    def tester(self) -> Tester:
        """A process for tests that lives: the last one, or a new one."""
        if self._tester and not self._tester.alive:
            self._tester.kill()  # it is gone already: this lets go of what is left of it
            self._tester = None
        if self._tester is None:
            self._tester = Tester(self.backend)
        return self._tester

    def stopped(self, job: threading.Event) -> Callable[[], bool]:
        return lambda: job.is_set() or self.stop.is_set()


def _check(program: str, tests: Tests, limits: Limits) -> _Work:
    def work(worker: _Worker, stop: threading.Event) -> Verdict:
        return checking.check(worker.backend, worker.tester, program, tests, limits, worker.stopped(stop))

    return work


def _execute(program: str, stdin: str, limits: Limits) -> _Work:
    def work(worker: _Worker, stop: threading.Event) -> Output:
        return checking.execute(worker.backend, program, stdin, limits, worker.stopped(stop))

    return work
