"""Best-of-N in one call."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bon
from bon.testing import Scripted
from bon.types import Candidate, Logprobs

SUMS = Scripted(["It is 3.", "The answer is 4.", "4", "I think 5?", "2 + 2 = 4", "four", "4", "5"])


def test_the_five_lines_of_the_design_page() -> None:
    r = bon.best_of_n("What is 2 + 2?", n=8, generator=SUMS, scorer="heuristic", select="argmax")
    assert r.text == r.best.text
    assert len(r.pool) == 8
    assert r.top(3)[0] == r.best
    assert r.weights.shape == (8,)
    assert r.weights.sum() == pytest.approx(1)
    assert r.usage == r.pool.spent.usage
    assert r._repr_html_().count("<td") == 8 * 4, "a heading, a weight, a score and a text for each of eight"


def test_votes_make_answers_be_read() -> None:
    r = bon.best_of_n("What is 2 + 2?", n=8, generator=SUMS, scorer="agreement", select="majority")
    assert r.best.answer == "4"
    assert [c.answer for c in r.pool.candidates][:2] == ["3", "4"]
    assert not r.degraded


def test_a_reference_makes_math_the_default_scorer() -> None:
    r = bon.best_of_n(bon.prompt("What is 2 + 2?", reference="4"), n=4, generator=SUMS)
    assert r.by == "math"
    assert r.pool.values("math") == (0.0, 1.0, 1.0, 0.0)
    assert r.best.index in (1, 2)


def test_the_default_scorer_says_once_that_it_is_no_reward_model(capfd: pytest.CaptureFixture[str]) -> None:
    from bon.api import _say_heuristic

    _say_heuristic.cache_clear()
    for _ in range(2):
        bon.best_of_n("Hello?", n=2, generator=SUMS)
    said = capfd.readouterr().err
    assert said.count("no reward model") == 1
    assert said.count("\n") == 1


def test_defaults_are_stored_with_the_pool() -> None:
    r = bon.best_of_n("Hello?", n=2, generator=SUMS, scorer="heuristic", max_tokens=7)
    assert r.pool.prompt.request == {"temperature": 0.7, "top_p": 0.9, "max_tokens": 7, "seed": 0}


def test_temperature_zero_is_not_dropped() -> None:
    r = bon.best_of_n("Hello?", n=1, generator=SUMS, scorer="heuristic", temperature=0)
    assert r.pool.prompt.request["temperature"] == 0


def test_what_the_prompt_says_wins() -> None:
    asked = bon.prompt("Hello?", temperature=1.5)
    r = bon.best_of_n(asked, n=1, generator=SUMS, scorer="heuristic", temperature=0.1)
    assert r.pool.prompt.request["temperature"] == 1.5


def test_messages_are_kept_whole() -> None:
    messages = [
        {"role": "system", "content": "Be brief.", "name": "boss"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {}}],
        },
    ]
    r = bon.best_of_n(messages, n=1, generator=SUMS, scorer="heuristic")
    assert list(r.pool.prompt.messages) == messages
    assert r.pool.prompt.text == "What is this?"


async def test_the_blocking_call_works_inside_a_running_event_loop() -> None:
    r = bon.best_of_n("What is 2 + 2?", n=3, generator=SUMS, scorer="heuristic")
    assert len(r.pool) == 3


async def test_the_awaited_call_gives_the_same() -> None:
    awaited = await bon.abest_of_n("What is 2 + 2?", n=8, generator=SUMS, scorer="heuristic")
    blocking = await asyncio.to_thread(bon.best_of_n, "What is 2 + 2?", n=8, generator=SUMS, scorer="heuristic")
    assert awaited.text == blocking.text
    assert awaited.pool.scores == blocking.pool.scores
    assert np.array_equal(awaited.weights, blocking.weights)


def test_many_threads_may_block_at_once() -> None:
    results: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(bon.best_of_n("2+2", n=4, generator=SUMS, scorer="heuristic").text)
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert len(set(results)) == 1


def test_nothing_arrived_is_an_error_with_the_pool() -> None:
    with pytest.raises(bon.NoCandidates, match="OSError: down") as caught:
        bon.best_of_n("Hello?", n=3, generator=Scripted([OSError("down")]), scorer="heuristic")
    assert len(caught.value.pool.failures) == 3


def test_nothing_to_go_on_is_degraded_and_uniform() -> None:
    r = bon.best_of_n("Hello?", n=4, generator=SUMS, scorer="selfcertainty")
    assert r.degraded
    assert r.weights.tolist() == [0.25] * 4
    assert [f.stage for f in r.failures] == ["select"]
    assert "no" in r.failures[0].message


def test_selfcertainty_prefers_the_surer() -> None:
    def line(prompt: bon.Prompt, index: int) -> Candidate:
        return Candidate(index=index, text=str(index), logprobs=Logprobs(tokens=(-1.0 / (index + 1),) * 3))

    r = bon.best_of_n("Hello?", n=4, generator=Scripted(line), scorer="selfcertainty")
    assert r.best.index == 3


def test_several_scorers_and_one_to_go_by() -> None:
    r = bon.best_of_n(
        bon.prompt("2+2?", reference="4"), n=4, generator=SUMS, scorer=["heuristic", "math"], select="argmax?by=math"
    )
    assert set(r.pool.scores) == {"heuristic", "math"}
    assert r.by == "math"
    assert r.best.answer in (None, "4")


def test_a_function_of_ones_own_is_a_scorer() -> None:
    def shortest(prompt: bon.Prompt, candidate: Candidate) -> float:
        return -len(candidate.text)

    r = bon.best_of_n("2+2?", n=8, generator=SUMS, scorer=shortest)
    assert r.by == "shortest"
    assert len(r.text) == 1


def test_a_budget_by_its_spec() -> None:
    asked = bon.prompt("2+2?", reference="4")
    r = bon.best_of_n(asked, n=32, generator=SUMS, budget="threshold:1?wave=0")
    assert [c.index for c in r.pool.candidates] == [0, 1]


def test_pools_written_are_pools_read(tmp_path: Path) -> None:
    r = bon.best_of_n("2+2?", n=3, generator=SUMS, scorer="heuristic")
    bon.write_pools(tmp_path / "pools.jsonl", [r.pool])
    (again,) = bon.read_pools(tmp_path / "pools.jsonl")
    assert again == r.pool


def test_what_was_built_by_its_spec_is_kept_for_the_next_call(tmp_path: Path) -> None:
    r = bon.best_of_n("2+2?", n=3, generator=SUMS, scorer="heuristic")
    bon.write_pools(tmp_path / "pools.jsonl", [r.pool])
    spec = f"replay:{tmp_path / 'pools.jsonl'}"
    first = bon.best_of_n("2+2?", n=3, generator=spec, scorer="heuristic", temperature=0.7)
    (tmp_path / "pools.jsonl").unlink()
    second = bon.best_of_n("2+2?", n=3, generator=spec, scorer="heuristic", temperature=0.7)
    assert first.text == second.text == r.text
    bon.close()
    with pytest.raises(bon.BonError):
        bon.best_of_n("2+2?", n=3, generator=spec, scorer="heuristic")


def test_a_blocking_call_from_inside_one_is_refused_and_not_a_deadlock() -> None:
    def judge(prompt: bon.Prompt, candidate: Candidate) -> float:
        return float(len(bon.best_of_n("2+2?", n=1, generator=SUMS, scorer="heuristic").text))

    with pytest.raises(bon.UsageError, match=r"await bon\.abest_of_n"):
        bon.best_of_n("2+2?", n=2, generator=SUMS, scorer=judge)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_starts_afresh() -> None:
    code = """
import os
import bon
from bon.testing import Scripted
ask = lambda: bon.best_of_n("2+2?", n=2, generator=Scripted(["4"]), scorer="heuristic").text
assert ask() == "4"
child = os.fork()
if child == 0:
    os._exit(0 if ask() == "4" else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_best_k_by_weight_where_no_scorer_decided() -> None:
    r = bon.best_of_n("2+2?", n=8, generator=SUMS, scorer=["heuristic", "agreement"], select="majority")
    assert [c.answer for c in r.top(4)] == ["4"] * 4


@pytest.mark.parametrize("empty", ["", "  ", [], 42])
def test_what_is_no_prompt_is_refused(empty: Any) -> None:
    with pytest.raises(bon.UsageError, match="prompt"):
        bon.best_of_n(empty, n=1, generator=SUMS, scorer="heuristic")


def test_numbers_that_are_none_are_refused_before_anything_is_drawn() -> None:
    with pytest.raises(bon.UsageError, match="temperature is nan"):
        bon.best_of_n("2+2?", n=1, generator=SUMS, scorer="heuristic", temperature=float("nan"))


def test_a_members_own_settings_survive_a_mixture() -> None:
    from bon.generate.mixture import Mixture

    r = bon.best_of_n("2+2?", n=2, generator=Mixture([SUMS, SUMS]), scorer="heuristic")
    assert "temperature" not in r.pool.prompt.request


def test_built_things_close_and_open_with_blocks() -> None:
    for built in (bon.scorer("heuristic"), bon.selector("argmax", by="x"), bon.budget("fixed:4")):
        with built as thing:
            assert thing is built
        built.close()
