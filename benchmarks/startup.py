"""How long `import bon` and `bon --help` take: CPU time of a fresh process beyond that of bare Python, median of 15.

Run it with `python benchmarks/startup.py [--json]`. The goals are 150 ms and 400 ms.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys

WAYS = {
    "python -c pass": ["-c", "pass"],
    "import bon": ["-c", "import bon"],
    "bon --help": ["-m", "bon", "--help"],
    "bon ask --help": ["-m", "bon", "ask", "--help"],
    "bon list": ["-m", "bon", "list"],
}


def cpu_seconds(args: list[str]) -> float:
    """User and system time of one run, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *args], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for args in WAYS.values():
        cpu_seconds(args)  # compiled files and disk caches
    measured = {
        name: statistics.median(cpu_seconds(args) for _ in range(options.rounds)) * 1e3 for name, args in WAYS.items()
    }
    bare = measured["python -c pass"]
    rows = [
        {"what": name, "cpu_ms": round(ms, 1), "beyond_python_ms": round(ms - bare, 1)} for name, ms in measured.items()
    ]
    if options.json:
        print(json.dumps({"rows": rows}))
        return
    for each in rows:
        print(f"{each['what']:<18}{each['cpu_ms']:>8.1f} ms CPU{each['beyond_python_ms']:>8.1f} ms beyond Python")


if __name__ == "__main__":
    main()
