"""Presets against the lists that the paper prints, and grids of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bon.errors import UsageError
from bon.train.policy.presets import METHODS, grid, preset, preset_names, sweep

TLDR = {  # Amini et al. 2025, the appendix on summarisation
    "algorithm": "ppo",
    "lr": 3e-6,
    "schedule": "linear",
    "minibatch": 32,
    "episodes": 10_000,
    "adam_eps": 1e-5,
    "gamma": 1.0,
    "lam": 0.95,
    "epochs": 4,
    "clip": 0.2,
    "value_clip": 0.2,
    "value_coef": 0.2,
    "temperature": 0.7,
}
SENTIMENT = {
    "lr": 3e-5,
    "minibatch": 32,
    "rollouts": 128,
    "epochs": 4,
    "clip": 0.2,
    "value_clip": 0.2,
    "temperature": 1.0,
    "max_tokens": 40,
}
BETAS = [0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1, 2, 3, 4, 5]


def stated(name: str, method: Any) -> dict[str, Any]:
    """What a preset says its source says."""
    return {option: setting.value for option, setting in preset(name, method).items() if "our" not in setting.source}


@pytest.mark.parametrize(
    ("name", "method", "wanted"),
    [
        ("paper-tldr", "vbon", {**TLDR, "n": 100, "references": 200}),
        ("paper-tldr", "ppo", {**TLDR, "beta": 0.05}),
        ("paper-tldr", "frontier", {"temperatures": [0.25, 0.5, 0.75, 1.0]}),
        ("paper-sentiment", "vbon", SENTIMENT),
        ("paper-sentiment", "ppo", SENTIMENT),
        ("paper-sentiment", "dpo", {"lr": 3e-5, "batch": 32}),
    ],
)
def test_what_is_said_to_be_the_papers_is_the_papers(name: str, method: Any, wanted: dict[str, Any]) -> None:
    assert stated(name, method) == wanted


def test_the_authors_mode_differs_where_their_code_does() -> None:
    found = {option: setting.value for option, setting in preset("authors", "vbon").items()}
    papers = {option: setting.value for option, setting in preset("paper-tldr", "vbon").items()}
    assert {name: value for name, value in found.items() if papers.get(name) != value} == {
        "adapt": "last",
        "layers": 2,
        "objective": "L",
        "mode": "authors",
        "estimator": "add_one",
        "references": 301,
    }


def test_every_choice_of_ours_says_so() -> None:
    for name in ("paper-tldr", "paper-sentiment"):
        for method in METHODS:
            for option, setting in preset(name, method).items():  # type: ignore[arg-type]
                assert setting.source.startswith(name), option
    assert "our choice" in preset("paper-sentiment", "vbon")["gamma"].source


@pytest.mark.parametrize(
    ("method", "objective", "wanted"),
    [
        ("vbon", None, {"n": [2**k for k in range(10)] + [3], "seed": [0, 1, 2]}),
        ("bonbon", None, {"n": [2**k for k in range(10)] + [3], "seed": [0, 1, 2]}),
        ("vbon", "L", {"beta": BETAS, "seed": [0, 1]}),
        ("ppo", None, {"beta": BETAS, "seed": [0, 1]}),
        ("sft", None, {"n": list(range(10, 601, 40)), "seed": [0, 1]}),
    ],
)
def test_sweeps_are_the_papers(method: Any, objective: str | None, wanted: dict[str, list[float]]) -> None:
    points = sweep("paper-sentiment", method, objective=objective)
    for name, values in wanted.items():
        assert {point.values[name] for point in points} == set(values)
    assert len(points) == len({point.name for point in points})
    sizes = [len(values) for values in wanted.values()]
    assert len(points) == sizes[0] * sizes[1]


def test_the_sweep_of_dpo_begins_at_a_hundredth_and_lacks_four() -> None:
    points = sweep("paper-sentiment", "dpo")
    betas = {point.values["beta"] for point in points}
    assert min(betas) == 0.01
    assert 4 not in betas
    assert {beta for beta in betas if beta <= 0.5} == {beta for beta in BETAS if 0.01 <= beta <= 0.5}
    assert len(points) == 3 * len(betas)


def test_a_grid_is_a_file_of_lists(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text('n = [2, 16]\nlr = [1e-5, 0.1]\nobjective = ["L"]\n')
    points = sweep(path, "vbon")
    assert [point.name for point in points] == [
        "n2-lr1e-05-objectiveL",
        "n2-lr0.1-objectiveL",
        "n16-lr1e-05-objectiveL",
        "n16-lr0.1-objectiveL",
    ]
    assert points[1].values == {"n": 2, "lr": 0.1, "objective": "L"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"n": 4}, r"n = \[4, ...\]"),
        ({"n": []}, "table of lists"),
        ({"n": [4, 4]}, "each once"),
        ({"n": "48"}, "table of lists"),
        ({}, "without a list"),
        ({"base": ["a/b"]}, "cannot be part"),
        ({"n": [[1]]}, "numbers or words"),
    ],
)
def test_what_is_no_grid_is_said(table: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        grid(table)


def test_names_that_are_not_there_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are paper-tldr, paper-sentiment, authors, small"):
        preset("paper", "vbon")
    with pytest.raises(UsageError, match="neither"):
        sweep(tmp_path / "none.toml", "vbon")
    with pytest.raises(UsageError, match="has no sweep of sft"):
        sweep("paper-tldr", "sft")
    assert preset_names() == ("paper-tldr", "paper-sentiment", "authors", "small")
