"""Plain values as bytes and back: all that crosses the border of a sandbox, typed, bounded, and never pickled.

What crosses: None, bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict and range; of a subclass
the plain value that it holds; of an iterator the items that are left in it, as an iterator. Of anything else that a
program returns there arrives an `Opaque`, and where that goes back it is the object again. Nothing that arrives has
behaviour of its own: of an object whose `__eq__` always says yes there comes something that equals nothing.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes as long to import as everything else together
    from collections.abc import Callable
    from typing import Any, ClassVar

__all__ = ["CodecError", "Opaque", "decode", "encode", "receive", "send"]

LIMIT = 8 << 20
"""Bytes that one message may have."""
DEPTH = 100
"""How deep values may be nested."""
_SEQUENCES = ((tuple, b"t"), (list, b"l"), (set, b"e"), (frozenset, b"z"))
_BUILDERS = {b"t": tuple, b"l": list, b"e": set, b"z": frozenset, b"g": iter}


class CodecError(ValueError):
    """A value that cannot cross, or bytes that are no value."""


class Opaque:
    """What stands for a value that cannot cross: it is as true as that said of itself, and equals only itself."""

    __slots__ = ("opaque_kind", "opaque_place", "opaque_truth")  # it takes no attribute that the value would not have
    ask: ClassVar[Callable[[object], object] | None] = None
    """How whoever has the value is asked: for what it gives when called, and for an attribute. Set where tests run."""

    def __init__(self, kind: str, truth: bool, place: int) -> None:
        self.opaque_kind = kind
        self.opaque_truth = truth
        self.opaque_place = place
        """Where whoever has the value keeps it."""

    def __bool__(self) -> bool:
        return self.opaque_truth

    def __call__(self, *args: object, **keywords: object) -> object:
        if Opaque.ask is None:
            raise TypeError(f"{self!r} cannot be called")
        return Opaque.ask((self, args, keywords))

    def __getattr__(self, name: str) -> object:
        if Opaque.ask is None or name.startswith("__"):  # what Python looks for by itself there is none of
            raise AttributeError(f"{self!r} has no {name!r}")
        return Opaque.ask((None, (self, name), {}))

    def __repr__(self) -> str:
        return f"<an object of type {self.opaque_kind}>"


def encode(value: object, *, kept: list[object] | None = None) -> bytes:
    """The bytes of a value. Raises `CodecError` for what cannot cross: too big, or too deep.

    A value of another type cannot cross either; with a list to be `kept` in it does, as `Opaque`.
    """
    encoder = _Encoder(kept)
    encoder.put(value, DEPTH)
    return b"".join(encoder.pieces)


class _Encoder:
    def __init__(self, kept: list[object] | None) -> None:
        self.pieces: list[bytes] = []
        self.kept = kept
        self.size = 0

    def add(self, tag: bytes, body: bytes = b"", count: int | None = None) -> None:
        self.size += 5 + len(body)
        if self.size > LIMIT:
            raise CodecError(f"a value of more than {LIMIT:,} bytes cannot cross the border of a sandbox")
        length = len(body) if count is None else count
        self.pieces.append(tag + length.to_bytes(4, "big") + body)

    def put(self, value: object, depth: int) -> None:  # noqa: C901, PLR0911, PLR0912  # a line a type
        if not depth:
            raise CodecError(f"a value nested deeper than {DEPTH} cannot cross the border of a sandbox")
        if value is None:
            return self.add(b"N")
        if value is True or value is False:
            return self.add(b"T" if value else b"F")
        if isinstance(value, int):
            if int.bit_length(value) > LIMIT:
                raise CodecError(f"a number of more than {LIMIT:,} bits cannot cross the border of a sandbox")
            return self.add(b"i", b"%x" % int.__index__(value) if value >= 0 else b"-%x" % -int.__index__(value))
        if isinstance(value, float):
            return self.add(b"f", float.hex(value).encode())
        if isinstance(value, complex):
            return self.add(b"c", f"{float.hex(value.real)} {float.hex(value.imag)}".encode())
        if isinstance(value, str):
            return self.add(b"s", str.encode(value, "utf-8", "surrogatepass"))
        if isinstance(value, bytes | bytearray):
            return self.add(b"b", bytes(value))
        if isinstance(value, range):
            return self.many(b"r", [value.start, value.stop, value.step], depth)
        if isinstance(value, dict):
            items = list(dict.items(value))
            return self.many(b"d", [part for item in items for part in item], depth)
        for kind, tag in _SEQUENCES:
            if isinstance(value, kind):
                return self.many(tag, list(kind.__iter__(value)), depth)  # type: ignore[arg-type]
        if hasattr(type(value), "__next__"):
            return self.iterator(value, depth)
        if isinstance(value, Opaque):
            return self.many(b"k", [value.opaque_place], depth)
        if self.kept is not None:
            self.kept.append(value)
            return self.many(b"o", [type(value).__name__[:100], bool(value), len(self.kept) - 1], depth)
        raise CodecError(f"a value of type {type(value).__name__} cannot cross the border of a sandbox")

    def many(self, tag: bytes, items: list[object], depth: int) -> None:
        self.add(tag, count=len(items))
        for item in items:
            self.put(item, depth - 1)

    def iterator(self, value: object, depth: int) -> None:
        place = len(self.pieces)
        count = 0
        for item in value:  # type: ignore[attr-defined]  # an endless one ends at the limit of bytes
            self.put(item, depth - 1)
            count += 1
        self.pieces.insert(place, b"g" + count.to_bytes(4, "big"))


def decode(data: bytes, kept: list[object] | None = None) -> Any:
    """The value of some bytes, of whoever wrote them. Raises `CodecError` for bytes that are no value.

    Of an `Opaque` that comes back there arrives what was `kept`.
    """
    decoder = _Decoder(data, kept or [])
    try:
        value = decoder.get(DEPTH)
    except CodecError:
        raise
    except (ValueError, TypeError, LookupError, OverflowError, MemoryError) as error:  # a set of lists, no digits
        raise CodecError(f"bytes that are no value: {error}") from None
    if decoder.place != len(data):
        raise CodecError("bytes that are no value: there are more than one value has")
    return value


class _Decoder:
    def __init__(self, data: bytes, kept: list[object]) -> None:
        self.data = data
        self.kept = kept
        self.place = 0

    def take(self, count: int) -> bytes:
        end = self.place + count
        if end > len(self.data):
            raise CodecError("bytes that are no value: they end too early")
        taken = self.data[self.place : end]
        self.place = end
        return taken

    def get(self, depth: int) -> Any:  # noqa: C901, PLR0911  # a line a type
        if not depth:
            raise CodecError(f"bytes that are no value: nested deeper than {DEPTH}")
        tag, length = self.take(1), int.from_bytes(self.take(4), "big")
        if tag in b"NTF":
            return {b"N": None, b"T": True, b"F": False}[tag]
        if tag == b"i":
            return int(self.take(length), 16)
        if tag == b"f":
            return float.fromhex(self.take(length).decode("ascii"))
        if tag == b"c":
            real, _, imaginary = self.take(length).decode("ascii").partition(" ")
            return complex(float.fromhex(real), float.fromhex(imaginary))
        if tag == b"s":
            return self.take(length).decode("utf-8", "surrogatepass")
        if tag == b"b":
            return self.take(length)
        items = [self.get(depth - 1) for _ in range(min(length, len(self.data)))]
        if tag == b"d":
            return dict(zip(items[::2], items[1::2], strict=True))
        if tag == b"r":
            start, stop, step = items
            return range(start, stop, step)
        if tag == b"o":
            kind, truth, place = items
            return Opaque(str(kind)[:100], truth is True, int(place))
        if tag == b"k":
            return self.kept[int(*items)]
        if tag in _BUILDERS:
            return _BUILDERS[tag](items)  # type: ignore[operator]
        raise CodecError(f"bytes that are no value: {tag!r} is no type")


def send(fd: int, message: object, *, kept: list[object] | None = None) -> None:
    """Write a message whole. Raises `CodecError` for what cannot cross, OSError where nobody listens."""
    data = encode(message, kept=kept)
    left = memoryview(len(data).to_bytes(4, "big") + data)
    while left:
        left = left[os.write(fd, left) :]


def receive(fd: int, kept: list[object] | None = None) -> Any:
    """Read a message whole. Raises EOFError where there is none, `CodecError` for bytes that are no message."""
    length = int.from_bytes(_read(fd, 4), "big")
    if length > LIMIT:
        raise CodecError(f"a message of {length:,} bytes; there are at most {LIMIT:,}")
    return decode(_read(fd, length), kept)


def _read(fd: int, count: int) -> bytes:
    pieces = []
    while count:
        piece = os.read(fd, min(count, 1 << 20))
        if not piece:
            raise EOFError("the other side has left")
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
