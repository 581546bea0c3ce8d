"""`bon train vbon`, `bon train ppo` and `bon frontier` on the command line, from pools to the page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bon.cli import cli
from bon.errors import UsageError
from bon.store.pools import read_pools, write_pools
from bon.testing.enumerable import Enumerable, save_enumerable
from bon.types import Candidate, Pool, Prompt, Score, as_messages

pytest.importorskip("torch")

SCORER = '''
def letters(prompt, candidate):
    """Likes early letters of the alphabet, and long texts a little; no two of them are equal."""
    return sum((5 - ord(letter) % 8) * 0.37**place for place, letter in enumerate(candidate.text))
'''


def letters(text: str) -> float:
    return sum((5 - ord(letter) % 8) * 0.37**place for place, letter in enumerate(text))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Enumerable:
    return save_enumerable(tmp_path_factory.mktemp("world") / "ref")


@pytest.fixture
def folder(world: Enumerable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scorer, pools of the reference drawn at random (three prompts, 40 samples), and prompts to test on."""
    import numpy as np

    (tmp_path / "mine.py").write_text(SCORER)
    (tmp_path / "ref").symlink_to(world.folder)
    known = {prompt: world.known(_model(world), prompt) for prompt in ("ab", "c", "d")}
    rng = np.random.default_rng(0)
    pools = []
    for prompt, law in known.items():
        p = np.exp(law.log_p)
        texts = [world.strings[place] for place in rng.choice(p.size, size=40, p=p / p.sum())]
        pools.append(
            Pool(
                prompt=Prompt(
                    id=prompt,
                    messages=as_messages(prompt),
                    request={"temperature": 1.0, "top_p": 1.0, "max_tokens": 4},
                ),
                candidates=tuple(
                    Candidate(index=i, text=text, finish_reason="stop" if len(text) < 4 else "length")
                    for i, text in enumerate(texts)
                ),
                scores={"mine:letters": tuple(Score(value=letters(text)) for text in texts)},
            )
        )
    write_pools(tmp_path / "pools.jsonl", pools)
    lines = [json.dumps({"id": f"t{text}", "prompt": text}) for text in ("a", "cd")]
    (tmp_path / "test.jsonl").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def _model(world: Enumerable) -> object:
    from bon.train.policy.measures import loaded

    return loaded(str(world.folder)).model


VBON = ("train", "vbon", "--reference", "ref", "--pools", "pools.jsonl", "--scorer", "mine:letters")
SHORT = ("--episodes", "192", "--rollouts", "64", "--lr", "3e-3")


def run(*args: str) -> Result:
    done = CliRunner().invoke(cli, args, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.slow
def test_a_sweep_is_trained_goes_on_and_becomes_a_frontier(folder: Path) -> None:
    (folder / "grid.toml").write_text("n = [2, 8]\n")
    done = run(*VBON, *SHORT, "--sweep", "grid.toml", "-o", "out")
    assert "out/n8: training 2 of 2" in done.stderr
    assert "step 3 of 3: reward " in done.stderr
    assert "win rate" in done.stderr
    assert re.search(r"4 samples were scored again, \d of them cut off: they differ by 0 standard dev", done.stdout)
    again = run(*VBON, *SHORT, "--sweep", "grid.toml", "-o", "out", "--json")
    assert "step" not in again.stderr
    two, eight = json.loads(again.stdout)
    assert (two["method"], two["episodes"], two["settings"]["aim"]["n"]) == ("vbon-eq5", 192, 2.0)
    assert eight["last"]["reward"] > eight["first"]["reward"]
    ppo = run(
        "train", "ppo", "--reference", "ref", "--pools", "pools.jsonl", "--scorer", "mine:letters", *SHORT, "-o", "ppo"
    )
    assert "ppo: ppo on 192 answers to 3 prompts, 3 steps" in ppo.stdout
    found = run(
        *("frontier", "out", "ppo", "--prompts", "test.jsonl", "--scorer", "mine:letters"),
        *("-n", "20", "--samples", "30", "-o", "page.html", "--json"),
    )
    table = json.loads(found.stdout)
    assert [row["setting"] for row in table["runs"]] == ["n=2", "n=8", "beta=0.05"]
    assert [row["method"] for row in table["methods"]] == ["vbon-eq5", "ppo"]
    assert table["kl_estimated"]
    assert "the reference at 1: 2 of 2 prompts" in found.stderr
    page = (folder / "page.html").read_text()
    assert "Pareto shares" in page
    pool = next(read_pools(next((folder / "page-draws").glob("ppo-ppo-T1-*.jsonl"))))
    assert pool.scores.keys() == {"kl", "log_prob", "mine:letters"}
    options = ("--prompts", "test.jsonl", "--scorer", "mine:letters", "-n", "20", "--samples", "30")
    bare = run("frontier", "out/n2", "out/n8", *options, "--folder", "page-draws")
    assert "What is lacking to best-of-N" in bare.stdout
    assert "at 1:" not in bare.stderr  # nothing is drawn again


@pytest.mark.slow
def test_what_does_not_fit_is_refused_before_anything_is_trained(folder: Path) -> None:
    def refused(*options: str) -> str:
        done = CliRunner().invoke(cli, options)
        assert isinstance(done.exception, UsageError), done.output
        assert not (folder / "out" / "bon_policy.json").exists()
        return str(done.exception)

    assert "temperature is 1.0 in the samples, 0.7 in training" in refused(
        *VBON, "--n", "4", "--temperature", "0.7", "-o", "out"
    )
    pools = list(read_pools(folder / "pools.jsonl"))
    other = [pool.with_scores("other", [Score(value=1.0)] * len(pool)) for pool in pools]
    write_pools(folder / "other.jsonl", other)
    options = (*VBON[:4], "--pools", "other.jsonl", "--scorer", "mine:letters", "--n", "4", "-o", "out")
    assert "scored by another scorer" in refused(*options, "--by", "other")
    missing = [pool.with_scores("mine:letters", [Score.missing("no")] * len(pool)) for pool in pools[:1]] + pools[1:]
    write_pools(folder / "missing.jsonl", missing)
    options = (*VBON[:4], "--pools", "missing.jsonl", "--scorer", "mine:letters", "--n", "4", "-o", "out")
    assert "'ab'" in refused(*options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["train", "vbon", "-o", "out"], "give --reference, --pools, --scorer too"),
        (["train", "vbon", "--preset", "paper"], "there is no preset 'paper'"),
        ([*VBON, "-o", "out"], "give --n too"),
        ([*VBON, "-o", "out", "--objective", "L"], "give --n (or --beta) too"),
        ([*VBON, "-o", "out", "--n", "2.5"], "a whole number"),
        ([*VBON, "-o", "out", "--n", "4", "--rank", "4"], "--rank is of LoRA adapters, and --adapt is full"),
        ([*VBON, "-o", "out", "--n", "4", "--adapt", "lora", "--layers", "7"], "--adapt last trains, and --adapt is l"),
        ([*VBON, "-o", "out", "--n", "4", "--sweep", "ranks.toml"], "--rank is of LoRA adapters, and --adapt is full"),
        ([*VBON, "-o", "out", "--n", "4", "--rollouts", "32", "--minibatch", "100"], "more than the 32 rollouts"),
        ([*VBON, "-o", "out", "--sweep", "third.toml"], "a whole number of responses, not 2.5"),
        ([*VBON, "-o", "out", "--n", "4", "--sweep", "grid.toml"], "--n is given, and the sweep has a list of it"),
        ([*VBON, "-o", "out", "--sweep", "odd.toml"], "a list of 'wings'"),
        ([*VBON, "-o", "out", "--sweep", "none.toml"], "is neither"),
        (
            ["train", "ppo", "--reference", "ref", "--scorer", "mine:letters", "-o", "out"],
            "pools of the reference, or prompts",
        ),
        (["frontier", "ref", "--prompts", "test.jsonl", "--scorer", "mine:letters"], "holds no policy"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(folder: Path, options: list[str], said: str) -> None:
    (folder / "grid.toml").write_text("n = [2, 8]\n")
    (folder / "odd.toml").write_text("wings = [2, 8]\n")
    (folder / "ranks.toml").write_text("rank = [2, 8]\n")
    (folder / "third.toml").write_text("n = [2, 8, 2.5]\n")
    done = CliRunner().invoke(cli, options)
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)
    assert not (folder / "out").exists()  # of a sweep no point is trained before all of them are looked at


def test_every_value_is_shown_with_its_source() -> None:
    def shown(*options: str) -> dict[str, dict[str, object]]:
        done = CliRunner().invoke(cli, ["train", "vbon", "--preset", "paper-tldr", *options, "--show", "--json"])
        table: dict[str, dict[str, object]] = json.loads(done.stdout)
        return table

    told = shown("--lr", "1e-4")
    assert told["lr"] == {"value": 1e-4, "source": "given"}
    assert told["episodes"]["value"] == 10_000
    assert str(told["episodes"]["source"]).startswith("paper-tldr: the paper's settings")
    assert told["rollouts"]["source"] == "paper-tldr: our choice, where its source is silent"
    assert told["warmup"] == {"value": 0.0, "source": "default"}
    assert shown("--objective", "L", "--beta", "0.05")["n"] == {"value": None, "source": "--beta is given"}
    assert "sweep" not in told


def test_what_is_shown_is_what_will_be_used() -> None:
    def shown(method: str, *options: str) -> dict[str, tuple[object, str]]:
        done = CliRunner().invoke(cli, ["train", method, *options, "--show", "--json"], catch_exceptions=False)
        return {name: (each["value"], each["source"]) for name, each in json.loads(done.stdout).items()}

    plain = shown("vbon", "--n", "4", "--rollouts", "32")
    assert plain["epochs"] == (1, "default: as rloo has it")
    assert plain["whiten"] == (False, "default: as rloo has it")
    assert plain["minibatch"] == (32, "default: all of a step")
    assert plain["temperature"] == ("that of the pools", "default")
    assert plain["max_tokens"] == ("that of the pools", "default")
    assert plain["gamma"] == (None, "of --algorithm ppo alone")
    assert (plain["rank"][0], plain["layers"][0]) == (None, None)
    assert plain["law"] == ("ties", "default")
    assert plain["by"] == ("as the scorer is", "default")
    ppo = shown("ppo", "--prompts", __file__, "--adapt", "lora", "--epochs", "2", "--max-tokens", "1M")
    assert (ppo["epochs"], ppo["whiten"]) == ((2, "given"), (True, "default: as ppo has it"))
    assert ppo["max_tokens"] == (64, "default; 1000000 is of the whole run")
    assert (ppo["temperature"], ppo["gamma"], ppo["rank"]) == ((1.0, "default"), (1.0, "default"), (16, "default"))
    authors = shown("vbon", "--mode", "authors", "--n", "100", "--references", "400")
    assert authors["n"] == (99.0, "--mode authors, which makes 99 of 100 (given)")
    assert authors["law"] == ("eq4", "--mode authors")
    assert authors["references"] == (301, "--mode authors: at the most")
    other = shown("vbon", "--mode", "authors", "--n", "4", "--objective", "L1", "--references", "100")
    assert other["objective"] == ("L", "--mode authors, where L1 means L")
    assert (other["n"], other["references"]) == ((4.0, "given"), (100, "given"))
    assert other["law"] == (None, "of --objective eq5 alone")


def test_a_sweep_is_shown_with_its_folders() -> None:
    asked = ["train", "vbon", "--sweep", "paper-sentiment", "-o", "out", "--show"]
    done = CliRunner().invoke(cli, asked, catch_exceptions=False).stdout
    assert "33 trainings, each in a folder of its own:\n  out/n1-seed0\n  out/n1-seed1\n" in done
    assert re.search(r"\nn  +1.0, 2.0, 3.0, 4.0, 8.0, .*, 512.0  the sweep paper-sentiment\n", done)
    table = json.loads(CliRunner().invoke(cli, [*asked, "--json"], catch_exceptions=False).stdout)
    assert table["seed"] == {"value": [0, 1, 2], "source": "the sweep paper-sentiment"}
    assert len(table["sweep"]["value"]) == 33
    assert table["sweep"]["value"]["out/n8-seed2"] == {"n": 8.0, "seed": 2, "beta": None}


@pytest.mark.slow
def test_two_processes_train_from_the_command_line(folder: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "bon"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ACCELERATE_")}
    done = subprocess.run(
        [*command, *VBON, *SHORT, "-n", "4", "-o", "two"],
        env={**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("two: vbon-eq5 on 192 answers") == 1
    steps = [json.loads(line) for line in (folder / "two" / "training" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in steps] == [1, 2, 3]  # one process writes
    assert steps[-1]["reward"] > steps[0]["reward"]
    again = run(*VBON, *SHORT, "-n", "4", "-o", "two")  # known as done, and told in the same order
    assert "step" not in again.stderr
    assert again.stdout == done.stdout
    from bon.train.policy.measures import loaded

    assert loaded("two", device="cpu").eos


def test_every_setting_of_every_preset_is_an_option_of_its_command() -> None:
    import importlib

    from bon.train.policy.presets import METHODS, preset, preset_names

    for method in (*METHODS, "frontier"):
        module = "bon.cli.frontier" if method == "frontier" else f"bon.cli.train_{method}"
        names = {each.name for each in importlib.import_module(module).command.params}
        for name in preset_names():
            assert preset(name, method).keys() <= names, (name, method)  # type: ignore[arg-type]
