from __future__ import annotations

import io
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import Rejected, UsageError
from bon.generate.embedded.live import _cut, _held_back
from bon.generate.embedded.sampling import is_beam_search, plain_messages, sampling, template_variables
from bon.generate.embedded.wire import (
    Cancel,
    Draw,
    Grown,
    Open,
    Sampling,
    decode_reply,
    decode_request,
    read_frame,
    write_frame,
)


def test_temperature_zero_is_not_dropped_because_it_is_falsy() -> None:
    assert sampling({"temperature": 0}, seed=1).temperature == 0
    assert sampling({}, seed=1).temperature == 1


def test_every_field_arrives() -> None:
    request = {
        "temperature": 0.5, "top_p": 0.8, "top_k": 7, "min_p": 0.1, "max_tokens": 9, "presence_penalty": 0.1,
        "frequency_penalty": -0.2, "repetition_penalty": 1.3, "stop": ["a", "b"], "ignore_eos": True,
        "response_format": {"type": "json_object"},
    }  # fmt: skip
    assert sampling(request, seed=5) == Sampling(
        temperature=0.5, top_p=0.8, top_k=7, min_p=0.1, max_tokens=9, presence_penalty=0.1, frequency_penalty=-0.2,
        repetition_penalty=1.3, stop=("a", "b"), ignore_eos=True, json_schema='{"type": "object"}', seed=5,
    )  # fmt: skip


def test_other_spellings() -> None:
    assert sampling({"stop": "x"}, seed=0).stop == ("x",)
    assert sampling({"top_k": 0}, seed=0).top_k is None
    assert sampling({"max_completion_tokens": 3}, seed=0).max_tokens == 3
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    asked = sampling(
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}, seed=0
    )
    assert list(json.loads(asked.json_schema or "")["properties"]) == ["b", "a"]  # the order is the order of the answer
    assert sampling({"logprobs": True, "user": "me", "n": 1, "response_format": {"type": "text"}}, seed=0) == Sampling()


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"temperature": -1}, "temperature=-1"),
        ({"temperature": "hot"}, "temperature='hot'"),
        ({"temperature": True}, "temperature=True"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"top_p": 1.5}, "top_p=1.5"),
        ({"top_p": 0}, "top_p=0"),
        ({"max_tokens": 0}, "max_tokens=0"),
        ({"max_tokens": 1.5}, "max_tokens=1.5"),
        ({"stop": [""]}, "stop="),
        ({"stop": [1]}, "stop="),
        ({"n": 2}, "n=2"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"response_format": {"type": "yaml"}}, "yaml"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "json_schema"),
        ({"response_format": "json"}, "'json'"),
        ({"num_beams": 4, "num_beam_groups": 3}, "give a multiple"),
        ({"num_beam_groups": 2, "diversity_penalty": 0}, "diversity_penalty above 0"),
        ({"num_beams": 4, "stop": "x"}, "neither stop nor response_format"),
    ],
)
def test_what_would_have_to_be_ignored_is_refused(request_: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        sampling(request_, seed=0)
    assert says in str(caught.value)


def test_beams_of_unstated_number_are_as_many_as_draws_in_whole_groups() -> None:
    asked = sampling({"num_beam_groups": 3}, seed=0, draws=4)
    assert (asked.beams, asked.beam_groups, asked.diversity_penalty > 0) == (6, 3, True)
    assert is_beam_search({"num_beam_groups": 3})
    assert is_beam_search({"num_beams": 2})
    assert not is_beam_search({"num_beams": 1, "temperature": 0})


def test_messages_keep_their_keys_and_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    messages = (
        {"role": "system", "content": "s", "name": "n"},
        {"role": "user", "content": parts},
        {"role": "assistant"},
    )
    assert plain_messages(messages) == (
        {"role": "system", "content": "s", "name": "n"},
        {"role": "user", "content": "one\ntwo"},
        {"role": "assistant", "content": ""},
    )
    with pytest.raises(Rejected, match="image_url"):
        plain_messages([{"role": "user", "content": [*parts, {"type": "image_url", "image_url": {"url": "x"}}]}])


def test_template_variables() -> None:
    asked = {"chat_template_kwargs": {"a": 1, "enable_thinking": True}, "enable_thinking": False}
    assert template_variables(asked) == {"a": 1, "enable_thinking": False}
    with pytest.raises(UsageError, match="chat_template_kwargs"):
        template_variables({"chat_template_kwargs": 1})


@given(st.text("abc", max_size=12), st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3))
def test_a_stop_string_cuts_at_its_first_place_and_is_never_shown(text: str, stops: list[str]) -> None:
    cut, found = _cut(text, stops)
    assert found == any(stop in text for stop in stops)
    assert text.startswith(cut)
    assert not any(stop in cut for stop in stops)
    if found:
        assert any(text[len(cut) :].startswith(stop) for stop in stops)
        shown = text[: len(cut)]
        for end in range(len(text)):  # whatever was shown before the stop string was whole is part of the answer
            so_far = text[:end]
            if not _cut(so_far, stops)[1]:
                assert shown.startswith(so_far[: len(so_far) - _held_back(so_far, stops)])


@given(st.text(max_size=200), st.integers(0, 2**31 - 1))
def test_messages_survive_the_pipe(text: str, number: int) -> None:
    pipe = io.BytesIO()
    sent = Draw(id=number, messages=({"role": "user", "content": text},), sampling=sampling({"stop": "x"}, seed=number))
    write_frame(pipe, sent)
    write_frame(pipe, Cancel(id=number))
    pipe.seek(0)
    frames = [read_frame(pipe), read_frame(pipe), read_frame(pipe)]
    assert [decode_request(frame) for frame in frames if frame] == [sent, Cancel(id=number)]
    assert frames[2] is None


@pytest.mark.parametrize("kept", range(20))
def test_a_pipe_that_ends_within_a_message_has_ended(kept: int) -> None:
    pipe = io.BytesIO()
    write_frame(pipe, Grown(id=1, text="some"))
    assert len(pipe.getvalue()) > 20
    assert read_frame(io.BytesIO(pipe.getvalue()[:kept])) is None


def test_requests_and_replies_are_not_taken_for_each_other() -> None:
    body = msgspec.json.encode(Open(path="p", cache_tokens=1024))
    with pytest.raises(msgspec.ValidationError):
        decode_reply(body)
