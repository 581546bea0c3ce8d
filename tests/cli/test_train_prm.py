"""`bon train prm`: from labelled steps to a folder that scores them, on the command line."""

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
from bon.types import Score


async def teacher(pool):
    """Says of every line whether "blue" is in it; it is not asked about whole solutions."""
    steps = [pool.prompt.metadata["steps"] for _ in pool.candidates]
    marks = [tuple(0.9 if "blue" in step else 0.2 for step in one) for one in steps]
    return [Score(value=min(one), steps=one) for one in marks]
'''


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base") / "model", "llama", context=512)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(TEACHER)
    path = tmp_path / "rows.jsonl"
    lines = [
        {
            "prompt": f"Why {number}?",
            "completions": [f"sky {number}.", "the blue air." if number % 2 else "the mind."],
            "labels": [True, bool(number % 2)],
        }
        for number in range(40)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.slow
def test_rows_become_a_folder_that_scores_steps(bon: Bon, rows: Path, base: Path, tmp_path: Path) -> None:
    options = ["--base", base, "--epochs", "3", "--lr", "1e-3", "--held-out", "0.3"]
    done = bon("train", "prm", rows, "-o", "prm", *options, "--loss", "bce", "--separator", "\\n")
    assert "prm: trained on" in done.stdout
    assert "first_error_f1" in done.stdout
    assert "use it with --scorer prm:prm" in done.stdout
    assert "held-out loss" in done.stderr
    assert json.loads((tmp_path / "prm" / "bon_reward.json").read_text())["separator"] == "\n"
    pools = [
        Pool(
            prompt=Prompt(id="a", messages=as_messages("Why 3?")),
            candidates=(Candidate(index=0, text="sky 3.\n\nthe blue air.\n\nso blue"),),
        )
    ]
    write_pools(tmp_path / "pools.jsonl", pools)
    bon("score", "pools.jsonl", "--scorer", "prm:prm?aggregate=prod")
    [pool] = read_pools(tmp_path / "pools.jsonl")
    [scores] = pool.scores.values()
    assert scores[0].steps is not None
    assert len(scores[0].steps) == 3


@pytest.mark.slow
def test_a_teacher_gives_soft_labels_and_hard_negatives_go_in(bon: Bon, rows: Path, base: Path, tmp_path: Path) -> None:
    hard = [
        Pool(
            prompt=Prompt(id=str(number), messages=as_messages(f"Who {number}?")),
            candidates=(Candidate(index=0, text="the blue sky"), Candidate(index=1, text="a mind\n\nthe blue")),
            scores={
                "correct": (Score(value=1.0), Score(value=0.0, steps=(0.0, 1.0))),
                "fooled": (Score(value=0.3), Score(value=0.8)),
            },
        )
        for number in range(3)
    ]
    write_pools(tmp_path / "hard.jsonl", hard)
    options = ["--base", base, "--epochs", "1", "--held-out", "0.3", "--json"]
    teaching = ["--teacher", "mine:teacher", "--hard-negatives", "hard.jsonl"]
    done = bon("train", "prm", rows, "-o", "prm", *options, *teaching)
    report = json.loads(done.stdout)
    assert "with soft labels of mine:teacher" in report["source"]
    assert "3 wrong solutions that scored high" in report["source"]
    assert report["train"] + report["watched"] + report["held_out"] >= 40
    assert report["figures"]["loss"]["value"] > 0


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((), "give solutions as DATA, or scored pools"),
        (("rows.jsonl", "--pools", "rows.jsonl"), "and one of them"),
        (("pairs.jsonl",), "its steps have no scores"),
        (("rows.jsonl", "--loss", "hinge"), "'hinge' is not one of"),
        (("rows.jsonl", "--max-tokens", "3"), "give --max-tokens a unit"),
    ],
)
def test_bad_usage_says_what_to_give(
    bon: Bon, rows: Path, tmp_path: Path, arguments: tuple[str, ...], what: str
) -> None:
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    done = bon("train", "prm", *arguments, "-o", "prm", check=False)
    assert done.returncode == 2
    assert what in done.stderr
