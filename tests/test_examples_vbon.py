"""The example that trains best-of-N into a small language model: its parts, its figures, and that it runs."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
DATA = Path(os.environ.get("BON_DATA") or Path(__file__).parents[1] / "../shared/data") / "sentiment"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"there is no {DATA}: set BON_DATA")


@pytest.fixture(scope="module", autouse=True)
def _examples() -> Iterator[None]:
    """The examples as modules."""
    sys.path.insert(0, str(EXAMPLES))
    yield
    sys.path.remove(str(EXAMPLES))


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def parts() -> dict[str, list[Any]]:
    text = module("vbon_text")
    found: dict[str, list[Any]] = text.parts_of(text.sentences(DATA))
    return found


@needs_data
def test_no_sentence_is_in_two_parts(parts: dict[str, list[Any]]) -> None:
    key_of = module("vbon_text").key_of
    keys = {part: {key_of(one.text) for one in some} for part, some in parts.items()}
    names = list(keys)
    assert {name: len(some) for name, some in parts.items()} == {name: len(own) for name, own in keys.items()}
    shared = {(one, other): keys[one] & keys[other] for one in names for other in names if one < other}
    assert not any(shared.values())
    assert sum(map(len, keys.values())) == 10_660
    assert {part: len(own) for part, own in keys.items() if part != "language"} == {
        part: size for part, size in module("vbon_text").PARTS.items() if size is not None
    }


@needs_data
def test_what_is_out_of_domain_opens_no_other_sentence(parts: dict[str, list[Any]]) -> None:
    def opening(text: str) -> str:
        return next(word for word in "".join(c if c.isalnum() else " " for c in text.lower()).split())

    apart = {opening(one.text) for one in parts["out_of_domain"]}
    others = {opening(one.text) for part, some in parts.items() if part != "out_of_domain" for one in some}
    assert len(apart) > 60
    assert not apart & others


@needs_data
def test_both_files_are_one_and_the_ratings_are_of_the_same_sentences(parts: dict[str, list[Any]]) -> None:
    every = [one for some in parts.values() for one in some]
    rated = [one for one in every if one.rating is not None]
    assert len(rated) > 0.98 * len(every)
    means = [np.mean([one.rating for one in rated if one.positive is kind]) for kind in (True, False)]
    assert means[0] > 0.5 > -0.5 > means[1]


@needs_data
def test_the_evaluator_follows_ratings_of_sentences_it_has_not_met(parts: dict[str, list[Any]]) -> None:
    from bon.stats import spearman

    learned = [one for one in parts["evaluator"] if one.rating is not None]
    judge = module("vbon_evaluator").train_evaluator([one.text for one in learned], [one.rating for one in learned])
    met = [one for one in parts["reward"] if one.rating is not None]
    values = np.array([judge(one.text) for one in met])
    assert (spearman(values, np.array([one.rating for one in met])) or 0) > 0.55
    assert np.mean((values > 0) == np.array([one.positive for one in met])) > 0.7


def test_the_evaluator_solves_its_normal_equations() -> None:
    """Ridge regression in its dual form, written out."""
    made = module("vbon_evaluator")
    texts, ratings = ["good film", "bad film", "a good one", "so bad it is good"], [2.0, -2.0, 1.0, 0.5]
    judge = made.train_evaluator(texts, ratings)
    rows = [made._scaled(made._counts(text), judge.rarity) for text in texts]
    kernel = np.array(
        [[sum(value * other.get(gram, 0) for gram, value in one.items()) for other in rows] for one in rows]
    )
    wanted = np.array(ratings) - np.mean(ratings)
    dual = np.linalg.solve(kernel + made._PENALTY * np.eye(4), wanted)
    assert [judge(text) for text in texts] == pytest.approx(kernel @ dual + np.mean(ratings), abs=1e-6)


def test_prefixes_have_2_to_8_tokens_and_are_never_whole() -> None:
    text = module("vbon_text")
    some = [
        text.Sentence(text=" ".join(f"w{place}x{word}" for word in range(place + 2)), positive=True, rating=None)
        for place in range(20)
    ]
    lengths = {one.text: [2 * count for count in range(1, len(one.text.split()) + 1)] for one in some}
    found = text.prefixes(some, lengths)
    assert len(found) == len(set(found)) == 19  # of the first, of two words, only the whole would be left
    for prefix in found:
        assert 1 <= len(prefix.split()) <= 4
        assert any(one.text.startswith(f"{prefix} ") for one in some)


def test_a_test_of_a_part_against_the_whole_rejects_less_than_it_says() -> None:
    """The known answer for a perfect sampler: 4.1, 4.8, 1.5, 0 and 0 % by the exact test."""
    ranks = module("vbon_ranks")
    rng = np.random.default_rng(3)
    rows = ranks.rejections([rng.normal(size=600) for _ in range(200)], rng, controls=4000)
    assert [row["M"] for row in rows] == [5, 20, 100, 200, 250]
    for row, known in zip(rows, (0.041, 0.048, 0.015, 0.0, 0.0), strict=True):
        assert row["control"] == pytest.approx(known, abs=0.02)
        assert row["rejected"] == pytest.approx(row["control"], abs=0.03)
    assert rows[-1]["independent"] > rows[-1]["rejected"]  # which is what the test was meant to be
    assert [ranks.band(size) for size in (32, 200, 600)] == pytest.approx([0.24, 0.096, 0.055], abs=5e-4)


def test_a_shifted_sample_is_told_apart() -> None:
    ks_p = module("vbon_ranks").ks_p
    rng = np.random.default_rng(0)
    one = rng.normal(size=200)
    assert ks_p(one, one) == 1.0
    assert ks_p(one, rng.normal(size=300)) > 0.01
    assert ks_p(one, rng.normal(loc=0.7, size=300)) < 1e-6


def test_every_method_has_as_many_runs_whatever_the_plan() -> None:
    runs = module("vbon_runs")
    for points, seeds in ((1, 1), (2, 3), (5, 3)):
        planned = list(runs.plan(points, seeds))
        assert len({run.name for run in planned}) == len(planned) == 6 * points * seeds
        assert {sum(run.method == method for run in planned) for method in runs.METHODS} == {points * seeds}


def test_curves_over_time_are_means_over_seeds() -> None:
    rows = [
        {"M": 8, "seed": seed, "step": step, "seconds": 10.0 * step + seed, "reward": float(seed), "win": 0.5}
        for seed in (0, 1)
        for step in range(10)
    ]
    found = module("vbon_charts").smoothed(rows)
    assert [row["seconds"] for row in found] == [20.5, 70.5]
    assert [(row["reward"], row["reward_low"], row["reward_high"]) for row in found] == [(0.5, 0.0, 1.0)] * 2


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_runs_and_goes_on_with_what_is_there(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "vbon_sentiment.py"), "--tiny", "--points", "1", "--seeds", "1"]
    command += ["--episodes", "64", "--draws", "2", "--samples", "128", "--no-clocks", "--out", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    figures = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    whole = figures["frontiers"]["figure-7"]
    assert {row["method"] for row in whole["runs"]} == {"vbon-eq5", "bonbon", "sft", "dpo", "ppo"}
    assert {row["method"] for row in figures["frontiers"]["figure-6"]["runs"]} == {"vbon-eq5", "vbon-l"}
    assert all(0 < row["win"]["value"] < 1 and row["kl"]["value"] >= 0 for row in whole["runs"])
    assert {row["method"] for row in figures["temperatures"]} >= {"reference", "best of 8", "vbon", "ppo"}
    best = {row["n"]: row["win"]["value"] for row in whole["best"]}
    assert best[8] > best[2] > best[1] == pytest.approx(0.5)
    page = (tmp_path / "figures.html").read_text("utf-8")
    assert all(f"figure-{place}" in page for place in (2, 3, 5, 6, 7))
    again = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert again.stdout == first.stdout
    assert "steps" not in again.stderr  # nothing was trained
    repeated = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    assert repeated["frontiers"] == figures["frontiers"]
