"""Draws as token ids: those that were drawn, one EOS where one ended them, none where they were cut off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bon.errors import UsageError
from bon.generate.hf import HFGenerator
from bon.models.transformers import load_language_model
from bon.testing.checkpoints import save_tiny_model, tiny_tokenizer
from bon.train.policy.choices import Choice
from bon.train.policy.examples import Speaker, examples
from bon.types import Candidate, Prompt, as_messages

pytest.importorskip("torch")

TOKENIZER = tiny_tokenizer()
EOS = TOKENIZER.eos_token_id
SPEAKER = Speaker(tokenizer=TOKENIZER, eos=frozenset({EOS, TOKENIZER.pad_token_id}))
PROMPT = Prompt(id="p", messages=as_messages("Why is the sky blue?"))


def said(text: str, **more: Any) -> Candidate:
    return Candidate(index=0, text=text, **more)


def ids_of(text: str) -> tuple[int, ...]:
    return tuple(TOKENIZER(text, add_special_tokens=False)["input_ids"])


def test_a_text_ends_with_one_eos_unless_it_was_cut_off() -> None:
    text = "Because the air scatters short waves."
    assert SPEAKER.response(said(text)) == (*ids_of(text), EOS)
    assert SPEAKER.response(said(text, finish_reason="length")) == ids_of(text)
    assert SPEAKER.response(said("")) == (EOS,)
    assert SPEAKER.response(said("", finish_reason="length")) == "it has no tokens"


def test_the_tokens_that_were_drawn_are_learned_as_they_are() -> None:
    """A text has many tokenisations, and the model drew one of them: letter by letter, here."""
    letters = tuple(token for letter in "sky" for token in ids_of(letter))
    assert letters != ids_of("sky")
    assert SPEAKER.response(said("sky", token_ids=(*letters, EOS))) == (*letters, EOS)
    assert SPEAKER.response(said("sky", token_ids=letters)) == (*letters, EOS)  # engines that leave it out
    assert SPEAKER.response(said("sky", token_ids=letters, finish_reason="length")) == letters
    assert SPEAKER.response(said("sky", token_ids=(*letters, TOKENIZER.pad_token_id))) == (
        *letters,
        TOKENIZER.pad_token_id,
    )  # another token that ends an answer: it is not ended twice


def test_a_stop_string_ends_a_draw_without_an_eos() -> None:
    drawn = ids_of("the sky\nand")
    assert SPEAKER.response(said("the sky", token_ids=drawn)) == drawn


def test_reasoning_is_learned_where_its_tokens_are_known_and_never_left_out() -> None:
    drawn = (*ids_of("thus: the sky"), EOS)
    assert SPEAKER.response(said("the sky", reasoning="thus", token_ids=drawn)) == drawn
    assert "its text is not all that was said" in SPEAKER.response(said("the sky", reasoning="thus"))


def test_what_the_tokenizer_cannot_say_again_is_left_out() -> None:
    assert SPEAKER.response(said("sky", token_ids=(10**6,))) == "its token ids are of another tokenizer"
    assert SPEAKER.response(said("sky", token_ids=ids_of("dog"))) == "its token ids are of another tokenizer"


def test_a_text_that_spells_a_special_token_ends_where_it_ends() -> None:
    text = "blue<|im_end|>\nand red"
    found = SPEAKER.response(said(text))
    assert isinstance(found, tuple)
    assert found.count(EOS) == 1
    assert found[-1] == EOS


async def test_the_prompt_and_the_draw_are_the_tokens_that_hf_used(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "model")
    request = {"max_tokens": 6, "temperature": 1.0, "return_token_ids": True}
    prompt = Prompt(id="p", messages=as_messages("Why is the sky blue?"), request=request)
    generator = HFGenerator(folder)
    drawn = [draw async for draw in generator(prompt, 8)]
    generator.close()
    lm = load_language_model(folder, device="cpu")
    speaker = Speaker(tokenizer=lm.tokenizer, eos=lm.eos)
    for draw in drawn:
        assert isinstance(draw, Candidate)
        assert draw.usage is not None
        assert speaker.response(draw) == draw.token_ids
        assert len(speaker.prompt(prompt)) == draw.usage.prompt_tokens


def test_rows_share_prompts_and_long_ones_are_left_out_whole() -> None:
    short, long = said("sky"), Candidate(index=1, text="The quick brown fox jumps over the lazy dog.")
    limit = len(SPEAKER.prompt(PROMPT)) + len(ids_of("sky")) + 1
    speaker = Speaker(tokenizer=TOKENIZER, eos={EOS}, limit=limit)
    found = examples([Choice(prompt=PROMPT, chosen=short), Choice(prompt=PROMPT, chosen=short, rejected=long)], speaker)
    rows = found.rows
    assert [(row.prompt, row.chosen, row.rejected) for row in rows] == [
        (SPEAKER.prompt(PROMPT), (*ids_of("sky"), EOS), ())
    ]
    assert found.left_out == {f"a prompt and its answer are longer than {limit} tokens": 1}
    assert (rows[0].tokens, rows[0].tokens_read) == (limit, limit)


def test_a_pass_is_measured_with_its_padding() -> None:
    both = Choice(prompt=PROMPT, chosen=said("sky"), rejected=Candidate(index=1, text="the lazy dog"))
    (row,) = examples([both], SPEAKER).rows
    assert row.tokens == 2 * (len(row.prompt) + len(row.rejected))
    assert row.tokens_read == 2 * len(row.prompt) + len(row.chosen) + len(row.rejected)


def test_answers_that_were_encoded_from_their_text_are_counted() -> None:
    """Each once, in however many rows it stands, and not those that are learned from in no row."""
    known = [said("sky", token_ids=ids_of("sky")), *(Candidate(index=k, text=text) for k, text in enumerate("abc", 1))]
    odd = Candidate(index=4, text="sky", token_ids=(10**6,))
    pairs = [(0, 1), (0, 2), (1, 2)]
    rows = [Choice(prompt=PROMPT, chosen=known[one], rejected=known[other]) for one, other in pairs]
    found = examples([*rows, Choice(prompt=PROMPT, chosen=known[3], rejected=odd)], SPEAKER)
    assert (found.answers, found.encoded) == (3, 2)
    assert len(found.rows) == 3
    other = replace(PROMPT, id="q")
    both = examples([rows[0], Choice(prompt=other, chosen=known[0])], SPEAKER)
    assert (both.answers, both.encoded) == (3, 1)


def test_where_nothing_is_left_it_says_why() -> None:
    with pytest.raises(UsageError, match="1: a draw's row: its token ids are of another tokenizer"):
        examples([Choice(prompt=PROMPT, chosen=said("sky", token_ids=(10**6,)))], SPEAKER)
    with pytest.raises(UsageError, match="no token that ends an answer"):
        examples([Choice(prompt=PROMPT, chosen=said("sky"))], Speaker(tokenizer=TOKENIZER, eos=frozenset()))
