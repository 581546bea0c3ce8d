"""An HTTP endpoint for tests that goes wrong on purpose and keeps a ledger; what it answers, a function says."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, pairwise
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from bon.testing.faults import Fault, Faults, schedule
from bon.testing.ledger import Call, Ledger
from bon.types import Usage

__all__ = ["Faulty", "Made", "refusal"]

S = TypeVar("S", bound="Faulty")

_NO_FAULT = Fault()
_TOO_MANY = Fault(status=429)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What an endpoint answers, before anything goes wrong."""

    pieces: Sequence[bytes]
    """The body, in the pieces in which it is written."""
    status: int = 200
    usage: Usage = field(default_factory=Usage)
    """What it bills, in full when it begins to write."""
    streams: bool = False


class Faulty:
    """`async with` it: listens on this machine, and answers POST on `paths` with what `made` makes of a request.

    `made(path, body, fault)` is given the body without the fields that the fault ignores. `gets` are JSON by GET, by
    path; /ledger is one of them. Nothing in it is random but what `faults` draw from their own seed.
    """

    def __init__(
        self,
        made: Callable[[str, Mapping[str, Any], Fault], Made],
        *,
        paths: Collection[str],
        gets: Mapping[str, Callable[[], Any]] | None = None,
        faults: Faults = None,
        pace: float = 0.0,
        capacity: int | None = None,
        port: int = 0,
    ) -> None:
        self.ledger = Ledger()
        self.faults = faults
        self.capacity = capacity
        """How many calls it serves at once; more are answered with 429. It may change while it serves."""
        self._made = made
        self._paths = tuple(paths)
        self._gets = {"/ledger": self.summary, **(gets or {})}
        self._pace = pace
        self._port = port
        self._serving = 0
        self._runner: web.AppRunner | None = None

    @property
    def root(self) -> str:
        """The URL without a path."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self: S) -> S:
        app = web.Application(client_max_size=1 << 28)
        for path in self._paths:
            app.router.add_post(path, self._called)
        for path in self._gets:
            app.router.add_get(path, self._got)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _called(self, request: web.Request) -> web.StreamResponse:
        body = msgspec.json.decode(await request.read())
        number = len(self.ledger)
        fault = schedule(self.faults)(number)
        if self.capacity is not None and self._serving >= self.capacity:
            fault = _TOO_MANY
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.ledger.begin(
            Call(
                number=number,
                path=request.path,
                request=body,
                headers=headers,
                started=time.monotonic(),
                fault=fault,
            )
        )
        end = "aborted"
        self._serving += 1
        try:
            response = await self._serve(request, body, number, fault or _NO_FAULT)
            end = "broken" if response is None else "finished"
        except ConnectionError:  # the client went away while we were writing
            response = None
        finally:
            self._serving -= 1
            self.ledger.update(number, end=end, ended=time.monotonic())
        return response or web.Response()  # where the connection is gone, nobody will see this

    async def _serve(
        self, request: web.Request, body: Mapping[str, Any], number: int, fault: Fault
    ) -> web.StreamResponse | None:
        """Answer, or break the connection and return None."""
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.reset == "before":
            _break(request, reset=True)
            return None
        made = self._answered(request.path, body, fault)
        self.ledger.update(number, billed=made.usage)
        response = web.StreamResponse(status=made.status, headers=fault.headers)
        response.content_type = fault.content_type or ("text/event-stream" if made.streams else "application/json")
        if not made.streams:
            response.content_length = sum(map(len, made.pieces))
        await response.prepare(request)
        self.ledger.update(number, status=response.status)
        if fault.reset == "after":
            _break(request, reset=True)
            return None
        if not await self._write(response, made.pieces, fault, pace=self._pace if made.streams else 0.0):
            _break(request, reset=False)
            return None
        await response.write_eof()
        return response

    def _answered(self, path: str, body: Mapping[str, Any], fault: Fault) -> Made:
        """What is answered, by the fault or by `made`."""
        body = {field: value for field, value in body.items() if field not in fault.ignore}
        unwelcome = next((field for field in fault.refuse if body.get(field) not in (None, False)), None)
        refused = fault.status if fault.status != 200 else 400 if unwelcome else None
        if fault.body is not None:
            return Made(pieces=[fault.body], status=refused or 200)
        if refused is not None:
            return refusal(refused, f"{unwelcome} is not supported" if unwelcome else f"this is fault {refused}")
        made = self._made(path, body, fault)
        if fault.change is None or made.streams:
            return made
        changed = json.dumps(fault.change(json.loads(b"".join(made.pieces)))).encode()
        return Made(pieces=[changed], status=made.status, usage=made.usage)

    async def _write(self, response: web.StreamResponse, pieces: Sequence[bytes], fault: Fault, *, pace: float) -> bool:
        """Write the body; False where a fault cuts it short."""
        size = sum(map(len, pieces))
        stall_at, silence = fault.stall or (None, 0.0)
        for offset, part in _split(_cut(pieces, fault.pieces), {fault.cut, stall_at}):
            if offset == fault.cut:
                return False
            if offset == stall_at:
                await asyncio.sleep(silence)
            await response.write(part)
            if pace or fault.pieces:
                await asyncio.sleep(pace)
        return size != fault.cut

    async def _got(self, request: web.Request) -> web.Response:
        return web.json_response(body=msgspec.json.encode(self._gets[request.path]()))

    def summary(self) -> dict[str, Any]:
        """The ledger in numbers."""
        ledger = self.ledger
        return {
            "started": len(ledger.calls),
            "finished": len(ledger.finished),
            "aborted": len(ledger.aborted),
            "open": len(ledger.open),
            "most_at_once": ledger.most_at_once,
            "prompt_tokens": ledger.billed.prompt_tokens,
            "completion_tokens": ledger.billed.completion_tokens,
        }


def refusal(status: int, message: str, kind: str = "fault") -> Made:
    """An error in OpenAI's shape."""
    error = {"message": message, "type": kind, "param": None, "code": status}
    return Made(pieces=[msgspec.json.encode({"error": error})], status=status)


def _cut(pieces: Sequence[bytes], sizes: Sequence[int]) -> Sequence[bytes]:
    """The same bytes in pieces of these sizes, over and over; as they are without sizes."""
    if not sizes:
        return pieces
    whole, begin = b"".join(pieces), 0
    cut: list[bytes] = []
    for size in cycle(sizes):
        if begin >= len(whole):
            return cut
        cut.append(whole[begin : begin + size])
        begin += size
    return cut


def _split(pieces: Sequence[bytes], marks: Collection[int | None]) -> Iterator[tuple[int, bytes]]:
    """The pieces with their offsets, cut once more wherever a mark lies inside of one."""
    begin = 0
    for piece in pieces:
        end = begin + len(piece)
        bounds = [begin, *sorted(mark for mark in marks if mark is not None and begin < mark < end), end]
        for first, last in pairwise(bounds):
            yield first, piece[first - begin : last - begin]
        begin = end


def _break(request: web.Request, *, reset: bool) -> None:
    """Close the client's connection; `reset` so that it learns of it as a reset and not as an end."""
    transport = request.transport
    if transport is None:
        return
    if reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
