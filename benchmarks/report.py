"""How large and how quick the report is: 2,000 prompts of 16 candidates, made and opened in headless Chromium.

Run it with `python benchmarks/report.py [--prompts 2000] [--candidates 16] [--json]`; needs `bon[report]`, and
playwright with chromium to open the page. Opening is wall-clock until a prompt is shown, for it is a person who waits.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import bon
from bon.types import Seconds, Usage

WORDS = [f"{a}{b}" for a in ("ta", "re", "mo", "li", "su", "ne", "ka", "vi") for b in ("n", "r", "s", "l", "m", "t")]


def pools(prompts: int, candidates: int) -> Iterator[bon.Pool]:
    """Random text of some 120 words an answer, which compresses about as text does."""
    draw = random.Random(0)
    for place in range(prompts):
        yield bon.Pool(
            prompt=bon.prompt(f"{place}: {' '.join(draw.choices(WORDS, k=60))}", id=f"p{place}"),
            candidates=tuple(
                bon.Candidate(
                    index=index,
                    text=" ".join(draw.choices(WORDS, k=120)),
                    answer=str(draw.randrange(5)),
                    generator="model",
                    usage=Usage(prompt_tokens=60, completion_tokens=120),
                    seconds=Seconds(total=draw.random()),
                )
                for index in range(candidates)
            ),
            scores={
                "correct": tuple(bon.Score(value=float(draw.random() < 0.4)) for _ in range(candidates)),
                "rm": tuple(bon.Score(value=draw.gauss(0, 1)) for _ in range(candidates)),
            },
        )


def opened(page: Path, times: int = 3) -> float | None:
    """Seconds until the first prompt is shown, the median; None without a browser."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if chromium is None:
        return None
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(times):
            tab = browser.new_page()
            began = time.perf_counter()
            tab.goto(page.as_uri())
            tab.wait_for_selector("body[data-ready=yes]")
            found.append(time.perf_counter() - began)
            tab.close()
        browser.close()
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file, page = Path(folder, "pools.jsonl"), Path(folder, "report.html")
        bon.write_pools(file, pools(options.prompts, options.candidates))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        bon.report(file, out=page)
        made = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
        facts = {"megabytes": page.stat().st_size / 1e6, "made_cpu_seconds": made, "opened_seconds": opened(page)}
    if options.json:
        print(json.dumps(facts))
        return
    shown = "no browser here" if facts["opened_seconds"] is None else f"{facts['opened_seconds']:.2f} s (goal 3)"
    print(f"{options.prompts} prompts x {options.candidates}: {facts['megabytes']:.1f} MB (goal 30), opened in {shown}")
    print(f"made in {made:.1f} s of CPU time")


if __name__ == "__main__":
    main()
