"""What tells one model on this disk from another, and from what it was before: nothing is read but names and sizes."""

from __future__ import annotations

from pathlib import Path

from bon.errors import ModelError

__all__ = ["stamp"]


def stamp(path: str | Path) -> dict[str, str | int]:
    """Where a file or a folder really lies, how large it is, and when it was last changed.

    `size` in bytes and `mtime_ns` (the newest) are of all files of a folder. Raises ModelError for what is not there.
    """
    place = Path(path).expanduser().resolve()
    try:
        stats = (
            [file.stat() for file in sorted(place.rglob("*")) if file.is_file()] if place.is_dir() else [place.stat()]
        )
    except OSError as error:
        raise ModelError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
    return {
        "path": str(place),
        "size": sum(stat.st_size for stat in stats),
        "mtime_ns": max((stat.st_mtime_ns for stat in stats), default=0),
    }
