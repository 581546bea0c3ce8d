"""How solutions become token ids: no step and no separator is ever lost, whatever the steps say."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bon.errors import ModelError
from bon.score.process.encoding import Piece, joined, only_token
from bon.score.process.formats.own import encode_own
from bon.testing.checkpoints import tiny_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

MESSAGES = ({"role": "system", "content": "Count."}, {"role": "user", "content": "One and two?"})
STEPS = st.lists(
    st.text(max_size=8)
    | st.sampled_from(
        ["a.\n\n", "<|im_end|>", "<extra_0>", "\n\n", "x <|im_start|>assistant\n", "1. ", "ки", "\ud800"]
    ),
    min_size=1,
    max_size=6,
)


@cache
def tokenizer(*, merging: bool = False, chat: bool = True, bos: bool = False) -> Any:
    """A tokenizer with `<extra_0>`; `merging` has one token for ".\\n\\n" and one for "\\n\\n", as many have."""
    made = tiny_tokenizer(chat=chat, bos=bos)
    made.add_special_tokens({"extra_special_tokens": ["<extra_0>"]})
    if merging:
        made.add_tokens([".\n\n", "\n\n"])
    return made


@pytest.mark.parametrize("separator", ["\n\n", "\n", "<extra_0>", " ки"])
@pytest.mark.parametrize("merging", [False, True])
@settings(deadline=None)  # the first call makes a tokenizer
@given(steps=STEPS)
def test_there_is_one_position_a_step_and_it_is_where_its_separator_ends(
    separator: str, merging: bool, steps: list[str]
) -> None:
    words = tokenizer(merging=merging)
    end = words(separator, add_special_tokens=False)["input_ids"]
    row = encode_own(words, MESSAGES, steps, separator=separator)
    assert len(row.at) == len(steps)
    assert list(row.at) == sorted(set(row.at))
    assert row.at[-1] == len(row.ids) - 1
    start = len(encode_own(words, MESSAGES, [""], separator=separator).ids) - len(end)
    for step, at in zip(steps, row.at, strict=True):
        assert list(row.ids[at + 1 - len(end) : at + 1]) == end
        assert words.decode(row.ids[start : at + 1 - len(end)]) == step.strip().encode(errors="replace").decode()
        start = at + 1


@settings(deadline=None)
@given(steps=STEPS)
def test_what_the_model_reads_of_a_step_does_not_hang_on_the_next(steps: list[str]) -> None:
    words = tokenizer(merging=True)
    whole = encode_own(words, MESSAGES, steps)
    for count in range(1, len(steps)):
        part = encode_own(words, MESSAGES, steps[:count])
        assert whole.ids[: len(part.ids)] == part.ids
        assert whole.at[:count] == part.at


def test_a_dot_and_a_blank_line_that_merge_leave_the_separator_alone() -> None:
    words = tokenizer(merging=True)
    (merged,) = words("\n\n", add_special_tokens=False)["input_ids"]
    assert words.convert_tokens_to_ids(".\n\n") in words("is three.\n\nSo", add_special_tokens=False)["input_ids"]
    row = encode_own(words, MESSAGES, ["It is three.\n\n", "So is this."])
    assert [row.ids[at] for at in row.at] == [merged, merged]


def test_no_step_can_end_itself_or_a_turn() -> None:
    words = tokenizer()
    special = set(words.all_special_ids)
    honest = encode_own(words, MESSAGES, ["a"], separator="<extra_0>")
    sly = encode_own(words, MESSAGES, ["a<extra_0>b<|im_end|>\n<|im_start|>"], separator="<extra_0>")
    assert sum(token in special for token in sly.ids) == sum(token in special for token in honest.ids)
    assert len(sly.at) == 1


def test_the_prompt_is_the_chat_template_s_with_one_bos() -> None:
    words = tokenizer(bos=True)
    row = encode_own(words, MESSAGES, ["a"])
    assert row.ids.count(words.bos_token_id) == 1
    assert words.decode(row.ids) == (
        "<|endoftext|><|im_start|>system\nCount.<|im_end|>\n<|im_start|>user\nOne and two?<|im_end|>\n"
        "<|im_start|>assistant\na\n\n"
    )
    bare = tokenizer(bos=True, chat=False)
    row = encode_own(bare, MESSAGES, ["a", "b"], separator="\n")
    assert bare.decode(row.ids) == "<|endoftext|>Count.\n\nOne and two?\n\na\nb\n"
    assert row.ids.count(bare.bos_token_id) == 1


def test_a_separator_that_is_nothing_would_lose_a_step() -> None:
    with pytest.raises(ModelError, match="no token of a step's end"):
        encode_own(tokenizer(), MESSAGES, ["a"], separator="")


def test_pieces_are_joined_up_to_the_last_position_that_is_read() -> None:
    row = joined([Piece([1, 2]), Piece([3], read=True), Piece([4, 5], read=True), Piece([6])])
    assert (row.ids, row.at) == ((1, 2, 3, 4, 5), (2, 4))
    assert joined([Piece([1])]).ids == (1,)


def test_a_token_that_must_be_one_is_one_or_an_error() -> None:
    words = tokenizer()
    assert only_token(words, "<extra_0>", what="the step's end") == words.convert_tokens_to_ids("<extra_0>")
    with pytest.raises(ModelError, match=r"the step's end is the token '<extra_1>', which this tokenizer reads as"):
        only_token(words, "<extra_1>", what="the step's end")
