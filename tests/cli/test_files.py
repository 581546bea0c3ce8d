"""`bon convert`, `sample`, `score` and `select`: runs over files that can be stopped and continued."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from bon.store.pools import read_pools, same_pools

Bon = Callable[..., CompletedProcess[str]]

SLOW_MODEL = """
from bon.testing import Scripted

model = Scripted(lambda prompt, index: f"{prompt.text} {index}", delay=lambda prompt, index: 0.02 + index / 100)
broken = Scripted(lambda prompt, index: OSError("down") if prompt.id == "q3" else "4")
"""


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    (tmp_path / "slow.py").write_text(SLOW_MODEL)
    path = tmp_path / "prompts.jsonl"
    rows = [{"id": f"q{i}", "prompt": f"What is {i} + {i}?", "reference": str(2 * i)} for i in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_sample_score_select(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "pools.jsonl"
    sampled = json.loads(bon("sample", prompts, "-g", "tiny:model", "-n", "4", "-o", out, "--json").stdout)
    assert (sampled["pools"], sampled["candidates"], sampled["failures"]) == (12, 48, 0)
    assert [pool.prompt.id for pool in read_pools(out)] == [f"q{i}" for i in range(12)]
    scored = json.loads(bon("score", out, "-s", "math", "-s", "agreement", "--json").stdout)
    assert [fact["scorer"] for fact in scored["scorers"]] == ["math", "agreement"]
    pools = list(read_pools(out))
    assert pools[2].values("math") == (0.0, 1.0, 1.0, 0.0)
    assert pools[2].values("agreement") == (0.25, 0.5, 0.5, 0.25)
    chosen = bon("select", out, "--by", "math", "--gold", "math")
    rows = [json.loads(line) for line in chosen.stdout.splitlines()]
    assert [row["id"] for row in rows] == [f"q{i}" for i in range(12)]
    assert rows[2]["text"] in ("The answer is 4.", "4")
    assert "math 0.0833 [" in chosen.stderr
    assert "over 12 prompts" in chosen.stderr
    voted = bon("select", out, "--select", "majority", "-o", tmp_path / "chosen.jsonl")
    assert voted.stdout == ""
    chosen_rows = (tmp_path / "chosen.jsonl").read_text().splitlines()
    assert [json.loads(row)["answer"] for row in chosen_rows] == ["4"] * 12


def test_calls_of_tools_are_part_of_what_is_chosen(bon: Bon, tmp_path: Path) -> None:
    calls = [
        {"id": str(i), "type": "function", "function": {"name": name, "arguments": "{}"}}
        for i, name in enumerate("aba")
    ]
    row = {
        "id": "p",
        "messages": [{"role": "user", "content": "Call."}],
        "candidates": [{"index": i, "text": "", "tool_calls": [call]} for i, call in enumerate(calls)],
    }
    (tmp_path / "pools.jsonl").write_text(json.dumps(row) + "\n")
    bon("score", tmp_path / "pools.jsonl", "-s", "tool_calls?vote=name")
    chosen = json.loads(bon("select", tmp_path / "pools.jsonl").stdout)
    assert chosen["tool_calls"] == [calls[chosen["index"]]]
    assert chosen["tool_calls"][0]["function"]["name"] == "a"


def test_a_larger_n_adds_to_what_is_there_and_the_same_command_does_nothing(
    bon: Bon, prompts: Path, tmp_path: Path
) -> None:
    grown, whole = tmp_path / "grown.jsonl", tmp_path / "whole.jsonl"
    bon("sample", prompts, "-g", "tiny:model", "-n", "3", "-o", grown)
    again = json.loads(bon("sample", prompts, "-g", "tiny:model", "-n", "3", "-o", grown, "--json").stdout)
    assert (again["pools"], again["made"]) == (12, 0)
    bon("sample", prompts, "-g", "tiny:model", "-n", "8", "-o", grown)
    bon("sample", prompts, "-g", "tiny:model", "-n", "8", "-o", whole)
    assert same_pools(read_pools(grown), read_pools(whole))
    assert len(grown.read_text().splitlines()) == 12


def test_killed_and_continued_gives_the_same_file(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out, whole = tmp_path / "pools.jsonl", tmp_path / "whole.jsonl"
    args = ["sample", str(prompts), "-g", "slow:model", "-n", "4", "--concurrency", "2", "-o"]
    for wait in (0.3, 0.05, 0.15):
        process = subprocess.Popen(
            [sys.executable, "-m", "bon", *args, str(out)],
            cwd=tmp_path,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(tmp_path)},
        )
        before = out.stat().st_size if out.exists() else 0
        deadline = time.monotonic() + 60
        while (out.stat().st_size if out.exists() else 0) <= before and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(list(read_pools(out, tolerate_truncated_tail=True))) > 0, "the kills left something to continue"
    bon(*args, out)
    bon(*args, whole)
    assert same_pools(read_pools(out), read_pools(whole))
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == [f"q{i}" for i in range(12)]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_stops_cleanly_and_can_be_continued(
    bon: Bon, prompts: Path, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    out = tmp_path / "pools.jsonl"
    args = ["sample", str(prompts), "-g", "slow:model", "-n", "4", "--concurrency", "1", "-o", str(out)]
    # Who runs the tests in the background has them ignore SIGINT, which is inherited.
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from bon.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", start, *args],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    deadline = time.monotonic() + 60
    while not out.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(sent)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert said.endswith("bon: stopped\n")
    assert "Traceback" not in said
    assert 0 < len(list(read_pools(out))) < 12
    bon(*args)
    assert len(list(read_pools(out))) == 12


def test_what_failed_is_tried_again_by_the_same_command(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "pools.jsonl"
    done = bon("sample", prompts, "-g", "slow:broken", "-n", "2", "-o", out, check=False)
    assert done.returncode == 1
    assert "2 failures, 1 prompts without any candidate" in done.stderr
    assert "OSError: down" in done.stderr
    assert len(list(read_pools(out))) == 12
    (tmp_path / "slow.py").write_text("from bon.testing import Scripted\nbroken = Scripted(['4'])\n")
    again = json.loads(bon("sample", prompts, "-g", "slow:broken", "-n", "2", "-o", out, "--json").stdout)
    assert (again["made"], again["failures"]) == (1, 0)
    assert all(len(pool) == 2 and not pool.failures for pool in read_pools(out))


def test_nothing_at_all_arrived_is_exit_1(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("from bon.testing import Scripted\nbroken = Scripted([OSError('down')])\n")
    done = bon("sample", prompts, "-g", "slow:broken", "-n", "2", "-o", tmp_path / "pools.jsonl", check=False)
    assert done.returncode == 1


def test_other_settings_are_refused_and_named(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "pools.jsonl"
    bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out)
    before = out.read_bytes()
    done = bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out, "--temperature", "1.5", check=False)
    assert done.returncode == 2
    assert "request.temperature was 0.7, is now 1.5" in done.stderr
    assert "--restart" in done.stderr
    assert out.read_bytes() == before
    bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out, "--temperature", "1.5", "--restart")
    assert next(iter(read_pools(out))).prompt.request["temperature"] == 1.5


def test_another_prompt_under_the_same_id_is_refused(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "pools.jsonl"
    bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out)
    prompts.write_text(prompts.read_text().replace("What is 5 + 5?", "What is 5 * 5?"))
    done = bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out, check=False)
    assert done.returncode == 2
    assert "'q5' was drawn with another messages" in done.stderr


def test_scores_go_to_another_file_and_are_continued(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out, scored = tmp_path / "pools.jsonl", tmp_path / "scored.jsonl"
    bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out)
    before = out.read_bytes()
    bon("score", out, "-s", "tiny:shortest", "-o", scored)
    whole, lines = list(read_pools(scored)), scored.read_text().splitlines()
    scored.write_text("".join(f"{line}\n" for line in lines[:5]) + lines[5][:40])
    bon("score", out, "-s", "tiny:shortest", "-o", scored)
    assert same_pools(read_pools(scored), whole)
    assert len(scored.read_text().splitlines()) == 12
    assert out.read_bytes() == before


def test_prompts_from_stdin(bon: Bon, tmp_path: Path) -> None:
    out = tmp_path / "pools.jsonl"
    bon("sample", "-", "-g", "tiny:model", "-n", "2", "-o", out, stdin='{"prompt": "a"}\n{"prompt": "b"}\n')
    assert [pool.prompt.text for pool in read_pools(out)] == ["a", "b"]


def test_a_bad_line_is_named(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    prompts.write_text(prompts.read_text() + '{"promt": "x"}\n')
    done = bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", tmp_path / "pools.jsonl", check=False)
    assert done.returncode == 1
    assert "prompts.jsonl:13:" in done.stderr
    assert "did you mean 'prompt'" in done.stderr


def test_convert_limit_and_options(bon: Bon, tmp_path: Path) -> None:
    rows = [{"question": f"What is {i} + 1?", "answer": f"{i} + 1 = {i + 1}\n#### {i + 1}"} for i in range(5)]
    (tmp_path / "gsm.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "prompts.jsonl"
    done = bon("convert", "gsm8k", "gsm.jsonl", "-o", out, "--limit", "3", "--option", "template=Q: {prompt}", "--json")
    assert json.loads(done.stdout) == {"out": str(out), "makes": "prompts", "count": 3}
    first = json.loads(out.read_text().splitlines()[0])
    assert (first["prompt"], first["reference"]) == ("Q: What is 0 + 1?", "1")
    wrong = bon("convert", "gsm8", "gsm.jsonl", "-o", out, check=False)
    assert wrong.returncode == 2
    assert "did you mean 'gsm8k'" in wrong.stderr


def test_list_and_show(bon: Bon, tmp_path: Path) -> None:
    (tmp_path / "bon.toml").write_text('[scorers.short]\nspec = "tiny:shortest"\n')
    listed = json.loads(bon("list", "--json").stdout)
    assert {"generators", "scorers", "selectors", "budgets", "extractors", "converters"} <= set(listed)
    assert listed["scorers"]["short"] == "from bon.toml"
    assert "argmax" in bon("list", "selectors").stdout
    assert "choose one of" in bon("list", "selector", check=False).stderr
    shown = bon("show", "heuristic").stdout
    assert shown.startswith("heuristic: a scorer")
    assert len(shown.splitlines()) > 3
    assert "written threshold:VALUE" in bon("show", "threshold").stdout
    assert "Short is good." in bon("show", "tiny:shortest").stdout
    assert "written openai:MODEL" in bon("show", "openai:x").stdout
    assert bon("show", "nothing", check=False).returncode == 2


def test_help_of_every_command_shows_the_defaults(bon: Bon) -> None:
    for name in ("ask", "sample"):
        said = bon(name, "--help").stdout
        assert all(default in said for default in ("0.7", "0.9", "512", "default: 8", "default: local"))
    for name in ("convert", "score", "select", "list", "show", "doctor", "pull"):
        assert "--json" in bon(name, "--help").stdout


def test_the_input_is_never_the_output(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    before = prompts.read_bytes()
    for more in ([], ["--restart"]):
        done = bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", prompts, *more, check=False)
        assert done.returncode == 2
        assert "is the input itself" in done.stderr
        assert prompts.read_bytes() == before
    rows = tmp_path / "gsm.jsonl"
    rows.write_text('{"question": "1 + 1?", "answer": "#### 2"}\n')
    pools = tmp_path / "pools.jsonl"
    bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", pools, "-s", "math")
    for args, data in ((("convert", "gsm8k", rows), rows), (("select", pools), pools)):
        before = data.read_bytes()
        done = bon(*args, "-o", data, check=False)
        assert done.returncode == 2
        assert "is the input itself" in done.stderr
        assert data.read_bytes() == before


def test_a_compressed_output_is_refused_before_anything_is_drawn(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    done = bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", tmp_path / "o.jsonl.gz", check=False)
    assert done.returncode == 2
    assert "drop the .gz" in done.stderr


def test_a_bad_line_costs_no_pool_that_was_drawn(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "pools.jsonl"
    prompts.write_text(prompts.read_text() + "nonsense\n")
    done = bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out, "--concurrency", "1", check=False)
    assert done.returncode == 1
    assert "prompts.jsonl:13:" in done.stderr
    assert len(list(read_pools(out))) == 12


def test_scores_follow_a_source_that_has_grown(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out, scored = tmp_path / "pools.jsonl", tmp_path / "scored.jsonl"
    for n in ("2", "5"):
        bon("sample", prompts, "-g", "tiny:model", "-n", n, "-o", out)
        bon("score", out, "-s", "agreement", "-o", scored)
    assert {pool.values("agreement") for pool in read_pools(scored)} == {(0.2, 0.6, 0.6, 0.2, 0.6)}


def test_scores_that_more_candidates_would_leave_out_of_date_are_not_left_so(
    bon: Bon, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pools.jsonl"
    bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out)
    bon("score", out, "-s", "agreement")
    done = bon("sample", prompts, "-g", "tiny:model", "-n", "4", "-o", out, check=False)
    assert done.returncode == 2
    assert "--scorer agreement" in done.stderr
    bon("sample", prompts, "-g", "tiny:model", "-n", "4", "-o", out, "-s", "agreement")
    assert {pool.values("agreement") for pool in read_pools(out)} == {(0.25, 0.5, 0.5, 0.25)}


def test_answers_read_anew_are_scored_anew(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "pools.jsonl"
    bon("sample", prompts, "-g", "tiny:model", "-n", "4", "-o", out, "-s", "math", "--extract", "regex:^It is (3)")
    assert next(iter(read_pools(out))).values("math") == (0.0, 0.0, 0.0, 0.0)
    bon("score", out, "-s", "math", "--extract", "number")
    pool = list(read_pools(out))[2]
    assert [c.answer for c in pool.candidates] == ["3", "4", "4", "5"]
    assert pool.values("math") == (0.0, 1.0, 1.0, 0.0)


def test_recorded_answers_are_not_read_anew_unless_asked(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "pools.jsonl"
    bon("sample", prompts, "-g", "tiny:model", "-n", "4", "-o", out, "--extract", "regex:(It|The) ")
    bon("score", out, "-s", "agreement")
    assert [c.answer for c in next(iter(read_pools(out))).candidates] == ["It", "The", "4", "5"]


COSTLY = """
from pathlib import Path

from bon.types import Score, Usage


async def judge(pool):
    with Path("calls.txt").open("a") as log:
        log.write("x")
    if Path("broken").exists():
        raise OSError("down")
    missing = Score(value=None, reason="Abstained: not my domain", usage=Usage(prompt_tokens=10))
    return [missing, *(Score(value=1.0) for _ in pool.candidates[1:])]
"""


def test_an_abstention_is_paid_for_once_and_a_failure_is_tried_again(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out, calls = tmp_path / "pools.jsonl", tmp_path / "calls.txt"
    (tmp_path / "costly.py").write_text(COSTLY)
    (tmp_path / "broken").touch()
    bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out)
    for _ in range(2):
        bon("score", out, "-s", "costly:judge")
    pool = next(iter(read_pools(out)))
    assert [(f.stage, f.error) for f in pool.failures] == [("score", "OSError")], "recorded once"
    (tmp_path / "broken").unlink()
    bon("score", out, "-s", "costly:judge")
    pool = next(iter(read_pools(out)))
    assert pool.failures == ()
    assert pool.values("costly:judge") == (None, 1.0)
    before = len(calls.read_text())
    bon("score", out, "-s", "costly:judge")
    assert len(calls.read_text()) == before


def test_the_seed_of_the_environment_is_the_seed(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "pools.jsonl"
    bon("sample", prompts, "-g", "tiny:model", "-n", "1", "-o", out, BON_SEED="5")
    assert next(iter(read_pools(out))).prompt.request["seed"] == 5


def test_a_name_that_means_something_else_by_now_is_refused(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out, config = tmp_path / "pools.jsonl", tmp_path / "bon.toml"
    config.write_text('[generators.m]\nspec = "tiny:model"\n')
    bon("sample", prompts, "-g", "m", "-n", "1", "-o", out)
    config.write_text('[generators.m]\nspec = "slow:model"\n')
    done = bon("sample", prompts, "-g", "m", "-n", "2", "-o", out, check=False)
    assert done.returncode == 2
    assert "generator was 'tiny:model', is now 'slow:model'" in done.stderr


@pytest.mark.parametrize("option", ["?key=sk-canary", "?api_key=sk-canary", "?token=sk-canary"])
def test_secrets_in_a_spec_are_refused_and_not_repeated(bon: Bon, prompts: Path, tmp_path: Path, option: str) -> None:
    for spec in (f"openai:m@http://127.0.0.1:9/v1{option}", "openai:m@http://user:sk-canary@127.0.0.1:9/v1"):
        done = bon("sample", prompts, "-g", spec, "-n", "1", "-o", tmp_path / "pools.jsonl", check=False)
        assert done.returncode == 2
        assert "key_env=MY_KEY" in done.stderr
        assert "canary" not in done.stderr
    assert not list(tmp_path.glob("pools.jsonl*"))


def test_a_run_that_is_refused_leaves_the_account_of_the_output(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "pools.jsonl"
    bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out)
    account = (tmp_path / "pools.jsonl.run.toml").read_text()
    assert "calls = 24" in account
    whole = prompts.read_text()
    prompts.write_text(whole.replace("What is 3 + 3?", "What is 3 and 3?"))
    refused = bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out, check=False)
    assert refused.returncode == 2
    assert (tmp_path / "pools.jsonl.run.toml").read_text() == account
    prompts.write_text(whole)
    capped = bon("sample", prompts, "-g", "tiny:model", "-n", "4", "-o", out, "--max-calls", "30", check=False)
    assert capped.returncode == 1
    assert "spent so far: 30 calls" in capped.stderr
    assert "n = 4" in (tmp_path / "pools.jsonl.run.toml").read_text(), "what came of a run is by its settings"


def test_a_run_that_comes_to_nothing_leaves_nothing(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    args = ["sample", prompts, "-g", "tiny:model", "-n", "2", "-o", tmp_path / "pools.jsonl", "--max-cost", "1"]
    assert bon(*args, check=False).returncode == 2
    assert [path for path in sorted(tmp_path.iterdir()) if path not in before and path.name != "__pycache__"] == []


def test_a_restart_that_cannot_begin_puts_the_output_back(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "pools.jsonl"
    bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out)
    before = out.read_bytes(), (tmp_path / "pools.jsonl.run.toml").read_bytes()
    args = ["sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out, "--restart"]
    assert bon(*args, "--max-cost", "1", check=False).returncode == 2
    assert (out.read_bytes(), (tmp_path / "pools.jsonl.run.toml").read_bytes()) == before
    bon(*args)
    assert len(list(read_pools(out))) == 12


@pytest.mark.parametrize("out", ["/dev/null", ".", "nowhere/pools.jsonl"])
def test_what_no_run_can_be_continued_from_is_refused(bon: Bon, prompts: Path, tmp_path: Path, out: str) -> None:
    refused = bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out, check=False)
    assert refused.returncode == 2
    assert not (tmp_path / "nowhere").exists()
