"""What runs inside a sandbox, under Python 3.10 or later, and how it gets there: as text, never as files.

The modules of this room import nothing but the standard library and each other. `command` puts the text of those that
are needed on the command line of a bare Python, so that a sandbox needs neither bon's folder nor a file of its own.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

__all__ = ["command"]

_ROOM = "bon.sandbox.inside"
_START = """\
import sys
sys.argv = ["-c"]
def load(name, text):
    module = sys.modules[name] = type(sys)(name)
    exec(compile(text, name, "exec"), module.__dict__)
    return module
for room in {rooms!r}:
    sys.modules[room] = type(sys)(room)
for name, text in {modules!r}:
    loaded = load(name, text)
del load, room, name, text
loaded.main({arguments!r})
"""


@cache
def _text(name: str) -> str:
    return (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")


def command(python: str, *names: str, arguments: tuple[object, ...]) -> list[str]:
    """The command that loads these modules of the room, in their order, and calls `main(arguments)` of the last."""
    rooms = [".".join(_ROOM.split(".")[: depth + 1]) for depth in range(3)]
    modules = [(f"{_ROOM}.{name}", _text(name)) for name in names]
    start = _START.format(rooms=rooms, modules=modules, arguments=arguments)
    # Without site (-S, -s) a start takes half the time, and a program sees the standard library alone.
    return [python, "-S", "-s", "-B", "-c", start]
