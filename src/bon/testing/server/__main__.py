"""The server for tests as a process: `python -m bon.testing.server` prints its URL and serves until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from bon.testing.faults import Fault, by_chance
from bon.testing.server import FaultServer


async def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m bon.testing.server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--answer", action="append", help="what to say; may be given several times")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before the first byte of each answer")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds between the tokens of a stream")
    parser.add_argument("--busy", type=float, default=0.0, help="the chance that a request is answered with 503")
    parser.add_argument("--capacity", type=int, help="how many requests are served at once; more get 429")
    parser.add_argument("--seed", type=int, default=0, help="of what is left to chance")
    options = parser.parse_args()
    usual = Fault(delay=options.delay)
    chance = by_chance(options.seed, (options.busy, Fault(status=503, delay=options.delay)))
    server = FaultServer(
        answers=options.answer,
        faults=lambda number: chance(number) or usual,
        pace=options.pace,
        capacity=options.capacity,
        port=options.port,
    )
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
