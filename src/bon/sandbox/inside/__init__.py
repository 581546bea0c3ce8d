"""What runs inside a sandbox, under Python 3.10 or later, and how it gets there: through a socket, never as files.

The modules of this room import nothing but the standard library and each other. A bare Python reads those that are
needed from the socket that it is given, so that a sandbox needs neither bon's folder nor a file of its own.
"""

from __future__ import annotations

import marshal
import subprocess
from functools import cache
from importlib.util import MAGIC_NUMBER
from pathlib import Path

__all__ = ["command", "modules"]

_ROOM = "bon.sandbox.inside"
_START = """\
import marshal, os, sys
def read(count):
    data = b""
    while len(data) < count:
        data += os.read({fd}, count - len(data)) or sys.exit(1)
    return data
for name, body in marshal.loads(read(int.from_bytes(read(4), "big"))):
    module = sys.modules[name] = type(sys)(name)
    exec(body, module.__dict__)
del read, name, body
module.main({arguments!r})
"""


def command(python: Path, fd: int, arguments: tuple[object, ...]) -> list[str]:
    """The command of a bare Python that reads `modules` from a descriptor and calls `main` of the last of them."""
    # Without site (-S, -s) a start takes half the time, and a program sees the standard library alone.
    return [str(python), "-S", "-s", "-B", "-c", _START.format(fd=fd, arguments=arguments)]


@cache
def modules(python: Path, *names: str) -> bytes:
    """These modules of the room, in their order, as `command` reads them; compiled where that Python reads our code."""
    rooms = [".".join(_ROOM.split(".")[: depth + 1]) for depth in range(3)]
    found: list[tuple[str, object]] = [(room, "") for room in rooms]
    compiled = _magic(python) == MAGIC_NUMBER.hex()
    for name in names:
        text = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
        found.append((f"{_ROOM}.{name}", compile(text, name, "exec", dont_inherit=True) if compiled else text))
    data = marshal.dumps(found, marshal.version if compiled else 2)  # 2 is what every Python reads
    return len(data).to_bytes(4, "big") + data


@cache
def _magic(python: Path) -> str:
    """The number that a Python's compiled code begins with, "" where it does not say."""
    line = [str(python), "-S", "-s", "-c", "import importlib.util; print(importlib.util.MAGIC_NUMBER.hex())"]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
