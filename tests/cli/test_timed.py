"""What drawing took is what passed, and not what every prompt waited."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from bon.api.timed import read_timed
from bon.store.pools import read_pools, write_pools
from bon.store.runfile import Run, read_run, run_path, write_run
from bon.types import Candidate, Pool, Prompt, Spent

Bon = Callable[..., CompletedProcess[str]]

SLOW = """
from bon.testing import Scripted

model = Scripted("yes", delay=0.4)
"""


def test_seconds_of_prompts_drawn_side_by_side_add_up_to_what_passed(bon: Bon, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"prompt": f"Why {i}?"}) + "\n" for i in range(16)))
    bon("sample", "p.jsonl", "-g", "slow:model", "-n", "1", "-o", "pools.jsonl")
    out = tmp_path / "pools.jsonl"
    run = read_run(out)
    assert run is not None
    passed = run.spent["seconds"]
    assert sum(pool.spent.seconds for pool in read_pools(out)) > 2 * passed
    timed = list(read_timed(out))
    assert sum(pool.spent.seconds for pool in timed) == pytest.approx(passed)
    assert [pool.candidates for pool in timed] == [pool.candidates for pool in read_pools(out)]


@pytest.mark.parametrize(
    ("spent", "wanted"), [({"seconds": 3.0}, [1.0, 2.0]), ({"seconds": 60.0}, [2.0, 4.0]), ({}, [2.0, 4.0])]
)
def test_shares_are_in_proportion_and_never_more_than_was_said(
    tmp_path: Path, spent: dict[str, float], wanted: list[float]
) -> None:
    out = tmp_path / "pools.jsonl"
    pools = [
        Pool(prompt=Prompt(id=str(s), messages=()), candidates=(Candidate(index=0, text="a"),), spent=Spent(seconds=s))
        for s in (2.0, 4.0)
    ]
    write_pools(out, pools)
    write_run(out, Run(command="sample", spent=spent))
    assert [pool.spent.seconds for pool in read_timed(out)] == wanted
    run_path(out).unlink()
    assert list(read_timed(out)) == pools
