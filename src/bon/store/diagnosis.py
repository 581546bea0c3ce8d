"""What is wrong with a line that cannot be used, in words for people and in one for programs; pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

__all__ = ["BadLine", "OnBad", "bad", "beginning", "diagnosed"]

_SHOWN = 200
"""Characters of a bad line that are shown, and kept."""
_WIDEST = 4
"""Bytes of a character of UTF-8, at the most."""

_GZIP = b"\x1f\x8b"
_PLACE = re.compile(r"\(byte (\d+)\)")
_NO_NUMBER = re.compile(rb"-?(NaN|Infinity)")
_HALF = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
_FIRST_ID = re.compile(rb'\s*\{\s*"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)\s*[,}]')


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line of an input that cannot be used, and why."""

    line: int
    """Its number: from 1, blank lines counted."""
    error: str
    """"not_json", "not_utf8", "truncated" (the last line, cut short), "too_long", "too_deep", "invalid" (JSON, but not
    what is wanted), "duplicate_id", or "damaged" (compressed data that could not be read from this line on)."""
    message: str
    """What is wrong and what to do."""
    id: str | None = None
    """Of the row, where it could be read."""
    text: str = ""
    """The beginning of the line: 200 characters at the most."""


OnBad: TypeAlias = Callable[[BadLine], None]
"""Is handed each line that cannot be used; what it raises ends the reading."""


def bad(number: int, data: bytes, error: str, message: str) -> BadLine:
    """The bad line that begins with `data`."""
    return BadLine(line=number, error=error, message=message, id=_id_of(data), text=beginning(data))


def diagnosed(number: int, data: bytes, error: BaseException, *, ended: bool) -> BadLine:
    """What `error`, which decoding a line has raised, says of it; `ended`: a newline follows."""
    return bad(number, data, *_problem(number, data, error, ended=ended))


def beginning(data: bytes) -> str:
    """The first characters of a line; what is no UTF-8 is shown as U+FFFD."""
    return data[: _SHOWN * _WIDEST].decode(errors="replace")[:_SHOWN]


def _problem(number: int, data: bytes, error: BaseException, *, ended: bool) -> tuple[str, str]:
    """The word and the message."""
    if isinstance(error, msgspec.ValidationError):
        return "invalid", _field(str(error))
    if isinstance(error, msgspec.DecodeError | UnicodeDecodeError) and (seen := _disguised(number, data)):
        return seen
    if isinstance(error, UnicodeDecodeError):
        return "not_utf8", f"not UTF-8 text ({error.reason}); save the file as UTF-8"
    if isinstance(error, msgspec.DecodeError):
        return _syntax(data, str(error), ended=ended)
    if isinstance(error, RecursionError):
        return "too_deep", "JSON nested too deeply; correct or remove this line"
    return "invalid", str(error)


def _field(text: str) -> str:
    what, _, where = text.partition(" - at ")
    where = where.strip("`").removeprefix("$").removeprefix(".")
    return f"field {where!r}: {_lowered(what)}" if where else f"{_lowered(what)}; each line holds one JSON object"


def _disguised(number: int, data: bytes) -> tuple[str, str] | None:
    """What is no text in UTF-8 at all."""
    if number == 1 and data.startswith(_GZIP):
        return "not_json", "compressed data: give the file a name that ends in .gz, or pipe it through gunzip -c"
    if not data.strip(b"\0"):
        return "not_json", "nothing but NUL bytes, as a crash or a full disk leaves them; remove this line"
    head = data[: _SHOWN * _WIDEST]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or 3 * max(head[::2].count(0), head[1::2].count(0)) > len(head) > 1:
        return "not_utf8", "not UTF-8 text (it looks like UTF-16); save the file as UTF-8"
    if b"\0" in data:
        return "not_json", "not valid JSON (it holds a NUL byte); correct or remove this line"
    return None


def _syntax(data: bytes, said: str, *, ended: bool) -> tuple[str, str]:
    cut = said == "Input data was truncated"
    if cut and (half := _HALF.search(data)):
        what = f"half of a surrogate pair, {half.group().decode()}, stands for no character"
    elif cut and not ended:
        why = "its writer was stopped, or is not done yet, or the file was not copied whole"
        return "truncated", f"the last line is cut short: {why}; get the rest of it, or remove it"
    elif found := _PLACE.search(said):
        place = int(found.group(1))
        number = _NO_NUMBER.match(data, place - (data[place - 1 : place] == b"-"))
        what = f"{number.group().decode()} is no JSON number: write null, or leave it out" if number else _lowered(said)
    else:
        what = _lowered(said)
    if b"\r" in data:
        what += "; it holds carriage returns without line feeds, as old Macs ended lines: end them with line feeds"
    return "not_json", f"not valid JSON ({what}); correct or remove this line (one JSON object a line)"


def _lowered(text: str) -> str:
    text = _PLACE.sub(r"at byte \1", text.removeprefix("JSON is malformed: "))
    return text[:1].lower() + text[1:]


class _Key(msgspec.Struct):
    id: str | int | None = None


def _id_of(data: bytes) -> str | None:
    """The id of a row that is otherwise wrong: of a whole object, or of half a one that begins with it."""
    try:
        id_ = msgspec.json.decode(data, type=_Key).id
    except (ValueError, RecursionError):
        found = _FIRST_ID.match(data)
        if found is None:
            return None
        try:
            id_ = msgspec.json.decode(found.group(1), type=str | int)
        except ValueError:
            return None
    return None if id_ is None else beginning(str(id_).encode(errors="replace"))
