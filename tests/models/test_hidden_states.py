"""The reader gives what a forward pass of each row by itself gives: of the plain transformers model, for every kind."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_backbones import CONTEXT, DECODERS, ENCODERS, EVERY, UNPROVEN, VOCABULARY, save_backbone

from bon.errors import UsageError
from bon.models.backbone import Backbone, load_backbone
from bon.models.reading import Reader, Row
from bon.models.sharing import shortcuts_of

torch = pytest.importorskip("torch", reason="the torch extra is not installed")
TOLERANCE = 1e-4
Ids = tuple[int, ...]


@cache
def backbone(name: str) -> tuple[Backbone, Any]:
    """What our public path loads, and the model it was saved from."""
    with TemporaryDirectory() as folder:
        model = save_backbone(Path(folder), name)
        return load_backbone(folder, device="cpu"), model


def plain(model: Any, row: Row) -> Any:
    """What the model says of a row by itself."""
    given = {} if row.types is None else {"token_type_ids": torch.tensor([row.types])}
    with torch.inference_mode():
        return model(input_ids=torch.tensor([row.ids]), **given).last_hidden_state[0, list(row.at)]


def agree(reader: Reader, model: Any, rows: list[Row]) -> None:
    found = reader.read(rows)
    assert len(found) == len(rows)
    for row, states in zip(rows, found, strict=True):
        assert states.shape == (len(row.at), 32)
        assert states.dtype == torch.float32
        torch.testing.assert_close(states, plain(model, row), atol=TOLERANCE, rtol=TOLERANCE)


def ids_of(least: int, most: int) -> st.SearchStrategy[Ids]:
    return st.lists(st.integers(3, VOCABULARY - 1), min_size=least, max_size=most).map(tuple)


@st.composite
def calls(draw: st.DrawFn) -> list[list[Row]]:
    """Calls with rows that begin alike in all sorts of ways: with each other, with rows of calls before, with none."""
    stems: list[Ids] = [(), *draw(st.lists(ids_of(1, 24), max_size=3))]
    stems += [stem + draw(ids_of(1, 12)) for stem in stems[1:]]

    def row() -> Row:
        stem = draw(st.sampled_from(stems))
        ids = stem[: draw(st.integers(0, len(stem)))] + draw(ids_of(0 if stem else 1, 30))
        ids = ids or stem
        return Row(ids=ids, at=tuple(draw(st.lists(st.integers(0, len(ids) - 1), max_size=4))))

    return [[row() for _ in range(draw(st.integers(1, 8)))] for _ in range(draw(st.integers(1, 3)))]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("llama", "gpt2") else pytest.mark.slow)
        for name in [*DECODERS, *UNPROVEN]
    ],
)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(calls=calls(), tokens=st.sampled_from([1, 40, 150, 4000]), least=st.sampled_from([1, 8, 64]))
def test_decoders_give_what_plain_forward_passes_give(
    name: str, calls: list[list[Row]], tokens: int, least: int
) -> None:
    ours, model = backbone(name)
    assert ours.causal
    reader = Reader(ours, tokens=tokens, least=least, waste=10)
    for rows in calls:
        agree(reader, model, rows)


@pytest.mark.parametrize("name", ENCODERS)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(calls=calls(), tokens=st.sampled_from([1, 150, 4000]))
def test_encoders_give_what_plain_forward_passes_give(name: str, calls: list[list[Row]], tokens: int) -> None:
    ours, model = backbone(name)
    assert not ours.causal
    reader = Reader(ours, tokens=tokens, waste=40)
    for rows in calls:
        agree(reader, model, rows)


@pytest.mark.parametrize("name", ["deberta", "bert"])
def test_token_types_are_read(name: str) -> None:
    ours, model = backbone(name)
    ids = tuple(range(10, 20))
    rows = [Row(ids=ids, at=(0,)), Row(ids=ids, at=(0,), types=(0,) * 4 + (1,) * 6), Row(ids=ids[:5], at=(4,))]
    agree(Reader(ours), model, rows)
    first, second, _ = Reader(ours).read(rows)
    assert (first - second).abs().max() > 0.01, "types make a difference, so mixing them up would show"


def test_shortcuts_are_known_or_tried() -> None:
    allowed = {name: shortcuts_of(backbone(name)[0].model) for name in [*DECODERS, *UNPROVEN]}
    assert all(allowed[name].padding and allowed[name].windows for name in DECODERS)
    assert allowed["gemma2"].windows == (6, None, 6, None)
    assert allowed["mistral"].windows == (5, 5)
    assert allowed["phi3 with longrope"].steady == 24
    assert allowed["opt"].windows == (None, None), "tried, and it holds"
    assert allowed["mamba"].windows is None, "its memory is no keys and values"
    assert allowed["bloom"].windows is None, "it takes no positions"
    with torch.inference_mode():
        assert not shortcuts_of(backbone("xlnet")[0].model).padding, "what comes later changes what was"


class Counting:
    """Counts the tokens that a model is given, and shows them batch by batch."""

    def __init__(self, ours: Backbone) -> None:
        self.batches: list[tuple[int, int, int]] = []
        self._hook = ours.model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, _: Any, args: Any, kwargs: Any) -> None:
        cache = kwargs.get("past_key_values")
        rows, new = kwargs["input_ids"].shape
        self.batches.append((rows, new, 0 if cache is None else cache.get_seq_length()))

    @property
    def tokens(self) -> int:
        return sum(rows * new for rows, new, _ in self.batches)

    def __enter__(self) -> Counting:
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()


def random_ids(count: int, seed: int) -> Ids:
    made = torch.randint(3, VOCABULARY, (count,), generator=torch.Generator().manual_seed(seed))
    return tuple(int(token) for token in made)


def test_a_common_prefix_is_read_once() -> None:
    ours, model = backbone("llama")
    prompt = random_ids(50, 0)
    rows = [Row(ids=prompt + random_ids(10, seed), at=(10, 59)) for seed in range(1, 9)]
    with Counting(ours) as seen:
        agree(Reader(ours), model, rows)
    assert seen.tokens == 50 + 8 * 10


def test_prefixes_within_prefixes_are_read_once() -> None:
    """Few-shot examples that all prompts begin with, and candidates that share a prompt."""
    ours, model = backbone("qwen2")
    examples = random_ids(30, 0)
    prompts = [examples + random_ids(20, seed) for seed in (1, 2)]
    rows = [Row(ids=p + random_ids(5, 10 * i + k), at=(3, 35, 54)) for i, p in enumerate(prompts) for k in range(1, 5)]
    with Counting(ours) as seen:
        agree(Reader(ours, least=16), model, rows)
    assert seen.tokens == 30 + 2 * 20 + 8 * 5


def test_candidates_that_land_one_by_one_do_not_read_their_prompt_again() -> None:
    ours, model = backbone("qwen3")
    reader = Reader(ours, least=16)
    prompts = [random_ids(40, seed) for seed in (0, 1)]
    with Counting(ours) as seen:
        for seed in range(2, 6):
            for prompt in prompts:
                agree(reader, model, [Row(ids=prompt + random_ids(6, seed), at=(0, 39, 45))])
    assert seen.tokens == 2 * (40 + 4 * 6)
    reader.forget()
    with Counting(ours) as seen:
        agree(reader, model, [Row(ids=prompts[0] + random_ids(6, 9), at=(45,))])
    assert seen.tokens == 46, "what was forgotten is read again"


def test_equal_rows_are_read_once_and_come_out_equal() -> None:
    """All-identical candidates must not come out on another scale, nor a hair apart."""
    ours, _ = backbone("gpt2")
    row = Row(ids=random_ids(70, 0), at=(69,))
    with Counting(ours) as seen:
        found = Reader(ours).read([row] * 8 + [Row(ids=row.ids, at=(69, 0))])
    assert seen.tokens == 70
    assert all(torch.equal(states[0], found[0][0]) for states in found)


@pytest.mark.parametrize("name", EVERY)
def test_no_batch_is_larger_than_the_budget(name: str) -> None:
    """But for a row that is longer by itself: rows, times what they are padded to, what is known of them included."""
    ours, _ = backbone(name)
    prompts = [random_ids(length, length) for length in (0, 9, 33, 33, 60)]
    rows = [Row(ids=p + random_ids(1 + seed, seed), at=(0,)) for seed in range(20) for p in prompts]
    for tokens in (64, 200):
        with Counting(ours) as seen:
            Reader(ours, tokens=tokens, least=4).read(rows)
        assert seen.batches
        assert all(count == 1 or count * (new + known) <= tokens for count, new, known in seen.batches)


def test_what_is_remembered_stays_within_the_budget() -> None:
    ours, model = backbone("llama")
    reader = Reader(ours, tokens=100, least=4)
    for seed in range(10):
        agree(reader, model, [Row(ids=random_ids(30, seed), at=(29,)), Row(ids=random_ids(90, 100 + seed), at=(0,))])
        assert sum(map(len, reader._memory.ids)) <= 100
        held = sum(past.layers[0][0].shape[2] for past in reader._memory._pasts.values())
        assert held == sum(map(len, reader._memory.ids))
        storage = sum(past.layers[0][0].untyped_storage().nbytes() for past in reader._memory._pasts.values())
        assert storage == held * 2 * 8 * 4, "no view that holds on to a batch"


def test_order_batch_and_company_change_nothing() -> None:
    ours, _ = backbone("gemma2")
    prompt = random_ids(30, 0)
    rows = [Row(ids=prompt + random_ids(3 * k, k), at=(29, 29 + 3 * k)) for k in range(1, 9)]
    forward = Reader(ours, least=8).read(rows)
    backward = Reader(ours, least=8, tokens=70).read(rows[::-1])[::-1]
    for row, one, other in zip(rows, forward, backward, strict=True):
        [alone] = Reader(ours).read([row])
        torch.testing.assert_close(one, other, atol=TOLERANCE, rtol=TOLERANCE)
        torch.testing.assert_close(one, alone, atol=TOLERANCE, rtol=TOLERANCE)


def test_half_precision_stays_close() -> None:
    import copy
    import dataclasses

    ours, model = backbone("llama")
    half = dataclasses.replace(ours, model=copy.deepcopy(ours.model).to(torch.bfloat16))
    prompt = random_ids(50, 0)
    rows = [Row(ids=prompt + random_ids(10, seed), at=(10, 59)) for seed in range(1, 9)]
    for row, states in zip(rows, Reader(half).read(rows), strict=True):
        assert states.dtype == torch.float32
        expected = plain(model, row)
        assert (states - expected).norm() < 0.05 * expected.norm()


def test_states_can_be_trained_on() -> None:
    """They come out of inference mode: a head takes gradients through them."""
    ours, _ = backbone("llama")
    [states] = Reader(ours).read([Row(ids=(5, 6, 7), at=(1, 2))])
    head = torch.nn.Linear(32, 1)
    head(states).sum().backward()
    assert head.weight.grad is not None
    assert head.weight.grad.abs().sum() > 0


def test_nothing_to_read_is_nothing() -> None:
    ours, _ = backbone("llama")
    assert Reader(ours).read([]) == []
    [states] = Reader(ours).read([Row(ids=(5, 6), at=())])
    assert states.shape == (0, 32)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Row(ids=(), at=()), "no tokens"),
        (Row(ids=(5,) * (CONTEXT + 1), at=(0,)), f"{CONTEXT + 1} tokens.*{CONTEXT}"),
        (Row(ids=(5, 6), at=(2,)), r"\[2\]"),
        (Row(ids=(5, 6), at=(-1,)), r"\[-1\]"),
        (Row(ids=(5, 6), at=(0,), types=(0,)), "1 token types"),
    ],
)
def test_rows_that_cannot_be_read_say_why(row: Row, words: str) -> None:
    ours, _ = backbone("llama")
    with pytest.raises(UsageError, match=words):
        Reader(ours).read([row])


def test_relative_positions_have_no_limit() -> None:
    ours, model = backbone("deberta")
    agree(Reader(ours), model, [Row(ids=random_ids(2 * CONTEXT, 0), at=(0, 2 * CONTEXT - 1))])


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="0"):
        Reader(backbone("llama")[0], tokens=0)


def test_threads_wait_for_one_another() -> None:
    from concurrent.futures import ThreadPoolExecutor

    ours, model = backbone("mistral")
    reader = Reader(ours, tokens=120, least=4)
    prompt = random_ids(30, 0)
    batches = [[Row(ids=prompt + random_ids(4, 10 * t + k), at=(33,)) for k in range(4)] for t in range(6)]
    with ThreadPoolExecutor(4) as pool:
        for rows, found in zip(batches, pool.map(reader.read, batches), strict=True):
            for row, states in zip(rows, found, strict=True):
                torch.testing.assert_close(states, plain(model, row), atol=TOLERANCE, rtol=TOLERANCE)
