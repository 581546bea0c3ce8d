"""Confines the process that calls it, for good: Landlock for files and ports, a filter for system calls.

Used where no namespaces can be had, and by tests, whose own process must not start others.
"""

from __future__ import annotations

__all__ = ["Confinement", "confine", "filter_calls"]

Confinement = tuple[bytes, list[str]]
"""A filter of system calls, and the folders and files that may be read."""

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on all machines
_NO_NEW_PRIVILEGES, _SECCOMP, _DEATH_SIGNAL, _FILTER, _SIGKILL = 38, 22, 1, 2, 9
_EXECUTE, _READ_FILE, _READ_FOLDER = 1, 4, 8
_LEAST = 3
"""The oldest Landlock that keeps files from being truncated."""


def filter_calls(program: bytes) -> None:
    """Install a filter of system calls; it stays, for this process and all that it starts. Raises OSError."""
    import ctypes

    class _Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    libc = ctypes.CDLL(None, use_errno=True)
    _checked(ctypes, libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no new privileges")
    ready = _Program(len(program) // 8, program)
    _checked(ctypes, libc.prctl(_SECCOMP, _FILTER, ctypes.byref(ready), 0, 0), "a filter of system calls")


def confine(confinement: Confinement) -> None:
    """Leave this process nothing but reading what is named; it dies with its parent. Raises OSError."""
    import ctypes
    import os

    program, readable = confinement
    libc = ctypes.CDLL(None, use_errno=True)
    call = libc.syscall
    call.restype = ctypes.c_long

    def checked(*given: object) -> int:
        made = [ctypes.c_long(one) if isinstance(one, int) else one for one in given]
        return _checked(ctypes, call(*made), "Landlock")

    _checked(ctypes, libc.prctl(_DEATH_SIGNAL, _SIGKILL, 0, 0, 0), "a signal at the parent's end")
    _checked(ctypes, libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no new privileges")
    version = checked(_CREATE, None, 0, 1)
    if version < _LEAST:
        raise OSError(f"Landlock {version} is too old: {_LEAST} is needed (Linux 6.2)")
    files = (1 << (16 if version >= 5 else 15)) - 1
    ports, scopes = (3 if version >= 4 else 0), (3 if version >= 6 else 0)
    handled = (ctypes.c_uint64 * 3)(files, ports, scopes)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = checked(_CREATE, ctypes.byref(handled), size, 0)
    for path in readable:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        allowed = _READ_FILE | (_READ_FOLDER | _EXECUTE if os.path.isdir(path) else 0)  # noqa: PTH112  # pathlib is slow
        rule = allowed.to_bytes(8, "little") + fd.to_bytes(4, "little")  # struct landlock_path_beneath_attr is packed
        checked(_ADD, rules, 1, ctypes.c_char_p(rule), 0)
        os.close(fd)
    checked(_RESTRICT, rules, 0)
    os.close(rules)
    filter_calls(program)


def _checked(ctypes: object, result: int, what: str) -> int:
    import os

    if result < 0:
        number = ctypes.get_errno()  # type: ignore[attr-defined]
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
