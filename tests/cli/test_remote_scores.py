"""`--scorer remote:URL` from the shell: pools are scored over HTTP, with the key that the environment holds."""

from __future__ import annotations

import json
from asyncio import to_thread
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from bon.store.pools import write_pools
from bon.testing import Fault, RewardServer, pool_of
from bon.types import Prompt, as_messages

Bon = Callable[..., CompletedProcess[str]]

KEY = "sk-canary-77777777"


async def test_pools_are_scored_and_a_second_run_asks_nothing(bon: Bon, tmp_path: Path) -> None:
    prompts = [Prompt(id=f"p{i}", messages=as_messages(f"{i} + {i}?")) for i in range(3)]
    write_pools(tmp_path / "pools.jsonl", [pool_of(["1", "22", "333"], prompt=prompt) for prompt in prompts])
    async with RewardServer(lambda _, answer: len(answer), faults=[Fault(status=429)]) as server:
        spec = f"remote:{server.root}?api=vllm-classify&key_env=RM_KEY&name=reward"
        command = ("score", "pools.jsonl", "--scorer", spec, "-o", "scored.jsonl")
        await to_thread(lambda: bon(*command, RM_KEY=KEY))
        asked = len(server.ledger)
        await to_thread(lambda: bon(*command, RM_KEY=KEY))
        assert (asked, len(server.ledger)) == (10, 10)
        assert {call.headers["authorization"] for call in server.ledger.calls} == {f"Bearer {KEY}"}
    rows = [json.loads(line) for line in (tmp_path / "scored.jsonl").read_text().splitlines()]
    assert [[c["scores"]["reward"]["value"] for c in row["candidates"]] for row in rows] == [[1.0, 2.0, 3.0]] * 3
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


async def test_a_cap_holds_and_raising_it_asks_about_the_rest_alone(bon: Bon, tmp_path: Path) -> None:
    write_pools(tmp_path / "pools.jsonl", [pool_of(["1", "22", "333"])])
    async with RewardServer(lambda _, answer: len(answer)) as server:
        spec = f"remote:{server.root}?api=vllm-classify&name=reward"
        command = ("score", "pools.jsonl", "--scorer", spec, "-o", "scored.jsonl", "--max-calls")
        capped = await to_thread(lambda: bon(*command, "2", check=False))
        assert (capped.returncode, len(server.ledger)) == (1, 2)
        await to_thread(lambda: bon(*command, "5"))
        assert len(server.ledger) == 3
    candidates = json.loads((tmp_path / "scored.jsonl").read_text())["candidates"]
    assert [c["scores"]["reward"]["value"] for c in candidates] == [1.0, 2.0, 3.0]
