"""`bon train sft|dpo|bonbon`: from scored pools to a folder that draws, on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from bon.store.pools import read_pools, write_pools
from bon.testing.checkpoints import save_tiny_model
from bon.testing.pools import pool_of
from bon.types import Prompt, as_messages

torch = pytest.importorskip("torch")
from safetensors.torch import load_file  # noqa: E402  # it needs torch

Bon = Callable[..., CompletedProcess[str]]

QUICK = ["--reference", "ref", "--lr", "1e-3", "--batch", "4", "--device", "cpu"]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base") / "model", "qwen2")


@pytest.fixture
def pools(tmp_path: Path, reference: Path) -> Path:
    """Six draws of each of four prompts, of which the shortest is best; the reference lies beside them as `ref`."""
    (tmp_path / "ref").symlink_to(reference)
    words = ["sky", "the sky", "the sky is", "the sky is blue", "the sky is blue and", "the sky is blue and so on"]
    made = []
    for number in range(4):
        prompt = Prompt(
            id=f"p{number}", messages=as_messages(f"Why {number}?"), request={"max_tokens": 8, "top_p": 1.0}
        )
        made.append(pool_of(words, scores={"tiny:shortest": [-len(word) for word in words]}, prompt=prompt))
    write_pools(tmp_path / "ref.jsonl", made)
    return tmp_path / "ref.jsonl"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "options", "episodes"),
    [("sft", ["--n", "3"], 8), ("dpo", ["--beta", "0.3"], 120), ("bonbon", ["--adapt", "lora", "--rank", "2"], 8)],
)
def test_pools_become_a_folder_that_draws(
    bon: Bon, pools: Path, tmp_path: Path, kind: str, options: list[str], episodes: int
) -> None:
    asked = ["train", kind, "--pools", pools, "--by", "tiny:shortest", "-o", "out", *QUICK, *options]
    done = bon(*asked)
    assert f"out: {kind} on {episodes} answers to 4 prompts" in done.stdout
    assert "use it with --generator hf:out" in done.stdout
    assert "preprocessing: 0.0 s, 0 tokens of 24 answers" in done.stdout
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Why 3?"}\n')
    bon("sample", "prompts.jsonl", "--generator", "hf:out", "-n", "2", "--max-tokens", "4", "-o", "drawn.jsonl")
    (pool,) = read_pools(tmp_path / "drawn.jsonl")
    assert len(pool) == 2
    again = bon(*asked, "--json")
    report = json.loads(again.stdout)
    assert (report["method"], report["episodes"], report["settings"]["by"]) == (kind, episodes, "tiny:shortest")
    assert "step" not in again.stderr
    other = bon(*asked, "--seed", "1", check=False)
    assert other.returncode == 2
    assert "trained otherwise" in other.stderr


@pytest.mark.slow
def test_rounds_draw_and_score_between_trainings(bon: Bon, pools: Path, tmp_path: Path) -> None:
    more = ["--rounds", "2", "--scorer", "tiny:shortest", "--draws", "4", "--n", "2", "--json"]
    done = bon("train", "sft", "--pools", pools, "-o", "out", *QUICK, *more)
    report = json.loads(done.stdout)
    assert (report["reference"], report["settings"]["rounds"]) == ("ref", 2)
    assert report["cost"]["inference"]["draws"] == 16
    assert "round 2: 4 prompts drawn and scored" in done.stderr
    drawn = list(read_pools(tmp_path / "out" / "rounds" / "2" / "pools.jsonl"))
    assert [len(pool) for pool in drawn] == [4] * 4
    assert all(value is not None for pool in drawn for value in pool.values("tiny:shortest"))


@pytest.mark.slow
def test_a_sweep_is_a_folder_a_point(bon: Bon, pools: Path, tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text("beta = [0.1, 0.5]\n")
    asked = ["train", "dpo", "--pools", pools, "-o", "runs", "--sweep", "grid.toml", *QUICK, "--json"]
    reports = json.loads(bon(*asked).stdout)
    assert [report["settings"]["beta"] for report in reports] == [0.1, 0.5]
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"beta0.1", "beta0.5"}
    again = bon(*asked)
    assert json.loads(again.stdout) == reports
    assert "step" not in again.stderr


@pytest.mark.slow
def test_two_processes_train_what_one_does(bon: Bon, pools: Path, tmp_path: Path) -> None:
    asked = ["train", "dpo", "--pools", "ref.jsonl", "-n", "3", *QUICK[:-2]]
    bon(*asked, "-o", "one", "--device", "cpu")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "bon"]
    done = subprocess.run(
        [*command, *asked, "-o", "two"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("two: dpo on ") == 1
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)


def test_every_value_is_shown_with_its_source_and_nothing_is_trained(bon: Bon, tmp_path: Path) -> None:
    done = bon("train", "bonbon", "--preset", "paper-tldr", "--n", "8", "-o", "out", "--show", "--json")
    table = json.loads(done.stdout)
    assert table["lr"]["value"] == 3e-6
    assert table["lr"]["source"].startswith("paper-tldr: ")
    assert table["n"] == {"value": 8, "source": "given"}
    assert table["alpha"] == {"value": "so that both terms are equal before the first step", "source": "default"}
    assert table["adam_eps"] == {
        "value": 1e-5,
        "source": "paper-tldr: the paper's settings for summarisation (Amini et al., ICLR 2025)",
    }
    assert table["temperature"] == {"value": "at which the pools were drawn", "source": "default"}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["train", "sft"], "give -o, --reference, --pools too"),
        (["train", "dpo", "--pools", "bare.jsonl", "-o", "out", *QUICK], "'p' has no scores: score it first"),
        (
            ["train", "dpo", "--pools", "ref.jsonl", "--by", "rm", "-o", "out", *QUICK],
            "no scores by 'rm'; it has 'tiny:sh",
        ),
        (["train", "dpo", "--pools", "one.jsonl", "-o", "out", *QUICK], "fewer than two draws"),
        (["train", "sft", "--pools", "one.jsonl", "-o", "out", *QUICK], "the best of nothing"),
        (["train", "bonbon", "--pools", "odd.jsonl", "-o", "out", *QUICK], "from 2 to 6 scored draws"),
        (["train", "dpo", "--pools", "ref.jsonl", "--beta", "0", "-o", "out", *QUICK], "beta is 0.0"),
        (["train", "sft", "--pools", "ref.jsonl", "--scorer", "heuristic", "-o", "out", *QUICK], "give --rounds too"),
        (["train", "sft", "--pools", "ref.jsonl", "--rounds", "2", "-o", "out", *QUICK], "give --scorer SPEC"),
        (["train", "sft", "--pools", "ref.jsonl", "-o", "out", "--reference", "./nowhere"], "'./nowhere'"),
        (["train", "dpo", "--pools", "ref.jsonl", "-o", "out", *QUICK, "--sweep", "beta.toml"], "beta is 0.0"),
        (["train", "sft", "--pools", "ref.jsonl", "-o", "out", *QUICK, "--sweep", "rounds.toml"], "give --scorer SPEC"),
        (["train", "sft", "--pools", "ref.jsonl", "-o", "out", *QUICK, "--layers", "7"], "--adapt is full: leave it"),
        (["train", "sft", "--pools", "ref.jsonl", "-o", "out", "--preset", "mine"], "no preset 'mine'"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(bon: Bon, pools: Path, tmp_path: Path, options: list[str], said: str) -> None:
    write_pools(tmp_path / "bare.jsonl", [pool_of(["a", "b"])])
    one = pool_of(["a"], scores={"rm": [0.1]})
    write_pools(tmp_path / "one.jsonl", [one])
    (tmp_path / "beta.toml").write_text("beta = [0.1, 0.0]\n")
    (tmp_path / "rounds.toml").write_text("rounds = [1, 2]\n")
    given = list(read_pools(pools))
    write_pools(tmp_path / "odd.jsonl", [*given[1:], given[0].only([0, 5])])
    done = bon(*options, check=False)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert not list(tmp_path.glob("out/**/bon_policy.json"))
