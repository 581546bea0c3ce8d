"""What crosses the border of a sandbox: plain values as they were, and nothing with a will of its own."""

from __future__ import annotations

import collections
import contextlib
import enum
import math
import os
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.sandbox.inside import codec
from bon.sandbox.inside.codec import CodecError, Opaque, decode, encode, receive, send

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.complex_numbers(allow_nan=False)
)  # fmt: skip
HASHABLE = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=6)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.sets(HASHABLE, max_size=3)
    ),
    max_leaves=12,
)  # fmt: skip


def same(one: object, other: object) -> bool:
    """Equal and of the same types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))  # type: ignore[arg-type]
    if isinstance(one, float):
        return math.copysign(1, one) == math.copysign(1, other) and one == other  # type: ignore[arg-type]
    return one == other


@given(VALUES)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    assert same(decode(encode(value)), value)


@given(st.binary(max_size=200))
def test_bytes_of_anybody_are_a_value_or_a_codec_error(data: bytes) -> None:
    with contextlib.suppress(CodecError):
        decode(data)


@given(VALUES, st.data())
def test_a_value_cut_or_changed_anywhere_is_another_value_or_a_codec_error(value: Any, data: st.DataObject) -> None:
    whole = encode(value)
    place = data.draw(st.integers(0, len(whole) - 1))
    for broken in (whole[:place], whole[:place] + b"\xff" + whole[place + 1 :], whole + b"N\0\0\0\0"):
        with contextlib.suppress(CodecError):
            decode(broken)


def test_big_numbers_and_odd_floats() -> None:
    assert decode(encode(10**5000)) == 10**5000
    assert decode(encode(-(1 << 70))) == -(1 << 70)
    assert math.isnan(decode(encode(math.nan)))
    assert decode(encode([math.inf, -0.0])) == [math.inf, 0.0]
    assert decode(encode("\udc80")) == "\udc80"
    assert decode(encode(range(3, 9, 2))) == range(3, 9, 2)


def test_subclasses_cross_as_the_plain_value_they_hold() -> None:
    class Yes(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    pair = collections.namedtuple("pair", "a b")(1, 2)
    level = enum.IntEnum("level", {"LOW": 3})
    arrived = decode(encode([Yes(7), collections.Counter("aab"), pair, level.LOW]))
    assert [type(one) for one in arrived] == [int, dict, tuple, int]
    assert arrived == [7, {"a": 2, "b": 1}, (1, 2), 3]


def test_an_iterator_crosses_with_what_is_left_in_it() -> None:
    items = iter([1, 2, 3])
    next(items)
    arrived = decode(encode({"it": items, "after": 4}))
    assert list(arrived["it"]) == [2, 3]
    assert next(decode(encode(x * x for x in (5, 6)))) == 25


def test_anything_else_is_refused_or_stands_for_itself_alone() -> None:
    class Yes:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = object.__hash__

    with pytest.raises(CodecError, match="type Yes cannot cross"):
        encode([Yes()])
    kept: list[object] = []
    arrived = decode(encode(Yes(), kept=kept))
    assert isinstance(arrived, Opaque)
    assert arrived != 4
    assert bool(arrived)
    assert repr(arrived) == "<an object of type Yes>"
    assert decode(encode([arrived]), kept) == kept
    for broken in (
        lambda: arrived.value,
        lambda: setattr(arrived, "value", 4),
        arrived,
        lambda: decode(encode(arrived)),
    ):
        with pytest.raises((AttributeError, TypeError, CodecError)):
            broken()


@pytest.mark.parametrize(
    "value",
    [bytes(codec.LIMIT + 1), [0] * (codec.LIMIT // 5 + 1), 1 << (codec.LIMIT + 1)],
    ids=["bytes", "list", "int"],
)
def test_what_is_too_big_is_refused(value: object) -> None:
    with pytest.raises(CodecError, match="more than"):
        encode(value)


def test_what_is_too_deep_is_refused_on_both_sides() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(CodecError, match="deeper"):
        encode(value)
    with pytest.raises(CodecError, match="deeper"):
        decode(b"l\0\0\0\1" * 5000 + b"N\0\0\0\0")


@pytest.mark.parametrize(
    "data", [b"", b"N", b"q\0\0\0\0", b"e\0\0\0\1l\0\0\0\0", b"i\0\0\0\2zz", b"l\xff\xff\xff\xff", b"r\0\0\0\0"]
)
def test_bytes_that_are_no_value(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(data)


def test_messages_arrive_whole_through_a_pipe() -> None:
    reading, writing = os.pipe()
    message = ("returned", ["x" * 300_000, {1: 2}])
    thread = threading.Thread(target=send, args=(writing, message))  # larger than a pipe holds
    thread.start()
    assert receive(reading) == message
    thread.join()
    os.write(writing, b"\xff\xff\xff\xff")
    with pytest.raises(CodecError, match="4,294,967,295"):
        receive(reading)
    os.write(writing, b"\0\0\0\5N")
    os.close(writing)
    with pytest.raises(EOFError):
        receive(reading)
    os.close(reading)
