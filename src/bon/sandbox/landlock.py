"""The Landlock profile, for machines without namespaces for users: what a confined Python may read; it writes nothing.

Landlock keeps files and ports, a filter of calls the rest: no sockets, no other process, no other program.
"""

from __future__ import annotations

from pathlib import Path

from bon.sandbox.bubblewrap import files_of

__all__ = ["readable"]

_SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/dev/null", "/dev/urandom")


def readable(python: Path) -> list[str]:
    """The folders and files that a confined Python needs to run its standard library."""
    return [path for path in (*_SYSTEM, *map(str, files_of(python))) if Path(path).exists()]
