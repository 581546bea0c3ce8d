"""Server-sent events out of a stream of bytes, cut anywhere: the WHATWG format's data fields, and nothing of chats."""

from __future__ import annotations

import re

__all__ = ["EventReader"]

_LINE_END = re.compile(rb"\r\n|\r|\n")


class EventReader:
    """Reads events as bytes come in; what is fed may be cut at any byte.

    An event counts only when its closing empty line has arrived: the format drops one that is cut off, and so do we.
    Comments, and fields other than `data`, are read over.
    """

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[bytes] = []
        self._after_return = False
        self._first = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of each event that these bytes complete, in order."""
        if not chunk:
            return []
        if self._after_return:
            chunk = chunk.removeprefix(b"\n")  # the other half of a \r\n that was cut in two
        self._after_return = chunk.endswith(b"\r")
        *lines, rest = _LINE_END.split(chunk)
        events = []
        for piece in lines:
            line = b"".join((*self._line, piece))
            self._line.clear()
            if line:
                self._field(line)
            elif self._data:
                events.append(b"\n".join(self._data))
                self._data.clear()
            self._first = False
        self._line.append(rest)  # a long line in small pieces is joined once, at its end
        return events

    def _field(self, line: bytes) -> None:
        if self._first:
            line = line.removeprefix(b"\xef\xbb\xbf")
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
