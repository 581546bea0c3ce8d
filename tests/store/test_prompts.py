from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import DataError
from bon.store.prompts import content_id, dump_prompt, parse_prompt, read_prompts, write_prompts
from bon.types import Prompt, as_messages


def _file(folder: Path, *rows: Any, name: str = "prompts.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_text_becomes_one_user_message(tmp_path: Path) -> None:
    (prompt,) = read_prompts(_file(tmp_path, {"id": "p", "prompt": "Why?"}))
    assert prompt == Prompt(id="p", messages=({"role": "user", "content": "Why?"},))


def test_everything_a_prompt_may_have_is_kept(tmp_path: Path) -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": "u"}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "t", "function": {"name": "f"}}]},
        {"role": "tool", "tool_call_id": "t", "content": "4", "name": "f"},
    ]
    row = {"id": 7, "messages": messages, "request": {"temperature": 0}, "reference": "4", "metadata": {"level": 1}}
    (prompt,) = read_prompts(_file(tmp_path, row))
    assert prompt == Prompt(
        id="7", messages=tuple(messages), request={"temperature": 0}, reference="4", metadata={"level": 1}
    )


@pytest.mark.parametrize(("given_", "kept"), [(4, "4"), (18.5, "18.5"), (-3, "-3"), (10**30, "1" + "0" * 30)])
def test_a_number_as_reference_becomes_text(tmp_path: Path, given_: float, kept: str) -> None:
    (prompt,) = read_prompts(_file(tmp_path, {"prompt": "?", "reference": given_}))
    assert prompt.reference == kept


def test_a_text_file_has_one_prompt_a_line(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("Why?\n\n  How many über-dogs? {}\r\n", encoding="utf-8")
    assert [prompt.text for prompt in read_prompts(path)] == ["Why?", "How many über-dogs? {}"]


def test_ids_do_not_depend_on_the_order_of_lines(tmp_path: Path) -> None:
    rows = [{"prompt": f"What is {n} + 1?", "reference": n + 1} for n in range(20)]
    forward = {p.id: p.text for p in read_prompts(_file(tmp_path, *rows))}
    backward = {p.id: p.text for p in read_prompts(_file(tmp_path, *reversed(rows)))}
    assert forward == backward
    assert len(forward) == 20


def test_what_is_asked_makes_the_id() -> None:
    messages = as_messages("Why?")
    ids = {
        content_id(messages),
        content_id(as_messages("How?")),
        content_id(messages, {"temperature": 0}),
        content_id(messages, {}, "4"),
    }
    assert len(ids) == 4
    assert content_id([{"content": "Why?", "role": "user"}]) == content_id(messages)
    assert content_id(as_messages("half an emoji: \ud83d")) == content_id(as_messages("half an emoji: \ufffd"))
    asked = b'[[{"content":"Why?","role":"user"}],{},null]'  # part of the format: old files must still resume
    assert content_id(messages) == hashlib.sha256(asked).hexdigest()[:16]


@pytest.mark.parametrize("rows", [({"id": "a", "prompt": "1"}, {"id": "a", "prompt": "2"}), ({"prompt": "1"},) * 2])
def test_an_id_that_is_there_twice_names_both_lines(tmp_path: Path, rows: tuple[Any, ...]) -> None:
    path = _file(tmp_path, {"prompt": "x"}, rows[0], {"prompt": "y"}, rows[1])
    with pytest.raises(DataError) as caught:
        list(read_prompts(path))
    assert str(caught.value).startswith(f"{path}:4: ")
    assert "line 2" in str(caught.value)


def test_a_number_and_its_text_are_the_same_id(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=":2: the id '1'"):
        list(read_prompts(_file(tmp_path, {"id": 1, "prompt": "a"}, {"id": "1", "prompt": "b"})))


def test_other_keys_are_kept_in_the_metadata(tmp_path: Path) -> None:
    (prompt,) = read_prompts(_file(tmp_path, {"prompt": "?", "level": 3, "prompts": 2, "metadata": {"subject": "x"}}))
    assert prompt.metadata == {"level": 3, "prompts": 2, "subject": "x"}


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"promt": "?"}, "did you mean 'prompt'"),
        ({"prompt": "?", "refrence": "4"}, "did you mean 'reference'"),
        ({"mesages": []}, "did you mean 'messages'"),
        ({"prompt": "?", "level": 1, "metadata": {"level": 2}}, "'level' is given twice"),
        ({"prompt": "?", "request": [1]}, "field 'request': expected `object`, got `array`"),
        ({"prompt": "?", "metadata": "x"}, "field 'metadata': expected `object`"),
        ({"prompt": "?", "reference": True}, "field 'reference': expected `int | float | str | null`, got `bool`"),
        ({"prompt": ["?"]}, "field 'prompt': expected `str | null`, got `array`"),
        ({"messages": ["?"]}, "field 'messages[0]': expected `object`"),
        ({"id": "x"}, "neither `prompt` nor `messages`"),
        ({"prompt": "?", "messages": [{"role": "user", "content": "?"}]}, "both `prompt` and `messages`"),
        ({"messages": []}, "`messages` is empty"),
        ({"messages": [{"content": "?"}]}, "messages[0] has no role"),
        ({"messages": [{"role": "user", "content": {"text": "?"}}]}, "messages[0]: content is"),
        ({"prompt": ""}, "the prompt is empty"),
        ({"id": "p", "messages": [{"role": "user", "content": "?"}], "candidates": []}, "a pool, not a prompt"),
    ],
)
def test_what_is_no_prompt_says_what_is_wrong(tmp_path: Path, row: Any, what: str) -> None:
    path = _file(tmp_path, {"prompt": "fine"}, row)
    prompts = read_prompts(path)
    assert next(prompts).text == "fine"
    with pytest.raises(DataError) as caught:
        next(prompts)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert what in str(caught.value)


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_objects = st.dictionaries(st.text(), _json, max_size=3)
_messages = st.builds(
    lambda role, content, extra: {**extra, "role": role, "content": content},
    st.sampled_from(["user", "system", "assistant"]),
    st.text(min_size=1),
    _objects,
)


@given(
    st.builds(
        Prompt,
        id=st.text(),
        messages=st.lists(_messages, min_size=1, max_size=3).map(tuple),
        request=_objects,
        reference=st.none() | st.text(),
        metadata=_objects,
    )
)
def test_a_prompt_survives_the_disk(prompt: Prompt) -> None:
    line = dump_prompt(prompt)
    assert b"\n" not in line
    assert parse_prompt(line) == prompt


def test_files_are_written_as_people_write_them(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    prompts = [
        Prompt(id="a", messages=as_messages("Why?")),
        Prompt(id="b", messages=({"role": "user", "content": "x", "name": "Ann"},), reference="4"),
    ]
    write_prompts(path, iter(prompts))
    assert path.read_text() == (
        '{"id":"a","prompt":"Why?"}\n'
        '{"id":"b","messages":[{"role":"user","content":"x","name":"Ann"}],"reference":"4"}\n'
    )
    assert list(read_prompts(path)) == prompts


def test_nan_is_refused_and_never_becomes_null() -> None:
    with pytest.raises(ValueError, match="prompt 'p': request: temperature holds nan"):
        dump_prompt(Prompt(id="p", messages=as_messages("?"), request={"temperature": math.nan}))
