"""The examples run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bon.sandbox import available

needs_sandbox = pytest.mark.skipif(not [*available()], reason="nothing here confines programs")
EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_gain_is_measured_on_the_embedded_model(embedded_model: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "gain.py", "-n", "4", "--problems", "3", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
        env={**os.environ, "BON_MODEL": str(embedded_model)},
    )
    rows = json.loads(done.stdout)
    assert [row["rule"] for row in rows] == ["greedy", "selfcertainty", "agreement", "math"] * 2
    assert all(0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1 and row["tokens"] > 0 for row in rows)
    for known, *chosen in (rows[3::-1], rows[:3:-1]):
        assert known["rule"] == "math"
        assert all(row["accuracy"] <= known["accuracy"] for row in chosen if row["rule"] != "greedy")


def test_both_sets_have_twenty_problems() -> None:
    code = "import gain; print(*(len(prompts) for prompts in gain.problem_sets(99).values()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=EXAMPLES, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["20", "20"]


def judged(*arguments: str, **options: Any) -> list[dict[str, Any]]:
    command = [sys.executable, EXAMPLES / "judge_best_of_n.py", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=290, **options)
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


STAND_INS = """
from bon.score.judge import Rating
from bon.testing import Scripted, ScriptedJudge

answers = Scripted(lambda prompt, index: f"Sleep. {'Really. ' * index}{prompt.text.partition('?')[2].strip()}")
judge = ScriptedJudge(lambda question, answers, mode: Rating(value=answers[0].count("Really"), reason=question))
fussy = ScriptedJudge(lambda question, answers, mode: "I would rather not say.")
"""


def test_answers_to_variations_are_judged_and_the_best_shown_in_order(tmp_path: Path) -> None:
    (tmp_path / "stand_ins.py").write_text(STAND_INS)
    question = "How do I sleep?"
    rows = judged(
        question,
        "--generator",
        "stand_ins:answers",
        "--judge",
        "stand_ins:judge",
        "-n",
        "7",
        "--top",
        "2",
        cwd=tmp_path,
    )
    assert [row["index"] for row in rows] == [6, 5]
    assert [row["rating"] for row in rows] == [6, 5]
    assert [row["variation"] for row in rows] == ["Answer in three sentences.", None]
    assert rows[0]["text"].endswith("Answer in three sentences.")
    assert all(row["reason"].startswith(f"[user] {question} [") for row in rows)  # the question as it was asked


def test_what_the_judge_does_not_rate_is_shown_unrated(tmp_path: Path) -> None:
    (tmp_path / "stand_ins.py").write_text(STAND_INS)
    rows = judged("--generator", "stand_ins:answers", "--judge", "stand_ins:fussy", "-n", "3", cwd=tmp_path)
    assert [row["rating"] for row in rows] == [None] * 3
    assert all("no JSON object" in row["reason"] for row in rows)


@pytest.mark.slow
def test_the_embedded_model_judges_its_own_answers(embedded_model: Path) -> None:
    rows = judged("-n", "2", "--top", "2", "--max-tokens", "16", env={**os.environ, "BON_MODEL": str(embedded_model)})
    assert sorted(row["index"] for row in rows) == [0, 1]
    assert all(row["text"] and row["reason"] for row in rows)
    assert all(row["rating"] is None or 1 <= row["rating"] <= 10 for row in rows)


SCHOOL = """
import json, re

from bon.testing import Scripted, asked_of
from bon.types import text_of


def line(prompt, index):
    properties = prompt.request["response_format"]["json_schema"]["schema"]["properties"]
    told, answers = text_of(prompt.messages[0]), asked_of(prompt.messages).answers
    if "principles" in properties:
        names = ("Gives numbers", "Is short")
        return json.dumps({"principles": [{"name": name, "description": "It does."} for name in names]})
    numbers = [len(re.findall("[0-9]", answer)) for answer in answers]
    if "facts" in properties:
        return json.dumps({"reason": "counted", "answers_the_question": numbers[0] > 0, "facts": numbers[0]})
    worth = numbers if "Gives numbers" in told else [-len(answer) for answer in answers]
    return json.dumps({"ranking": sorted(range(1, len(worth) + 1), key=lambda i: -worth[i - 1])})


model = Scripted(line)
"""


def rewarded(*arguments: str, **options: Any) -> dict[str, dict[str, Any]]:
    command = [sys.executable, EXAMPLES / "data_to_reward.py", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=290, **options)
    return {row["judge"]: row for row in json.loads(done.stdout)}


def test_three_rewards_are_measured_on_what_none_was_learned_from(tmp_path: Path) -> None:
    (tmp_path / "school.py").write_text(SCHOOL)
    rows = rewarded("--judge", "school:model", "--train", "0.3", cwd=tmp_path)
    assert list(rows) == ["base_helpfulness_listwise", "learned", "facts"]
    pairs = [json.loads(line) for line in (EXAMPLES / "help_desk.jsonl").read_text().splitlines()]
    assert len({row["n"] for row in rows.values()}) == 1
    assert 0 < rows["learned"]["n"] < len(pairs)
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in rows.values())
    assert rows["learned"]["accuracy"] > rows["base_helpfulness_listwise"]["accuracy"]
    assert "Gives numbers" in (tmp_path / "learned.toml").read_text()


@pytest.mark.slow
def test_the_embedded_model_goes_from_data_to_reward(embedded_model: Path, tmp_path: Path) -> None:
    rows = rewarded(
        *("--limit", "1", "--generate-number", "1", "--train", "0.08"),
        cwd=tmp_path,
        env={**os.environ, "BON_MODEL": str(embedded_model)},
    )
    assert [row["n"] for row in rows.values()] == [1, 1, 1]
    assert (tmp_path / "learned.toml").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("greedy_vs_best_of_n", ["-n", "3", "--questions", "3"]),
        ("effect_of_n", ["-n", "4", "--questions", "3"]),
        ("equal_budget", ["-n", "3", "--questions", "2"]),
    ],
)
def test_what_best_of_n_buys_is_measured_on_the_embedded_model(
    name: str, arguments: list[str], embedded_model: Path, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *arguments, "-o", page, "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=290,
        env={**os.environ, "BON_MODEL": str(embedded_model)},
    )
    found = json.loads(done.stdout)
    assert "<!doctype html>" in page.read_text(encoding="utf-8")
    if name == "greedy_vs_best_of_n":
        assert found["wins"] + found["ties"] + found["losses"] == pytest.approx(1.0)
    elif name == "effect_of_n":
        covered = {row["k"]: row["value"] for row in found if row["metric"] == "pass_at_k"}
        assert sorted(covered) == [1, 2, 4]
        assert all(row["value"] <= covered[row["k"]] + 1e-12 for row in found if row["metric"] == "best_at_k")
    else:
        assert all(row["cost"] <= row["budget"] * (1 + 1e-9) for row in found)


def programs(*arguments: str, **options: Any) -> dict[str, dict[str, Any]]:
    command = [sys.executable, EXAMPLES / "humaneval.py", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=290, **options)
    return {f"{row['metric']} {row['k']} {row['scorer']}": row for row in json.loads(done.stdout)}


PROGRAMMER = """
from bon.testing import Scripted

bodies = ["return a + b", "return n % 2 == 0", "return 1"]
model = Scripted(lambda prompt, index: f"    {bodies[index % 3]}")
"""


@needs_sandbox
def test_programs_are_drawn_run_and_counted(tmp_path: Path) -> None:
    (tmp_path / "programmer.py").write_text(PROGRAMMER)
    rows = programs("--generator", "programmer:model", "-n", "3", "--problems", "2", "--scorer", "shown", cwd=tmp_path)
    assert rows["pass_at_k 3 code"]["value"] == 1.0
    assert rows["pass_at_k 1 code"]["value"] == pytest.approx(1 / 3)
    assert rows["best_at_k 3 shown"]["value"] == 1.0  # the examples in the prompts tell right from wrong here


@needs_sandbox
@pytest.mark.slow
def test_three_problems_of_programming_on_the_embedded_model(embedded_model: Path) -> None:
    rows = programs(
        *("-n", "3", "--problems", "3", "--max-tokens", "80"), env={**os.environ, "BON_MODEL": str(embedded_model)}
    )
    assert {row["n"] for row in rows.values()} == {3}
    one, best, covered = (rows[name]["value"] for name in ("pass_at_k 1 code", "best_at_k 3 shown", "pass_at_k 3 code"))
    assert 0 <= one <= covered <= 1
    assert best <= covered + 1e-12
