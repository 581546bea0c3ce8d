"""What a prompt looks like: enough to warn about a model that was trained on something else."""

from __future__ import annotations

import pytest

from bon.score.reward.domain import domain_of
from bon.types import Prompt, as_messages

CODE = [
    "Write a Python function that returns the n-th prime.",
    "Fix this:\n```js\nconst a = 1\n```",
    "def add(a, b):\n    ",
    "Implement a class for a binary search tree in Rust.",
]
MATHS = [
    "Solve 3x + 5 = 20 for x.",
    "Natalia sold 48 clips in April and half as many in May. How many clips did she sell altogether?",
    r"Find $\int_0^1 x^2 dx$.",
    "What is 12 * 7?",
    "What is the remainder when 7 is divided by 3?",
]
CHAT = [
    "Why is the sky blue?",
    "Write a poem about autumn.",
    "Write a letter to my landlord about the heating.",
    "How many people does it take to change the world?",
    "What is the history of the club between 2019-2021?",
    "I paid $20 and got $5 back. Be kind about it.",
]


@pytest.mark.parametrize(
    ("text", "domain"),
    [*((t, "code") for t in CODE), *((t, "maths") for t in MATHS), *((t, "chat") for t in CHAT)],
)
def test_a_prompt_is_told_by_its_words(text: str, domain: str) -> None:
    assert domain_of(Prompt(id="p", messages=as_messages(text))) == domain
