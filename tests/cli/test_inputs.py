"""Inputs of `bon sample` and `bon score` that are not as they should be; and checking them before anything is spent."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from bon.store.pools import read_pools
from bon.testing import FaultServer

Bon = Callable[..., CompletedProcess[str]]

LINES = [
    b'{"id": "a", "prompt": "What is 1 + 1?", "reference": "2"}',
    b'{"id": "b", "promt": "?"}',
    b"",
    b'{"id": "c", "prompt": "caf\xe9"}',
    b'{"id": "a", "prompt": "again"}',
    b'{"id": "d", "prompt": "What is 2 + 2?", "reference": "4"}\r',
    b'{"id": "e", "prompt": "?", "request": {"temperature": NaN}}',
    b'{"id": "f", "prompt": "cut',
]
BAD = {2: "invalid", 4: "not_utf8", 5: "duplicate_id", 7: "not_json", 8: "truncated"}


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\n".join(LINES))
    return path


def _errors(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(f"{out}.errors.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("how", ["file", "gz", "stdin"])
def test_bad_lines_are_told_of_and_the_others_drawn(bon: Bon, prompts: Path, tmp_path: Path, how: str) -> None:
    out, source, stdin = tmp_path / "pools.jsonl", prompts, ""
    if how == "gz":
        source = tmp_path / "prompts.jsonl.gz"
        source.write_bytes(gzip.compress(prompts.read_bytes()))
    if how == "stdin":
        prompts.write_bytes(prompts.read_bytes().replace(b"caf\xe9", b'"'))  # what is no text cannot be typed here
        source, stdin = Path("-"), prompts.read_text()
    done = bon("sample", source, "-g", "tiny:model", "-n", "2", "-o", out, "--json", check=False, stdin=stdin)
    assert done.returncode == 1
    assert json.loads(done.stdout)["bad_lines"] == 5
    assert [pool.prompt.id for pool in read_pools(out)] == ["a", "d"]
    rows = _errors(out)
    assert [row["line"] for row in rows] == list(BAD)
    assert [row["error"] for row in rows] == [*BAD.values()] if how != "stdin" else True
    assert [row["id"] for row in rows] == ["b", "c", "a", "e", "f"]
    assert rows[0]["text"] == LINES[1].decode()
    name = "<stdin>" if how == "stdin" else str(source)
    assert (
        f"5 lines of {name} could not be used: see {out}.errors.jsonl. The first: {name}:2: unknown key" in done.stderr
    )


def test_the_same_command_after_the_lines_are_mended_draws_the_rest_and_leaves_no_errors(
    bon: Bon, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pools.jsonl"
    args = ("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out, "--json")
    bon(*args, check=False)
    again = bon(*args, check=False)
    assert again.returncode == 1
    assert json.loads(again.stdout)["made"] == 0
    assert len(_errors(out)) == 5
    prompts.write_bytes(b"\n".join(b'{"id": "%c", "prompt": "What is it, %c?"}' % (c, c) for c in b"xyz"))
    mended = json.loads(bon(*args).stdout)
    assert (mended["made"], mended["bad_lines"]) == (3, 0)
    assert not Path(f"{out}.errors.jsonl").exists()


def test_a_damaged_compressed_input_is_drawn_up_to_the_damage(bon: Bon, tmp_path: Path) -> None:
    source, out = tmp_path / "prompts.jsonl.gz", tmp_path / "pools.jsonl"
    packed = gzip.compress(b"".join(b'{"id": "%d", "prompt": "?"}\n' % n for n in range(20)))
    source.write_bytes(packed[:-8])
    done = bon("sample", source, "-g", "tiny:model", "-n", "1", "-o", out, check=False)
    assert done.returncode == 1
    assert len(list(read_pools(out))) == 20
    assert [(row["line"], row["error"]) for row in _errors(out)] == [(21, "damaged")]
    assert "fetch the file again" in done.stderr


# --strict


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer() as running:
        yield running


@pytest.mark.parametrize("source", ["prompts.jsonl", "-"])
async def test_strict_lists_the_problems_and_spends_nothing(
    bon: Bon, prompts: Path, tmp_path: Path, server: FaultServer, source: str
) -> None:
    out = tmp_path / "pools.jsonl"
    stdin = "" if source != "-" else prompts.read_bytes().replace(b"caf\xe9", b'"').decode()
    args = ("sample", source, "-g", f"openai:m@{server.url}", "-n", "2", "-o", out, "--strict", "--json")
    done = await asyncio.to_thread(bon, *args, check=False, stdin=stdin)
    assert done.returncode == 2
    name = "<stdin>" if source == "-" else source
    head, *listed = done.stderr.splitlines()
    assert head == f"bon: 5 lines of {name} cannot be used; nothing was drawn (--strict):"
    assert [line.split(": ")[0] for line in listed] == [f"  {name}:{number}" for number in BAD]
    assert done.stdout == ""
    assert len(server.ledger) == 0
    assert not list(tmp_path.glob("pools.jsonl*"))


def test_strict_builds_no_model_and_touches_no_output(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    (tmp_path / "heavy.py").write_text("from pathlib import Path\nPath('built').touch()\nfrom tiny import model\n")
    out = tmp_path / "pools.jsonl"
    out.write_text("what an earlier run has left\n")
    done = bon("sample", prompts, "-g", "heavy:model", "-n", "2", "-o", out, "--strict", "--restart", check=False)
    assert done.returncode == 2
    assert not (tmp_path / "built").exists()
    assert out.read_text() == "what an earlier run has left\n"
    assert list(tmp_path.glob("pools.jsonl*")) == [out]


def test_the_first_twenty_problems_are_listed(bon: Bon, tmp_path: Path) -> None:
    source = tmp_path / "prompts.jsonl"
    source.write_text("nonsense\n" * 25)
    done = bon("sample", source, "-g", "tiny:model", "-n", "1", "-o", tmp_path / "o.jsonl", "--strict", check=False)
    assert len(done.stderr.splitlines()) == 22
    assert done.stderr.endswith("\n  and 5 more\n")


@pytest.mark.parametrize("source", ["prompts.jsonl", "-"])
def test_a_sound_input_is_drawn_under_strict(bon: Bon, prompts: Path, tmp_path: Path, source: str) -> None:
    prompts.write_bytes(b"\n".join([LINES[0], LINES[5]]))
    out = tmp_path / "pools.jsonl"
    stdin = prompts.read_text() if source == "-" else ""
    done = bon("sample", source, "-g", "tiny:model", "-n", "2", "-o", out, "--strict", "--json", stdin=stdin)
    assert json.loads(done.stdout)["pools"] == 2
    assert [pool.prompt.id for pool in read_pools(out)] == ["a", "d"]


# bon score


@pytest.fixture
def pools(bon: Bon, tmp_path: Path) -> Path:
    """Two good pools, a bad line between them, and one that is cut short."""
    prompts, out = tmp_path / "good.jsonl", tmp_path / "pools.jsonl"
    prompts.write_bytes(b"\n".join([LINES[0], LINES[5]]))
    bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out)
    first, last = out.read_bytes().splitlines()
    out.write_bytes(b"\n".join([first, b'{"id": "x", "prompt": "?", "candidates": [{"text": 4}]}', last, last[:-20]]))
    return out


def test_pools_that_cannot_be_read_are_told_of_and_the_others_scored(bon: Bon, pools: Path, tmp_path: Path) -> None:
    out = tmp_path / "scored.jsonl"
    done = bon("score", pools, "-s", "math", "-o", out, "--json", check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["bad_lines"] == 2
    assert [pool.prompt.id for pool in read_pools(out)] == ["a", "d"]
    assert all("math" in pool.scores for pool in read_pools(out))
    assert [(row["line"], row["error"], row["id"]) for row in _errors(out)] == [
        (2, "invalid", "x"),
        (4, "truncated", "d"),
    ]
    assert f"2 lines of {pools} could not be used: see {out}.errors.jsonl" in done.stderr


@pytest.mark.parametrize("strict", [True, False])
def test_in_place_or_strictly_nothing_is_scored_where_a_line_is_bad(
    bon: Bon, pools: Path, tmp_path: Path, strict: bool
) -> None:
    (tmp_path / "costly.py").write_text(
        "from pathlib import Path\ndef judge(prompt, candidate):\n    Path('asked').touch()\n    return 1.0\n"
    )
    before = pools.read_bytes()
    where = ("-o", tmp_path / "scored.jsonl", "--strict") if strict else ()
    done = bon("score", pools, "-s", "costly:judge", *where, check=False)
    assert done.returncode == 2
    assert ("(--strict)" if strict else "writing the file anew would lose them (--out FILE") in done.stderr
    assert f"{pools}:2: field 'candidates[0].text'" in done.stderr
    assert f"{pools}:4: the last line is cut short" in done.stderr
    assert not (tmp_path / "asked").exists()
    assert pools.read_bytes() == before
    assert not list(tmp_path.glob("scored.jsonl*"))
    assert not list(tmp_path.glob("*.errors.jsonl"))


def test_scoring_in_place_leaves_what_the_sampling_told_of_its_prompts(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "pools.jsonl"
    bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out, check=False)
    bon("score", out, "-s", "math")
    assert len(_errors(out)) == 5
