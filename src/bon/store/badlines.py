"""The file beside an output that tells of each input line that could not be used; it reads no input itself."""

from __future__ import annotations

import os
from pathlib import Path

from bon.errors import StoreError
from bon.store.appending import Appender
from bon.store.diagnosis import BadLine
from bon.store.lines import PathLike
from bon.store.plain import encode

__all__ = ["BadLines", "errors_path"]


def errors_path(output: PathLike) -> Path:
    """Where the bad lines of an output's input are told of: beside it."""
    return Path(f"{os.fspath(output)}.errors.jsonl")


class BadLines:
    """Call it with each `BadLine` that a run meets: it becomes a row of `<output>.errors.jsonl`.

    Entering it throws away what an earlier run has left, so a run that meets none leaves no such file. A row is
    `{"line", "error", "message", "id", "text"}`, see `BadLine`; each is written as it is met, whole or not at all.

    Raises `StoreError` where it cannot be written.
    """

    def __init__(self, output: PathLike) -> None:
        self.path = errors_path(output)
        self.count = 0
        """How many there were so far."""
        self.first: BadLine | None = None
        self._file = Appender(self.path)

    def __call__(self, line: BadLine) -> None:
        if not self.count:
            self.path.parent.mkdir(parents=True, exist_ok=True)  # an output that is a folder may not be there yet
        self._file.append(encode(line))
        self.count += 1
        self.first = self.first or line

    def __enter__(self) -> BadLines:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}; remove it, or mend its permissions") from error
        self.count, self.first = 0, None
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()
