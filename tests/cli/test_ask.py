"""`bon ask`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Bon = Callable[..., CompletedProcess[str]]


def test_the_answer_is_on_stdout_and_the_table_on_stderr(bon: Bon) -> None:
    done = bon("ask", "What is 2 + 2?", "-g", "tiny:model", "-n", "8", "-s", "agreement", "--select", "majority")
    assert done.stdout.strip() in ("The answer is 4.", "4", "2 + 2 = 4")
    assert "winner #" in done.stderr
    assert "7 of 8 distinct" in done.stderr
    assert done.stderr.count("\n") >= 10


def test_json_has_everything(bon: Bon) -> None:
    asked = ("ask", "What is 2 + 2?", "-g", "tiny:model", "-n", "4", "--reference", "4", "--json")
    said = json.loads(bon(*asked).stdout)
    assert said["text"] in ("The answer is 4.", "4")
    assert len(said["pool"]["candidates"]) == len(said["weights"]) == 4
    assert [c["scores"]["math"]["value"] for c in said["pool"]["candidates"]] == [0.0, 1.0, 1.0, 0.0]


def test_quiet_is_the_answer_alone(bon: Bon) -> None:
    done = bon("ask", "Hello?", "-g", "tiny:model", "-n", "2", "-s", "tiny:shortest", "--quiet")
    assert done.stdout == "It is 3.\n"
    assert done.stderr == ""


def test_a_dash_reads_the_question_from_stdin(bon: Bon) -> None:
    done = bon("ask", "-", "-g", "tiny:model", "-n", "1", "-s", "heuristic", "--json", stdin="What is 2 + 2?\n")
    assert json.loads(done.stdout)["pool"]["messages"] == [{"role": "user", "content": "What is 2 + 2?\n"}]


def test_few_distinct_candidates_are_warned_of(bon: Bon) -> None:
    done = bon("ask", "2+2?", "-g", "tiny:model", "-n", "64", "-s", "heuristic")
    assert "fewer than half of the candidates differ (7 of 64)" in done.stderr


def test_no_reward_model_is_said_in_one_line(bon: Bon) -> None:
    done = bon("ask", "Hello?", "-g", "tiny:model", "-n", "2")
    assert done.stderr.count("no reward model") == 1


def test_the_draws_are_the_same_whoever_asks_again(bon: Bon) -> None:
    asked = ("ask", "2+2?", "-g", "tiny:model", "-n", "8", "-s", "heuristic", "--select", "random", "--seed", "3")
    assert bon(*asked).stdout == bon(*asked).stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("-g", "opneai:x"), "did you mean 'openai'"),
        (("-g", "tiny:nothing"), "module 'tiny' has no 'nothing'"),
        (("-g", "missing_module:x"), "a function of yours is written module:function"),
        (("-g", "tiny:model", "-s", "heuristics"), "did you mean 'heuristic'"),
        (("-g", "tiny:model", "-s", "heuristic?x=1"), "no option 'x'"),
        (("-g", "tiny:model", "--select", "argmin"), "did you mean 'argmax'"),
        (("-g", "tiny:model", "-s", "heuristic", "-s", "heuristic"), "two scorers are named 'heuristic'"),
        (("-g", "tiny:model", "-s", "heuristic", "-s", "tiny:shortest"), "which scorer decides?"),
        (("-g", "tiny:model", "-n", "0"), "0 is not in the range"),
        (("-g", "tiny:drawn", "-s", "heuristic", "--select", "oracle"), "neither 'correct' nor 'math' is among"),
        (
            ("-g", "tiny:drawn", "-s", "math", "--select", "oracle?gold=truth"),
            "no 'truth' is among the scorers ('math')",
        ),
        (("-g", "tiny:model", "--extract", "nubmer"), "number"),
        (("-g", "gguf:missing.gguf"), "missing.gguf"),
        (("-g", "replay:x.jsonl", "--deterministic"), "no option 'deterministic'"),
        (("-g", "openai:m@http://127.0.0.1:9/v1?key=sk-123"), "key_env=MY_KEY"),
    ],
)
def test_bad_usage_says_what_and_what_to_do(bon: Bon, args: tuple[str, ...], says: str) -> None:
    done = bon("ask", "Hello?", *args, check=False)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert done.stdout == ""
    assert "sk-123" not in done.stderr


def test_an_empty_question_is_refused(bon: Bon) -> None:
    done = bon("ask", "  ", "-g", "tiny:model", check=False)
    assert done.returncode == 2
    assert "the prompt is empty" in done.stderr


def test_an_unknown_command_is_guessed(bon: Bon) -> None:
    done = bon("aks", "Hello?", check=False)
    assert done.returncode == 2
    assert "Did you mean 'ask'" in done.stderr


def test_half_an_emoji_in_an_answer_is_no_reason_to_lose_it(bon: Bon, tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text("from bon.testing import Scripted\nmodel = Scripted(['cut \\ud83d'])\n")
    assert bon("ask", "Hello?", "-g", "half:model", "-n", "1", "-s", "heuristic").stdout.startswith("cut ")
    json.loads(bon("ask", "Hello?", "-g", "half:model", "-n", "1", "-s", "heuristic", "--json").stdout)


def test_bon_toml_and_the_environment_give_defaults(bon: Bon, tmp_path: Path) -> None:
    (tmp_path / "bon.toml").write_text(
        '[defaults]\ngenerator = "mine"\nscorer = "short"\nn = 3\ntemperature = 0.5\n'
        '[generators.mine]\nspec = "tiny:model"\n[scorers.short]\nspec = "tiny:shortest"\n'
    )
    pool = json.loads(bon("ask", "Hello?", "--json").stdout)["pool"]
    assert len(pool["candidates"]) == 3
    assert pool["request"]["temperature"] == 0.5
    assert set(pool["candidates"][0]["scores"]) == {"short"}
    assert len(json.loads(bon("ask", "Hello?", "--json", BON_N="2").stdout)["pool"]["candidates"]) == 2
