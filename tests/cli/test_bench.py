"""`bon bench`: measuring on the command line, side by side, stopped and gone on with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from bon.store.pools import read_pools

Bon = Callable[..., CompletedProcess[str]]

SCORERS = '''
from pathlib import Path


def good(prompt, candidate):
    """Tells good answers from bad ones, and says how often it was asked."""
    with Path("asked.txt").open("a") as file:
        file.write("x")
    return float(candidate.text.startswith("good"))


def never(prompt, candidate):
    """Prefers nothing."""
    return 0.5
'''


JUDGE = """
from bon.score.judge.verdicts import Rating
from bon.testing.judges import ScriptedJudge

model = ScriptedJudge(lambda question, answers, mode: Rating(value=4 if "good" in answers[0] else 2))
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(SCORERS)
    path = tmp_path / "data.jsonl"
    rows = [
        {"prompt": f"Q{i}?", "chosen": f"good {i}", "rejected": f"bad {i}", "subset": "ab"[i % 2]} for i in range(20)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def facts(done: CompletedProcess[str]) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def value(said: dict[str, Any], scorer: str, metric: str = "accuracy", subset: str = "overall") -> float:
    (row,) = [row for row in said["rows"] if (row["scorer"], row["metric"], row["subset"]) == (scorer, metric, subset)]
    return float(row["value"])


def test_scorers_stand_side_by_side_with_a_paired_test(bon: Bon, data: Path, tmp_path: Path) -> None:
    done = bon("bench", data, "-s", "mine:good", "-s", "mine:never", "--report", "report.md")
    report = (tmp_path / "report.md").read_text()
    assert done.stdout == report
    (line,) = [line for line in report.splitlines() if line.startswith("| overall")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == ["overall", "accuracy", "20", "1.0000 [0.8389, 1.0000]", "0.0000 [0.0000, 0.1611] (20 ties)"]
    assert "mcnemar" in report
    said = facts(bon("bench", data, "-s", "mine:good", "-s", "mine:never", "--json"))
    assert (value(said, "mine:good"), value(said, "mine:never", subset="a")) == (1.0, 0.0)
    assert said["comparisons"][0]["p"] == pytest.approx(2 * 0.5**20)


def test_bad_rows_are_told_of_and_the_rest_is_measured(bon: Bon, data: Path) -> None:
    with data.open("a") as file:
        file.write('{"prompt": "?"}\nnonsense\n')
    done = bon("bench", data, "-s", "mine:good", "--json", check=False)
    said = facts(done)
    assert (done.returncode, said["items"], said["bad"]) == (1, 20, 2)
    assert [one["line"] for one in said["problems"]] == [21, 22]
    assert "data.jsonl:22: " in done.stderr
    assert "2 rows" in done.stderr
    assert "cannot" not in bon("bench", data, "-s", "mine:good", "--limit", "5").stderr


def test_a_run_with_an_output_goes_on_where_it_was(bon: Bon, data: Path, tmp_path: Path) -> None:
    first = facts(bon("bench", data, "-s", "mine:good", "-o", "out.jsonl", "--limit", "8", "--json"))
    assert (first["items"], len((tmp_path / "asked.txt").read_text())) == (8, 16)
    second = facts(bon("bench", data, "-s", "mine:good", "-o", "out.jsonl", "--json"))
    assert (second["items"], len((tmp_path / "asked.txt").read_text())) == (20, 40)
    third = facts(bon("bench", data, "-s", "mine:good", "-s", "mine:never", "-o", "out.jsonl", "--json"))
    assert len((tmp_path / "asked.txt").read_text()) == 40, "nothing is scored twice"
    assert second["rows"] == [row for row in third["rows"] if row["scorer"] == "mine:good"]
    assert value(third, "mine:never") == 0.0
    pools = list(read_pools(tmp_path / "out.jsonl"))
    assert len(pools) == 20
    assert pools[3].values("mine:good") == (1.0, 0.0)
    through = facts(bon("bench", data, "-s", "mine:good", "--json"))
    assert through["rows"] == second["rows"]
    again = facts(bon("bench", "out.jsonl", "-s", "mine:good", "--json"))
    assert again["rows"] == second["rows"], "scored pools are data too"
    other = bon("bench", data, "-s", "mine:good", "-o", "out.jsonl", "--shuffle", "1", check=False)
    assert (other.returncode, "shuffle" in other.stderr) == (2, True)


def test_verdicts_that_have_changed_are_not_mixed_with_those_that_were_scored(bon: Bon, tmp_path: Path) -> None:
    (tmp_path / "pair.jsonl").write_text('{"id": "a", "prompt": "Q?", "chosen": "good", "rejected": "bad"}\n')
    verdicts = tmp_path / "verdicts.jsonl"
    args = ("bench", "pair.jsonl", "-s", "recorded:verdicts.jsonl", "-o", "out.jsonl", "--json")
    verdicts.write_text('{"id": "a", "scores": [1, 0]}\n')
    assert value(facts(bon(*args)), "recorded:verdicts.jsonl") == 1.0
    assert value(facts(bon(*args)), "recorded:verdicts.jsonl") == 1.0
    verdicts.write_text('{"id": "a", "scores": [0, 1]}\n')
    done = bon(*args, check=False)
    assert done.returncode == 2
    assert "scored_with.recorded:verdicts.jsonl was" in done.stderr
    assert "--restart" not in done.stderr, "there is no such option here"


def test_a_cap_stops_the_run_and_says_what_there_was(bon: Bon, data: Path) -> None:
    spec = "judge:base_helpfulness_pointwise"
    done = bon(
        "bench",
        data,
        "-s",
        spec,
        "--judge",
        "tiny:model",
        "--max-calls",
        "4",
        "--concurrency",
        "1",
        "--json",
        check=False,
    )
    assert done.returncode == 1
    said = facts(done)
    assert 0 < said["items"] <= 2, "two calls an item at the least; what is not done is not measured"
    assert said["spent"]["calls"] == 4
    assert "calls" in said["stopped"]


def test_what_a_cap_left_undone_is_done_by_the_next_run(bon: Bon, data: Path, tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text(JUDGE)
    spec = "judge:base_helpfulness_pointwise"
    args = ("bench", data, "-s", spec, "--judge", "told:model", "-o", "out.jsonl", "--concurrency", "1", "--json")
    first = bon(*args, "--max-calls", "10", check=False)
    assert first.returncode == 1
    assert 0 < facts(first)["items"] < 20
    second = facts(bon(*args))
    assert (second["items"], second["spent"]["calls"], second["stopped"]) == (20, 40, None)
    assert second["costs"][0]["scores"] == 40
    assert second["costs"][0]["usage"]["completion_tokens"] == second["spent"]["completion_tokens"]


def test_bad_usage_is_refused_before_anything_is_scored(bon: Bon, data: Path, tmp_path: Path) -> None:
    for args, message in (
        ((data,), "name a scorer"),
        ((data, "-s", "mine:good", "-o", data), "is the input itself"),
        ((data, "-s", "mine:good", "--format", "rewardbenc"), "did you mean 'rewardbench'?"),
        ((data, "-s", "mine:good", "--option", "subset"), "has no value"),
        (("none.jsonl", "-s", "mine:good"), "none.jsonl"),
        ((data, "-s", "mine:good", "--max-tokens", "5"), "nothing is drawn here"),
    ):
        done = bon("bench", *args, check=False)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "asked.txt").exists()


def test_what_is_known_is_listed(bon: Bon) -> None:
    lines = dict(line.split("\t") for line in bon("bench", "--list").stdout.splitlines())
    assert {"rewardbench-2", "rm-bench", "judgebench", "prmbench", "preference"} <= lines.keys()
    assert "llmbar-verdicts" not in lines
    assert "Ties" in lines["rewardbench-2"]


def test_a_recorded_judge_is_measured_in_both_orders(bon: Bon) -> None:
    folder = Path(os.environ.get("BON_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"needs the data sets: no folder {folder} (BON_DATA names another)")
    bon("convert", "llmbar-verdicts", folder / "llmbar/judgments.jsonl", "-o", "verdicts.jsonl")
    spec = "recorded:verdicts.jsonl?judge=GPT-4/Vanilla_NoRules&name=gpt4"
    said = facts(bon("bench", folder / "llmbar/pairs.jsonl", "-s", spec, "--json"))
    assert value(said, "gpt4", subset="LLMBar/Natural") == pytest.approx(0.935)
    assert value(said, "gpt4", "agreement of orders", "LLMBar/Natural") == pytest.approx(0.97)
    several = bon("bench", folder / "llmbar/pairs.jsonl", "-s", "recorded:verdicts.jsonl", check=False)
    assert (several.returncode, "'GPT-4/Vanilla_NoRules'" in several.stderr) == (2, True)
