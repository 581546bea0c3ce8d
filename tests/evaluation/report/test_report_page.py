"""The report in a real browser: nothing is fetched, nothing a model wrote becomes markup, and it can be used."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import bon
from bon import Candidate, Failure, Pool, Prompt, Score, UsageError
from bon.cli import cli
from bon.evaluation.report import report_of
from bon.evaluation.report.page import packed
from bon.evaluation.report.prompts import row_of
from bon.types import Seconds, Usage

pytest.importorskip("altair", reason="reports need bon[report]")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
EVIL = (
    "</script><script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\"> {{scripts}} <!--"
)


def pools() -> list[Pool]:
    """Three prompts: the scorer is right where the vote is wrong; all are wrong; and one full of markup."""

    def pool(id_: str, truth: list[float], scores: list[float], answers: list[str], text: str = "so it is") -> Pool:
        return Pool(
            prompt=Prompt(id=id_, messages=({"role": "user", "content": f"What is {id_}?"},), reference="4"),
            candidates=tuple(
                Candidate(
                    index=place,
                    text=f"Step one.\n\nStep two: {text}",
                    reasoning="let me think",
                    answer=answer,
                    generator="m",
                    usage=Usage(prompt_tokens=3, completion_tokens=5),
                    seconds=Seconds(total=1.5),
                )
                for place, answer in enumerate(answers)
            ),
            scores={
                "correct": tuple(Score(value=value) for value in truth),
                "rm": tuple(Score(value=value, reason=f"because {text}", steps=(0.9, 0.1)) for value in scores),
            },
        )

    return [
        pool("one", [1, 0, 0], [0.9, 0.1, 0.2], ["4", "5", "5"]),
        pool("two", [0, 0, 0], [0.3, 0.1, 0.2], ["6", "6", "7"]),
        pool(EVIL, [0, 1, 0], [0.9, 0.1, 0.2], ["4", "4", EVIL], EVIL).with_failures(
            Failure(stage="generate", error="TimedOut", message=EVIL, index=3)
        ),
    ]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "pools.jsonl"
    bon.write_pools(path, pools())
    return bon.report(path, out=tmp_path / "report.html")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="a browser is driven by playwright")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, written: Path) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.fetched, page.wrong = [], []
    page.on("request", lambda request: page.fetched.append(request.url))
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("console", lambda message: page.wrong.append(message.text) if message.type == "error" else None)
    page.goto(written.as_uri())
    page.wait_for_selector("body[data-ready=yes]")
    yield page
    assert page.wrong == []
    page.close()


@pytest.mark.slow
def test_nothing_is_fetched_and_no_text_becomes_markup(page: Any, written: Path) -> None:
    page.wait_for_selector("[data-chart=curves] svg")
    for _ in range(3):
        assert page.title() == "Best-of-N: pools.jsonl"
        page.keyboard.press("j")
    assert "hacked" in page.inner_text("#prompt")  # as the text that it is
    assert page.locator("#prompt img, #prompt script").count() == 0
    assert {url for url in page.fetched if not url.startswith(("data:", "blob:"))} == {written.as_uri()}


@pytest.mark.slow
def test_every_chart_is_drawn(page: Any) -> None:
    for chart in ("curves", "gains", "scores", "overoptimisation", "costs"):
        place = page.locator(f"[data-chart={chart}]")
        place.scroll_into_view_if_needed()
        place.locator("svg").wait_for()
        assert place.locator("svg path").count() > 0


@pytest.mark.slow
def test_prompts_are_filtered_and_found(page: Any) -> None:
    assert page.inner_text("#count") == "1 of 3"
    page.select_option("#filter", "none")
    assert page.inner_text("#count") == "1 of 1 (of 3)"
    assert "What is two?" in page.inner_text("#prompt")
    page.select_option("#filter", "disagree")
    assert "What is one?" in page.inner_text("#prompt")  # the vote chose another answer than the scorer
    page.select_option("#filter", "wrong")
    assert page.inner_text("#count") == "1 of 2 (of 3)"
    page.select_option("#way", "majority")
    assert page.inner_text("#count") == "1 of 3"
    page.select_option("#filter", "all")
    page.fill("#find", "nowhere")
    assert page.inner_text("#count") == "none of 3"


@pytest.mark.slow
def test_steps_are_coloured_reasoning_is_folded_and_winners_are_named(page: Any) -> None:
    first = page.locator(".candidate").first
    steps = first.locator(".step")
    assert steps.count() == 2
    colours = [steps.nth(place).evaluate("e => getComputedStyle(e).backgroundColor") for place in range(2)]
    assert colours[0] != colours[1]
    assert first.locator("details").first.get_attribute("open") is None
    assert "argmax by rm" in first.inner_text()
    assert "majority" in page.locator(".candidate").nth(1).inner_text()
    page.locator(".candidate").first.get_by_text("reasoning").click()
    assert "let me think" in first.inner_text()


@pytest.mark.slow
def test_labels_download_and_load_as_recorded_verdicts(page: Any, tmp_path: Path) -> None:
    page.keyboard.press("2")
    page.keyboard.press("w")
    page.keyboard.press("1")
    page.keyboard.press("b")
    page.keyboard.press("j")
    page.locator(".candidate").nth(2).get_by_role("button", name="right").click()
    assert page.inner_text("#download") == "Download 3 labels"
    with page.expect_download() as download:
        page.click("#download")
    labels = tmp_path / "labels.jsonl"
    download.value.save_as(labels)
    assert [json.loads(line) for line in labels.read_text().splitlines()] == [
        {"id": "one", "index": 1, "label": "wrong"},
        {"id": "one", "index": 0, "label": "better"},
        {"id": "two", "index": 2, "label": "right"},
    ]
    run = CliRunner().invoke(cli, ["score", str(tmp_path / "pools.jsonl"), "-s", f"recorded:{labels}?name=me"])
    assert run.exit_code == 0, run.output
    scored = {pool.prompt.id: pool.values("me") for pool in bon.read_pools(tmp_path / "pools.jsonl")}
    assert scored["one"] == (1.0, 0.0, None)
    assert scored["two"] == (None, None, 1.0)


@pytest.mark.slow
def test_labels_of_several_files_with_the_same_ids_are_kept_apart(browser: Any, tmp_path: Path) -> None:
    files = [tmp_path / "left.jsonl", tmp_path / "right.jsonl"]
    for file in files:
        bon.write_pools(file, pools()[:2])
    report = bon.report(*files, out=tmp_path / "both.html")
    assert f"<li>{files[1]}: " in report.read_text(encoding="utf-8"), "advice says of which file it is"
    page = browser.new_page()
    try:
        page.goto(report.as_uri())
        page.wait_for_selector("body[data-ready=yes]")
        assert "left.jsonl" in page.inner_text("#prompt h3")
        page.keyboard.press("r")
        page.keyboard.press("j")
        page.keyboard.press("j")
        assert "right.jsonl" in page.inner_text("#prompt h3")
        assert page.locator("button[aria-pressed=true]").count() == 0
        page.keyboard.press("w")
        assert page.inner_text("#download") == "Download 2 labels"
        found: list[Any] = []
        page.on("download", lambda each: found.append(each))  # noqa: PLW0108  # playwright marks what it is given
        page.click("#download")
        page.wait_for_timeout(500)
        lines = {each.suggested_filename.rpartition("-")[2]: each.path().read_text() for each in found}
    finally:
        page.close()
    assert {name: json.loads(line)["label"] for name, line in lines.items()} == {
        "left.jsonl": "right",
        "right.jsonl": "wrong",
    }


@pytest.mark.slow
def test_it_is_readable_on_a_phone_in_the_dark_and_on_paper(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.emulate_media(media="print")
    assert not page.locator(".tools").is_visible()


def test_the_page_holds_every_table_without_a_script(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    assert "argmax by rm" in text
    assert "1 draws failed" in text
    assert "<script>document.title" not in text


def test_texts_are_cut_where_the_page_would_be_too_large() -> None:
    given = [replace(each, prompt=replace(each.prompt, id=str(place))) for place, each in enumerate(pools())]
    long = [
        replace(
            pool,
            candidates=tuple(
                replace(candidate, text=random.Random(place).randbytes(15_000).hex())
                for place, candidate in enumerate(pool.candidates)
            ),
        )
        for pool in given
    ]
    given_anew = lambda: (("", each) for each in long)  # noqa: E731
    whole = report_of(given_anew, bon.curves(long), [], title="t")
    cut = report_of(given_anew, bon.curves(long), [], title="t", largest=9_000)
    assert len(cut) < len(whole)
    assert "so that the page stays small" in cut
    assert "so that the page stays small" not in whole


def test_what_a_pool_shows_of_itself() -> None:
    row = row_of(pools()[0], gold="correct", longest=8)
    assert row["truth"] == [1.0, 0.0, 0.0]
    assert row["picks"] == {"argmax by rm": 0, "majority": 1, "weighted by rm": 0}
    assert row["candidates"][0]["text"].startswith("Step one … [")
    assert row["candidates"][0]["steps"] == ["Step one.\n\n", "Step two: so it is"]
    assert packed([]) == packed(iter([]))


def test_a_report_over_its_own_pools_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pools.jsonl"
    bon.write_pools(path, pools())
    with pytest.raises(UsageError):
        bon.report(path, out=path)
