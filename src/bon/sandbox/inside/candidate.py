"""Runs one program that nobody trusts: as a script, or as functions that answer the calls of its tests.

It knows no test and gives no verdict. Whoever calls decides what an answer is worth; the program may say what it likes.
"""

from __future__ import annotations

import os
import resource
import sys

from bon.sandbox.inside.codec import CodecError, receive, send
from bon.sandbox.inside.confine import Confinement, confine

__all__ = ["limit", "main"]


def limit(limits: dict[str, int]) -> None:
    """Lower this process's limits for good: "as", "cpu", "fsize", "nofile", "nproc", in the units of setrlimit."""
    for name, value in {**limits, "core": 0}.items():
        number = getattr(resource, f"RLIMIT_{name.upper()}")
        # A second between the signal of the soft limit on CPU time, which names what happened, and the hard one.
        hard = value + 1 if name == "cpu" else value
        most = resource.getrlimit(number)[1]
        if most != resource.RLIM_INFINITY:
            hard, value = min(hard, most), min(value, most)  # noqa: PLW2901
        resource.setrlimit(number, (value, hard))


def main(arguments: tuple[int, dict[str, int], Confinement | None]) -> None:
    """Take what to do from a channel, and do it.

    `arguments` are the channel's file descriptor, the limits to keep, and what to confine itself with.
    """
    channel, limits, confinement = arguments
    limit(limits)
    if confinement:
        confine(confinement)
    os.write(channel, b"+")  # ready: whatever goes wrong from here on is the program's doing
    task, program = receive(channel)
    if task == "script":
        os.close(channel)
        names = {"__name__": "__main__", "__builtins__": __builtins__}
        exec(compile(program, "<program>", "exec"), names)  # noqa: S102  # what all of this is for
        return
    module = type(sys)("candidate")  # not __main__: what a program does only as a script is not wanted here
    sys.modules["candidate"] = module
    try:
        exec(compile(program, "<program>", "exec"), module.__dict__)  # noqa: S102
    except BaseException as error:  # noqa: BLE001  # sys.exit too
        send(channel, _raised(error))
    else:
        send(channel, ("returned", None))
    kept: list[object] = []
    while True:
        try:
            name, args, keywords = receive(channel, kept)
        except (EOFError, OSError):
            os._exit(0)  # at once: there is nobody to see what it would still do
        try:
            value = _called(module.__dict__, name, args, keywords)
            sys.stdout.flush()  # what it printed is out before its process is ended
            send(channel, ("returned", value), kept=kept)
        except BaseException as error:  # noqa: BLE001  # sys.exit too
            send(channel, _raised(error))


def _called(names: dict[str, object], name: object, args: tuple[object, ...], keywords: dict) -> object:  # type: ignore[type-arg]
    """What a function of the program gives; with an object in place of a name, that object called, or a part of it."""
    if name is None:
        return getattr(*args)  # type: ignore[call-overload]
    if not isinstance(name, str):
        return name(*args, **keywords)  # type: ignore[operator]
    if name not in names:
        raise NameError(f"name {name!r} is not defined")
    return names[name](*args, **keywords)  # type: ignore[operator]


def _raised(error: BaseException) -> tuple[str, tuple[str, ...], str]:
    """An exception as plain values: the names of its class and of those above, and what it says."""
    try:
        says = str(error)[:500]
    except BaseException:  # noqa: BLE001  # the program's own class
        says = ""
    if isinstance(error, CodecError):
        return ("raised", ("CodecError",), says)
    return ("raised", tuple(cls.__name__ for cls in type(error).__mro__), says)
