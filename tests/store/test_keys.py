"""The keys of the cache: whatever differs has another, whatever is the same JSON has the same."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bon.store.keys import Keys, exact, keys_of

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: numbers by their value, objects whatever the order of their keys."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


@given(values, values)
def test_two_values_have_one_key_if_and_only_if_they_are_the_same_json(one: Any, other: Any) -> None:
    assert (Keys(one)(b"[1]") == Keys(other)(b"[1]")) == same(one, other)


def respelt(value: Any) -> Any:
    """The same JSON, spelt otherwise: keys in another order, whole numbers as floats and the other way round."""
    if isinstance(value, dict):
        return {key: respelt(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return tuple(respelt(inner) for inner in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    return value


@given(values)
def test_key_order_and_the_spelling_of_numbers_change_nothing(value: Any) -> None:
    assert Keys(respelt(value))(b"[]") == Keys(value)(b"[]")


@given(st.lists(values, max_size=3), st.lists(values, max_size=3))
@example([None], [None, None])
def test_parts_are_not_mistaken_for_one_another(one: list[Any], other: list[Any]) -> None:
    assume(not same(one, other))
    assert Keys("x", *one)(exact(other)) != Keys("x", *other)(exact(one))


def test_it_is_the_hash_of_the_json_of_all_parts() -> None:
    whole = json.dumps([["x", {"a": 1, "b": "ü"}, []], [7, 8]], separators=(",", ":"), ensure_ascii=False)
    assert Keys("x", {"b": "ü", "a": 1.0}, ())(exact([7, 8])) == hashlib.sha256(whole.encode()).digest()


class _Table(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        return {"b": 2, "a": 1}[key]

    def __iter__(self) -> Any:
        return iter(("b", "a"))

    def __len__(self) -> int:
        return 2


def test_numpys_numbers_and_any_mapping_are_what_they_hold() -> None:
    assert exact([np.float64(2), np.int64(3), np.array([1.0, 2.5]), _Table()]) == b'[2,3,[1,2.5],{"a":1,"b":2}]'


@pytest.mark.parametrize("value", [math.nan, math.inf, "half \ud83d", object(), {1, 2}, b"bytes", [[math.nan]]])
def test_what_json_cannot_hold_exactly_has_no_keys(value: Any) -> None:
    assert keys_of("x", {"y": value}) is None


def test_a_value_inside_of_itself_has_no_keys() -> None:
    value: list[Any] = []
    value.append(value)
    assert keys_of(value) is None
