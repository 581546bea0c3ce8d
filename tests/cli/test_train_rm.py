"""`bon train rm`: from rows to a folder that scores, on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from bon.store.pools import read_pools, write_pools
from bon.testing.checkpoints import save_tiny_model
from bon.types import Candidate, Pool, Prompt, Score, as_messages

pytest.importorskip("torch")

Bon = Callable[..., CompletedProcess[str]]

TEACHER = '''
def teacher(prompt, candidate):
    """Likes what the labels like, mostly, and is unsure of some."""
    if "7" in prompt.text:
        return 0.4 + 0.2 * ("mind" in candidate.text)
    return 0.4 + 0.3 * ("blue" in candidate.text)
'''


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base") / "model", "llama", context=512)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(TEACHER)
    path = tmp_path / "rows.jsonl"
    lines = [
        {"prompt": f"Why {number}?", "chosen": f"sky {number} blue", "rejected": f"sky mind {number}"}
        for number in range(40)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.slow
def test_rows_become_a_folder_that_scores(bon: Bon, rows: Path, base: Path, tmp_path: Path) -> None:
    options = ["--base", base, "--epochs", "3", "--lr", "1e-3", "--held-out", "0.3"]
    done = bon("train", "rm", rows, "-o", "rm", *options)
    assert "rm: trained on" in done.stdout
    assert "accuracy" in done.stdout
    assert "use it with --scorer rm:rm" in done.stdout
    assert "held-out loss" in done.stderr
    pools = [
        Pool(
            prompt=Prompt(id="a", messages=as_messages("Why 3?")),
            candidates=(Candidate(index=0, text="sky 3 blue"), Candidate(index=1, text="sky mind 3")),
        )
    ]
    write_pools(tmp_path / "pools.jsonl", pools)
    bon("score", "pools.jsonl", "--scorer", "rm:rm", "-o", "scored.jsonl")
    (pool,) = read_pools(tmp_path / "scored.jsonl")
    assert all(value is not None for value in pool.values("rm:rm"))
    again = bon("train", "rm", rows, "-o", "rm", *options, "--json")
    report = json.loads(again.stdout)
    assert report["train"] + report["watched"] + report["held_out"] == 40
    assert "step" not in again.stderr
    other = bon("train", "rm", rows, "-o", "rm", *options, "--seed", "1", check=False)
    assert other.returncode == 2
    assert "trained otherwise" in other.stderr


@pytest.mark.slow
def test_pools_and_a_teacher_and_hard_negatives(bon: Bon, rows: Path, base: Path, tmp_path: Path) -> None:
    def pool(number: int, *, fooled: bool) -> Pool:
        texts = [f"sky {number} blue", f"sky mind {number}", f"no {number}"]
        return Pool(
            prompt=Prompt(id=str(number), messages=as_messages(f"Why {number}?")),
            candidates=tuple(Candidate(index=i, text=text) for i, text in enumerate(texts)),
            scores={
                "judge": tuple(Score(value=value) for value in ((0.2, 0.9, 0.1) if fooled else (0.9, 0.2, 0.1))),
                **({"correct": tuple(Score(value=float(i == 0)) for i in range(3))} if fooled else {}),
            },
        )

    write_pools(tmp_path / "pools.jsonl", [pool(number, fooled=False) for number in range(30)])
    write_pools(tmp_path / "hard.jsonl", [pool(number, fooled=True) for number in range(30, 40)])
    options = ["--base", base, "--epochs", "1", "--held-out", "0.3", "--json"]
    done = bon(
        *("train", "rm", "--pools", "pools.jsonl", "--by", "judge", "--pairs", "all", "--margin", "gap"),
        *("--hard-negatives", "hard.jsonl", "-o", "rm", *options),
    )
    report = json.loads(done.stdout)
    assert report["source"].endswith("and 10 pairs of wrong answers that scored high")
    assert report["held_out"] % 3 == 0  # three pairs a pool, and no hard one
    taught = bon("train", "rm", rows, "--teacher", "mine:teacher", "-o", "taught", *options)
    assert "with soft labels of mine:teacher (scale " in json.loads(taught.stdout)["source"]


@pytest.mark.slow  # each starts a process that loads torch
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", "rm"], "give preferences as DATA, or scored pools as --pools"),
        (["rows.jsonl", "--pools", "rows.jsonl", "-o", "rm"], "one of them"),
        (["rows.jsonl", "-o", "rm", "--lr", "0"], "lr is 0.0"),
        (["rows.jsonl", "-o", "rm", "--held-out", "1.5"], "between 0 and 1"),
        (["rows.jsonl", "-o", "rm", "--max-tokens", "100"], "a unit"),
        (["rows.jsonl", "-o", "rm", "--by", "nobody"], "no scores 'nobody'"),
        (["rows.jsonl", "-o", "rm", "--base", "./nowhere"], "there is no model folder './nowhere'"),
        (["none.jsonl", "-o", "rm"], "none.jsonl"),
        (["rows.jsonl", "-o", "rm", "--init", ".", "--base", "local", "--head", "mlp"], "leave out --base and --head"),
        (["rows.jsonl", "-o", "rm", "--rank", "4"], "--rank is of LoRA adapters, and --adapt is head"),
        (["rows.jsonl", "-o", "rm", "--checkpointing"], "checkpointing is for adapt='lora' or 'full'"),
        (["rows.jsonl", "-o", "rm", "--adapt", "full", "--features", "f"], "features are kept of a base that stays"),
        (["rows.jsonl", "-o", "rm", "--revision", "abc"], "revision='abc' is of a base on a hub, and base is 'local'"),
        (["rows.jsonl", "-o", "rm", "--teacher-scale", "2"], "teacher_scale is 2.0, and there is no teacher"),
        (["rows.jsonl", "-o", "rm", "--hard-by", "x"], "hard_by is 'x', and there are no hard_negatives"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(bon: Bon, rows: Path, options: list[str], said: str) -> None:
    done = bon("train", "rm", *options, check=False)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert not (rows.parent / "rm").exists(), "nothing is half written"


@pytest.mark.slow
def test_a_row_that_cannot_be_used_is_told_of_and_the_others_train(bon: Bon, rows: Path, base: Path) -> None:
    rows.write_text(rows.read_text() + '{"prompt": "Why?", "chosen": "one"}\nno json\n')
    done = bon("train", "rm", rows, "-o", "rm", "--base", base, "--epochs", "1", "--held-out", "0.3", check=False)
    assert done.returncode == 1
    assert "2" in done.stderr
    assert "rows.jsonl" in done.stderr
    assert (rows.parent / "rm" / "bon_reward.json").exists()


def test_the_group_says_what_there_is(bon: Bon) -> None:
    assert "reward model" in bon("train", "--help").stdout
    assert "Did you mean 'rm'?" in bon("train", "rms", check=False).stderr
