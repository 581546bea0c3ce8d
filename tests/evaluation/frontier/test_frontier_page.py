"""The page of the frontier in a real browser: every chart is drawn, nothing is fetched, no name becomes markup."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bon.evaluation.frontier.chart_rows import curve_rows, heat_rows, law_rows, run_rows, series_rows
from bon.evaluation.frontier.charts import charts_of
from bon.evaluation.frontier.measured import Frontier, Measured, Reference
from bon.evaluation.frontier.page import frontier_page
from bon.evaluation.frontier.summary import summarise

pytest.importorskip("altair", reason="pages need bon[report]")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
EVIL = "</script><script>document.title='hacked'</script> {{scripts}}"
PROMPTS = 40


def frontier(*, temperatures: tuple[float, ...] = (1.0,), evil: str = "") -> Frontier:
    """Two methods of three settings and two seeds; one is a little short of best-of-N, the other far."""
    rng = np.random.default_rng(0)
    ids = tuple(f"p{place}" for place in range(PROMPTS))
    hard = rng.normal(size=PROMPTS)
    samples = rng.normal(size=(PROMPTS, 60)) + hard[:, None]
    reference = Reference(
        name="hf:base",
        temperature=1.0,
        ids=ids,
        rewards=tuple(map(tuple, samples.tolist())),
        log_probs=tuple(map(tuple, rng.normal(-9, 2, size=(PROMPTS, 60)).clip(max=-1).tolist())),
        length=12.0,
        seconds=0.01,
    )
    runs = []
    for method, short in (("vbon-eq5", 0.01), ("ppo", 0.07)):
        for n in (2, 8, 32):
            for seed in (0, 1):
                for temperature in temperatures:
                    kl = np.log(n) - (n - 1) / n + rng.normal(0, 0.02)
                    runs.append(
                        Measured(
                            run=f"out/{method}-n{n}-seed{seed}{evil}",
                            method=method,
                            setting=f"n={n}",
                            seed=seed,
                            temperature=temperature,
                            ids=ids,
                            kl=tuple((kl + rng.normal(0, 0.1, PROMPTS)).clip(min=0).tolist()),
                            reward=tuple((hard + 0.55 * np.sqrt(n) ** 0.7 - 3 * short).tolist()),
                            win=tuple((n / (n + 1) - short + rng.normal(0, 0.05, PROMPTS)).clip(0, 1).tolist()),
                            draws=4,
                            length=12.5,
                            ended=0.8,
                            seconds=0.011,
                            cost={"optimisation": {"seconds": 31.0, "tokens": 120_000, "draws": 3200}},
                        )
                    )
    return summarise(runs, reference, scorer=f"rm:x{evil}", draws=200)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="a browser is driven by playwright")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.slow
def test_all_charts_are_drawn_nothing_is_fetched_and_names_stay_text(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "frontier.html"
    path.write_text(frontier_page(frontier(temperatures=(0.5, 1.0), evil=EVIL), title=f"A {EVIL}"), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    fetched: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    try:
        page.goto(path.as_uri())
        for chart in ("win", "reward", "win-temperature", "reward-temperature"):
            place = page.locator(f"[data-chart={chart}]")
            place.scroll_into_view_if_needed()
            place.locator("svg").wait_for()
            assert place.locator("svg path").count() > 10
        assert page.title().startswith("A </script>")
        assert {url for url in fetched if not url.startswith(("data:", "blob:"))} == {path.as_uri()}
        assert wrong == []
        legend = page.locator("[data-chart=win] svg").text_content()
        assert all(name in legend for name in ("vBoN", "PPO", "best of N, measured"))
        assert "BoNBoN" not in legend, "what was not run is not shown"
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.emulate_media(color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    finally:
        page.close()


def test_the_page_is_complete_without_a_script() -> None:
    text = frontier_page(frontier(), title="Frontier")
    for said in ("Pareto shares", "vBoN", "at the same KL", "12 runs on 40 prompts"):
        assert said in text
    assert "(Beirami et al. 2024)" in text
    assert re.search(r"best of 48</th><td>48</td><td>576</td><td>480</td>", text)


def test_a_page_of_one_prompt_has_no_intervals_and_says_why() -> None:
    found = frontier(temperatures=(0.5, 1.0))
    bare = {"low": None, "high": None, "why": "one prompt"}
    rows = [
        replace(row, **{name: replace(getattr(row, name), **bare) for name in ("kl", "win", "reward")})
        for row in found.runs
    ]
    best = [
        replace(row, **{name: replace(getattr(row, name), **bare) for name in ("kl", "win", "reward")})
        for row in found.best
    ]
    one = replace(found, prompts=1, runs=rows, best=best)
    text = frontier_page(one, title="Frontier")
    assert "[one prompt]" in text
    assert "of the one prompt, and has no interval" in text
    charts = {chart.id: chart for chart in charts_of(one)}
    for id_, whole in {chart.id: chart for chart in charts_of(found)}.items():
        assert "_low" in str(whole.spec) or "'low'" in str(whole.spec)
        assert "low" not in str(charts[id_].spec["layer"]).replace("below", "")


def test_best_of_n_is_never_shown_at_its_bound_as_if_measured() -> None:
    found = frontier()
    measured = {row["n"]: row["kl"] for row in curve_rows(found.best, "win")}
    assert all(measured[row["n"]] < row["kl"] for row in law_rows(found, "win") if row["n"] > 1)
    bare = replace(found, kl_estimated=False)
    text = frontier_page(bare, title="Frontier")
    assert "the probabilities of the samples are not known" in text


def test_rows_of_charts() -> None:
    found = frontier(temperatures=(0.5, 1.0))
    assert len(run_rows(found, "win")) == 12
    series = series_rows(found, "reward")
    assert len(series) == 6
    two = [
        run.kl.value for run in found.runs if run.method == "ppo" and run.setting == "n=8" and run.temperature == 1.0
    ]
    assert next(row["kl"] for row in series if (row["method"], row["setting"]) == ("PPO", "n=8")) == pytest.approx(
        sum(two) / 2
    )
    assert len(heat_rows(found, "win")) == 12
    assert heat_rows(frontier(), "win") == []
