"""The bubblewrap profile: what a sandboxed Python is started with, so that it sees, reaches and may do next to nothing.

No network, no other process, no file but the system's libraries (read-only), 32 MiB of its own at /tmp, no privilege,
no way to gain one. Everything that could be written to without bound is small or read-only: /, /dev and /tmp.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["NOBODY", "TEMPORARY", "environment", "files_of", "prefix", "unprivileged"]

NOBODY = 65534
"""The user and group that a sandbox runs as where we are root."""
TEMPORARY = 32 << 20
"""Bytes of /tmp."""
_LINKS = ("bin", "lib", "lib64", "lib32", "libx32", "sbin")


def unprivileged() -> list[str]:
    """What to put before a command so that it does not run as root: rlimits on processes do not hold root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all", "--no-new-privs"]


def environment() -> dict[str, str]:
    """The whole environment of a sandboxed process.

    Hashes are the same each time, and so is the order of a set; threads share one arena, since each of their own would
    take 64 MiB of the address space that a program may have.
    """
    shared = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108  # its own
    return {**shared, "PYTHONHASHSEED": "0", "MALLOC_ARENA_MAX": "1"}


def files_of(python: Path) -> list[Path]:
    """What a Python outside /usr needs: itself and its libraries, and not what else lies there, as in one's home."""
    home = python.parent.parent
    if python.is_relative_to("/usr"):
        return []
    return [python, *(path for path in (home / "lib", home / "lib64") if path.is_dir())]


def prefix(python: Path, *, filter_fd: int) -> list[str]:
    """The command line up to the Python that it confines. `filter_fd` is read to its end for the filter of calls."""
    command = [*unprivileged(), shutil.which("bwrap") or "bwrap"]
    command += ["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"]
    # As the first process of its namespace it is bubblewrap's own child: bubblewrap reaps it, and leaves no zombie.
    command += ["--as-pid-1", "--cap-drop", "ALL", "--uid", str(NOBODY), "--gid", str(NOBODY), "--hostname", "sandbox"]
    command += ["--ro-bind", "/usr", "/usr"]
    for name in _LINKS:
        path = Path("/", name)
        if path.is_symlink():
            command += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            command += ["--ro-bind", str(path), str(path)]
    for path in files_of(python):
        command += ["--ro-bind", str(path), str(path)]
    for device in ("/dev/null", "/dev/urandom"):
        command += ["--dev-bind", device, device]
    command += ["--size", str(TEMPORARY), "--perms", "1777", "--tmpfs", "/tmp", "--remount-ro", "/", "--chdir", "/tmp"]  # noqa: S108
    command += ["--clearenv"]
    for name, value in environment().items():
        command += ["--setenv", name, value]
    return [*command, "--seccomp", str(filter_fd), "--"]
