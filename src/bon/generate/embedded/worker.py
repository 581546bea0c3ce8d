"""The worker process: reads requests on its standard input, steps the engine, writes replies on its standard output.

`step()` of openvino-genai holds the interpreter's lock for tens of milliseconds, which no event loop could bear.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from typing import BinaryIO

from bon.errors import BonError
from bon.generate.embedded.wire import Broken, Cancel, Draw, Open, Request, decode_request, read_frame, write_frame

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until standard input ends, which it does with the parent at the latest."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to decide
    _die_with_parent()
    requests, replies = _take_over_pipes()
    first = read_frame(requests)
    opened = decode_request(first) if first is not None else None
    if not isinstance(opened, Open):
        return
    inbox: queue.SimpleQueue[Request] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, inbox), daemon=True).start()
    try:
        _serve(opened, inbox, replies)
    except BonError as error:
        write_frame(replies, Broken(message=str(error)))
    except BrokenPipeError:
        pass
    replies.close()
    os._exit(0)  # the library's threads and allocators have nothing to put in order


def _serve(opened: Open, inbox: queue.SimpleQueue[Request], replies: BinaryIO) -> None:
    from bon.generate.embedded.engine import Engine
    from bon.generate.embedded.load import load

    engine = Engine(load(opened))
    while True:
        while engine.idle or not inbox.empty():
            request = inbox.get()
            if isinstance(request, Cancel):
                engine.cancel(request.id)
            elif isinstance(request, Draw) and (refused := engine.add(request)):
                write_frame(replies, refused)
        for reply in engine.step():
            write_frame(replies, reply)


def _receive(requests: BinaryIO, inbox: queue.SimpleQueue[Request]) -> None:
    while (frame := read_frame(requests)) is not None:
        inbox.put(decode_request(frame))
    os._exit(0)


def _take_over_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes to the parent, moved to where no library that prints can write into them."""
    requests, replies = os.dup(0), os.dup(1)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123  # a descriptor, not a path
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return os.fdopen(requests, "rb"), os.fdopen(replies, "wb")


def _die_with_parent() -> None:
    """On Linux the kernel ends us with the parent, even one that is killed while we are in a long step."""
    if sys.platform == "linux":
        import ctypes

        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before we could ask
            os._exit(0)


if __name__ == "__main__":
    main()
