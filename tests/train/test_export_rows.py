"""Exported rows are what TRL reads, and what bon itself reads back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bon
from bon import Candidate, Pool, Prompt, Score, UsageError
from bon.cli import cli
from bon.store.datasets import load
from bon.train.rows import KINDS, rows_of

ASKED = [{"role": "user", "content": "What is 2 + 2?"}]


def pool(**more: object) -> Pool:
    """Four candidates: right and best, wrong, right and cut off, and one without a score."""
    return Pool(
        prompt=Prompt(id="p", messages=tuple(more.get("messages", ASKED))),  # type: ignore[arg-type]
        candidates=(
            Candidate(index=0, text="Two and two.\n\nIt is 4."),
            Candidate(index=1, text="It is 5."),
            Candidate(index=2, text="It is 4, since", finish_reason="length"),
            Candidate(index=3, text="It is"),
        ),
        scores={
            "correct": (Score(value=1.0), Score(value=0.0), Score(value=1.0), Score.missing("unread")),
            "rm": (Score(value=2.0), Score(value=-1.0), Score(value=3.0), Score(value=0.5)),
            "prm": (
                Score(value=0.2, steps=(0.9, 0.2)), Score(value=0.1, steps=(0.1,)), Score.missing("cut"),
                Score(value=0.5, steps=(0.5, 0.5, 0.5)),
            ),
        },
    )  # fmt: skip


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def test_sft_is_the_chosen_one_and_never_one_that_was_cut_off() -> None:
    assert rows_of(pool(), "sft", by="prm") == [{"prompt": ASKED, "completion": said("It is")}]
    assert rows_of(pool(), "sft", selector=lambda _: np.array([1.0, 0, 0, 0])) == [
        {"prompt": ASKED, "completion": said("Two and two.\n\nIt is 4.")}
    ]
    assert rows_of(pool(), "sft", selector=lambda _: np.array([0, 1.0, 0, 0])) == "its choice is wrong"
    assert rows_of(pool(), "sft", by="rm") == "its choice was cut off"


def test_dpo_and_reward_pair_a_better_with_a_worse_one_and_prefer_nothing_that_was_cut_off() -> None:
    every = rows_of(pool(), "dpo", by="rm", pairing="all")
    assert {(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in every} == {  # type: ignore[index, union-attr]
        ("Two and two.\n\nIt is 4.", "It is"), ("Two and two.\n\nIt is 4.", "It is 5."), ("It is", "It is 5."),
    }  # fmt: skip
    margins = rows_of(pool(), "reward", by="rm", pairing="all")
    assert sorted(row["margin"] for row in margins) == [1.5, 1.5, 3.0]  # type: ignore[index]


def test_kto_labels_each_candidate_that_has_a_value() -> None:
    rows = rows_of(pool(), "kto")
    assert [(row["completion"][0]["content"], row["label"]) for row in rows] == [  # type: ignore[index, union-attr]
        ("Two and two.\n\nIt is 4.", True), ("It is 5.", False),
    ]  # fmt: skip


def test_stepwise_rows_have_as_many_labels_as_steps() -> None:
    assert rows_of(pool(), "stepwise") == [
        {"prompt": "What is 2 + 2?", "completions": ["Two and two.\n\n", "It is 4."], "labels": [True, False]},
        {"prompt": "What is 2 + 2?", "completions": ["It is 5."], "labels": [False]},
    ]
    chat = [{"role": "system", "content": "Be brief."}, *ASKED]
    assert "several messages" in rows_of(pool(messages=chat), "stepwise")


@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_without_candidates_says_so(kind: str) -> None:
    assert rows_of(Pool(prompt=Prompt(id="p", messages=())), kind) == "no candidates"  # type: ignore[arg-type]


def test_a_scorer_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="nobody"):
        rows_of(pool(), "kto", by="nobody")


def test_bon_reads_back_what_it_exports(tmp_path: Path) -> None:
    pools, rows = tmp_path / "pools.jsonl", tmp_path / "rows.jsonl"
    bon.write_pools(pools, [pool()])
    for kind, fmt in (("dpo", "preference"), ("stepwise", "stepwise")):
        ran = CliRunner().invoke(cli, ["export", str(pools), "--to", kind, "--by", "rm", "-o", str(rows)])
        if kind == "stepwise":
            ran = CliRunner().invoke(cli, ["export", str(pools), "--to", kind, "-o", str(rows)])
        assert ran.exit_code == 0, ran.output
        found = list(load(rows, format=fmt))
        assert found
        assert all("correct" in each.scores for each in found)


def test_what_gives_no_rows_is_counted_with_its_reason(tmp_path: Path) -> None:
    pools = tmp_path / "pools.jsonl"
    bon.write_pools(pools, [pool()])
    ran = CliRunner().invoke(cli, ["export", str(pools), "--to", "sft", "--by", "rm"])
    assert ran.stdout == ""
    assert "1 pools give none: its choice was cut off" in ran.stderr


@pytest.mark.parametrize(
    ("kind", "idle"),
    [("dpo", ["--select", "argmax"]), ("kto", ["--pairs", "all"]), ("reward", ["--threshold", "0.9"])],
)
def test_an_option_that_would_change_nothing_is_refused(kind: str, idle: list[str], tmp_path: Path) -> None:
    pools = tmp_path / "pools.jsonl"
    bon.write_pools(pools, [pool()])
    ran = CliRunner().invoke(cli, ["export", str(pools), "--to", kind, *idle])
    assert isinstance(ran.exception, UsageError)
    assert idle[0] in str(ran.exception)
    assert ran.stdout == ""


@pytest.mark.slow
def test_trl_takes_the_rows_for_conversations() -> None:
    data_utils = pytest.importorskip("trl.data_utils", reason="trl is for tests of parity")
    for kind in ("dpo", "reward", "kto"):
        for row in rows_of(pool(), kind):  # type: ignore[arg-type]
            assert data_utils.is_conversational(row), json.dumps(row)
