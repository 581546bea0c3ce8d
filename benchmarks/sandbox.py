"""What a sandbox costs: a start beyond that of bare Python, and how many verdicts there are in a second.

A start is a program that does nothing, run by the same Python bare and confined, in turn; the median of each, in
wall-clock and CPU. Verdicts are of a right program of one line under two asserts, on a worker a core. On a machine that
is busy with other things wall-clock says little: CPU time is what a core was kept busy for.
Run it with `python benchmarks/sandbox.py [--runs N] [--json]`. The goals are 15 ms and 60 verdicts/s on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bon.sandbox import Backend, Limits, Sandbox, Tests, available
from bon.sandbox.checking import execute

GOAL_MILLISECONDS, GOAL_VERDICTS = 15, 60
TESTS = Tests(texts=("assert double(2) == 4", "assert double('a') == 'aa'"))
RIGHT = "def double(x): return 2 * x"


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and CPU seconds, ours and those of the processes that were started and have ended."""
    before, began = cpu(), time.perf_counter()
    work()
    return time.perf_counter() - began, cpu() - before


def cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def starts(backend: Backend, runs: int) -> dict[str, float]:
    """Medians, in milliseconds, of a bare start and of a confined one beyond it; in turn: both meet the same load."""
    line = [str(backend.python), "-S", "-s", "-B", "-c", "pass"]
    bare, confined = [], []
    for _ in range(runs):
        bare.append(timed(lambda: subprocess.run(line, check=True, stdin=subprocess.DEVNULL, capture_output=True)))
        confined.append(timed(lambda: execute(backend, "", "", Limits(), lambda: False)))
    wall, busy = ([1e3 * statistics.median(one[i] for one in each) for each in (bare, confined)] for i in (0, 1))
    return {
        "bare_ms": round(wall[0], 1),
        "beyond_ms": round(wall[1] - wall[0], 1),
        "bare_cpu_ms": round(busy[0], 1),
        "beyond_cpu_ms": round(busy[1] - busy[0], 1),
    }


def verdicts(backend: Backend, runs: int) -> dict[str, float]:
    """Verdicts a second of wall-clock, and what each takes of a core: the processes of tests, which stay, included."""

    def work() -> float:
        with (
            Sandbox(backend=backend, limits=Limits(seconds=60)) as sandbox,
            ThreadPoolExecutor(sandbox.workers) as pool,
        ):
            began = time.perf_counter()
            assert {*pool.map(lambda _: sandbox.check(RIGHT, TESTS).kind, range(runs))} == {"pass"}
            return time.perf_counter() - began

    before = cpu()
    wall = work()
    each = (cpu() - before) / runs
    return {"per_second": round(runs / wall, 1), "cpu_ms_each": round(1e3 * each, 1), "two_cores": round(2 / each, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [
        {"sandbox": backend.name, **starts(backend, options.runs), **verdicts(backend, 4 * options.runs)}
        for backend in available()
    ]
    if options.json:
        print(json.dumps({"rows": rows, "cores": os.cpu_count(), "load": os.getloadavg()[0]}))
        return
    for row in rows:
        print(
            f"{row['sandbox']}: a start takes {row['beyond_ms']} ms beyond {row['bare_ms']} ms of bare Python "
            f"(goal {GOAL_MILLISECONDS}), {row['beyond_cpu_ms']} ms CPU beyond {row['bare_cpu_ms']}; "
            f"{row['per_second']} verdicts/s, {row['cpu_ms_each']} ms CPU each: {row['two_cores']}/s "
            f"on two cores that do nothing else (goal {GOAL_VERDICTS})"
        )
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
