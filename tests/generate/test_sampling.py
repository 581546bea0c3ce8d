"""Sampling from logits against an independent implementation in plain Python, and against its own definition."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import UsageError
from bon.generate.sampling import Sampling, certainty, log_probabilities, next_tokens, truncated

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

# Far enough apart that float32 tells their probabilities apart at every temperature tried here.
rows = st.lists(st.integers(-512, 512), min_size=2, max_size=40, unique=True).map(lambda row: [x / 64 for x in row])
samplings = st.builds(
    Sampling,
    temperature=st.floats(0.1, 3),
    top_k=st.integers(0, 45),
    top_p=st.floats(0.05, 1),
    min_p=st.sampled_from([0.0, 0.0, 0.05, 0.5]),
)


def by_hand(logits: Sequence[float], sampling: Sampling) -> dict[int, float]:
    """Token -> probability, by sorting and dropping one at a time; nothing shared with the tensor version."""
    scaled = [logit / sampling.temperature for logit in logits]
    left = {token: math.exp(x - max(scaled)) for token, x in enumerate(scaled)}
    if sampling.top_k:
        left = dict(sorted(left.items(), key=lambda item: -item[1])[: sampling.top_k])
    whole, nucleus, mass = math.fsum(left.values()), {}, 0.0
    for token, p in sorted(left.items(), key=lambda item: -item[1]):
        if mass >= sampling.top_p * whole:
            break
        nucleus[token] = p
        mass += p
    kept = {token: p for token, p in nucleus.items() if p >= sampling.min_p * max(nucleus.values())}
    return {token: p / math.fsum(kept.values()) for token, p in kept.items()}


@given(rows, samplings)
def test_truncation_equals_dropping_by_hand(logits: list[float], sampling: Sampling) -> None:
    ours = truncated(torch.tensor([logits]), sampling)[0].double()
    ours = ours / ours.sum()
    expected = by_hand(logits, sampling)
    for token, p in enumerate(ours.tolist()):
        same = p == pytest.approx(expected.get(token, 0.0), rel=1e-3, abs=1e-6)
        assert same or _on_the_edge(logits, sampling)


def _on_the_edge(logits: Sequence[float], sampling: Sampling) -> bool:
    """Whether a rounding decides what is kept."""
    lower = Sampling(
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=max(sampling.top_p - 1e-5, 1e-6),
        min_p=sampling.min_p * (1 - 1e-5),
    )
    upper = Sampling(
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=min(sampling.top_p + 1e-5, 1),
        min_p=min(sampling.min_p * (1 + 1e-5), 1),
    )
    return set(by_hand(logits, lower)) != set(by_hand(logits, upper))


def test_known_truncations() -> None:
    logits = torch.log(torch.tensor([[0.1, 0.4, 0.2, 0.3]]))
    assert truncated(logits, Sampling(top_p=0.7))[0].nonzero().flatten().tolist() == [1, 3]
    assert truncated(logits, Sampling(top_p=0.71))[0].nonzero().flatten().tolist() == [1, 2, 3]
    assert truncated(logits, Sampling(top_k=1))[0].nonzero().flatten().tolist() == [1]
    assert truncated(logits, Sampling(min_p=0.6))[0].nonzero().flatten().tolist() == [1, 3]
    assert truncated(logits, Sampling(top_p=1e-9))[0].nonzero().flatten().tolist() == [1]
    assert truncated(logits, Sampling()).tolist()[0] == pytest.approx([0.1, 0.4, 0.2, 0.3])
    hot = truncated(logits, Sampling(temperature=2.0))[0]
    assert (hot[1] / hot[0]).item() == pytest.approx(2.0)  # the square root of 4


def test_equally_likely_tokens_stay_together() -> None:
    logits = torch.zeros(1, 5)
    for sampling in (Sampling(top_k=1), Sampling(top_p=0.1)):
        assert (truncated(logits, sampling) > 0).all()


@pytest.mark.parametrize("size", [300, 6000])
@pytest.mark.parametrize("top_p", [0.5, 0.9, 0.9999])
def test_a_nucleus_larger_than_the_head_is_whole(size: int, top_p: float) -> None:
    generator = torch.Generator().manual_seed(size)
    logits = torch.randn(3, size, generator=generator) * 0.3
    kept = (truncated(logits, Sampling(top_p=top_p)) > 0).sum(-1)
    probs = logits.double().softmax(-1).sort(descending=True).values
    needed = ((probs.cumsum(-1) - probs) < top_p).sum(-1)
    assert (kept - needed).abs().max() <= 1


def test_a_uniform_number_picks_by_the_distribution_function() -> None:
    logits = torch.log(torch.tensor([0.1, 0.4, 0.2, 0.3])).repeat(6, 1)
    uniforms = torch.tensor([0.0, 0.0999, 0.1001, 0.4999, 0.6999, 0.9999], dtype=torch.float64)
    assert next_tokens(logits, Sampling(), uniforms).tolist() == [0, 0, 1, 1, 2, 3]
    last = torch.tensor([[0.0, 0.0, -math.inf]])
    assert next_tokens(last, Sampling(), torch.tensor([1 - 2**-53], dtype=torch.float64)).tolist() == [1]


@given(rows, st.integers(0, 10**6))
def test_temperature_0_takes_the_most_likely(logits: list[float], point: int) -> None:
    uniform = torch.tensor([point / (10**6 + 1)], dtype=torch.float64)
    assert next_tokens(torch.tensor([logits]), Sampling(temperature=0), uniform).item() == logits.index(max(logits))


def test_no_token_that_was_cut_off_is_ever_drawn() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, sampling = torch.randn(2000, 50, generator=generator), Sampling(temperature=1.5, top_k=7, top_p=0.8)
    drawn = next_tokens(logits, sampling, torch.rand(2000, generator=generator, dtype=torch.float64))
    assert (truncated(logits, sampling).gather(-1, drawn[:, None]) > 0).all()


@given(rows)
def test_certainty_is_the_divergence_of_the_uniform(logits: list[float]) -> None:
    logprobs = log_probabilities(torch.tensor([logits]))
    norm = math.log(math.fsum(math.exp(x) for x in logits))
    size = len(logits)
    kl = math.fsum((1 / size) * (math.log(1 / size) - (x - norm)) for x in logits)
    assert certainty(logprobs).item() == pytest.approx(kl, abs=1e-5)


def test_certainty_of_the_uniform_is_0() -> None:
    assert certainty(log_probabilities(torch.zeros(1, 1000))).item() == pytest.approx(0, abs=1e-5)


def test_a_request_is_read_and_0_is_not_dropped() -> None:
    assert Sampling.of({"temperature": 0, "max_tokens": 3}) == Sampling(temperature=0)
    assert Sampling.of({"temperature": "0.5", "top_k": 3.0, "top_p": 0.9, "min_p": 0.1}) == Sampling(
        temperature=0.5, top_k=3, top_p=0.9, min_p=0.1
    )
    for wrong in ({"temperature": -0.1}, {"temperature": math.nan}, {"top_p": 0}, {"top_k": -1}, {"min_p": 2}):
        with pytest.raises(UsageError):
            Sampling.of(wrong)
    with pytest.raises(UsageError, match="hot"):
        Sampling.of({"temperature": "hot"})
