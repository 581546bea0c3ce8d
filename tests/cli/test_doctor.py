"""`bon doctor`, against a real endpoint in another process and against scorers of ours."""

from __future__ import annotations

import json
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable, Sequence
from subprocess import CompletedProcess

import pytest

from bon.generate.openai import OpenAIGenerator
from bon.score import agreement, heuristic, math, selfcertainty
from bon.testing import Fault, FaultServer, RewardServer, Scripted, pool_of
from bon.testing.examine import examine_generator, examine_scorer
from bon.testing.finding import Finding
from bon.types import Pool, Score

Bon = Callable[..., CompletedProcess[str]]


async def verdicts(findings: AsyncIterator[Finding]) -> dict[str, str]:
    return {finding.check: finding.verdict async for finding in findings}


async def test_a_scripted_generator_is_seen_as_what_it_is() -> None:
    found = await verdicts(examine_generator(Scripted(lambda prompt, index: f"draw {index} of a colour")))
    assert found["answers"] == "yes"
    assert found["seed"] == "yes"
    assert found["streams"] == "yes"
    assert found["logprobs"] == "no"
    assert found["temperature 0"] == "no", "it says another thing at each index, whatever the temperature"
    assert found["honours n"] == "unknown"


async def test_a_generator_that_answers_nothing_is_told_in_one_finding() -> None:
    findings = [finding async for finding in examine_generator(Scripted([OSError("down")]))]
    assert [(finding.check, finding.verdict) for finding in findings] == [("answers", "no")]
    assert "OSError: down" in findings[0].detail


@pytest.mark.parametrize("honours", [True, False])
async def test_an_endpoint_that_ignores_n_is_found_out(honours: bool) -> None:
    faults = None if honours else Fault(choices=lambda n: 1)
    async with FaultServer(faults=faults) as server:
        generator = OpenAIGenerator("m", url=server.url)
        found = await verdicts(examine_generator(generator))
        generator.close()
    assert found["answers"] == "yes"
    assert found["honours n"] == ("yes" if honours else "no")


@pytest.mark.parametrize("scorer", [heuristic, agreement, math, selfcertainty])
async def test_sound_scorers_pass(scorer: Callable[..., object]) -> None:
    assert set((await verdicts(examine_scorer(scorer))).values()) == {"yes"}  # type: ignore[arg-type]


async def test_a_scorer_without_anything_to_score_says_why() -> None:
    findings = [finding async for finding in examine_scorer(selfcertainty, pool=pool_of(["a", "b"]))]
    assert findings[0].verdict == "no"
    assert "missing because" in findings[0].detail


async def test_a_scorer_that_looks_at_positions_is_found_out() -> None:
    class Positions:
        pointwise = True

        async def __call__(self, pool: Pool) -> Sequence[Score]:
            return [Score(value=float(position)) for position in range(len(pool))]

    found = await verdicts(examine_scorer(Positions()))
    assert found["the same in any order"] == "no"
    assert found["the same alone as in a batch"] == "no"


async def test_a_scorer_with_a_memory_is_found_out() -> None:
    calls = 0

    async def moody(pool: Pool) -> Sequence[Score]:
        nonlocal calls
        calls += 1
        return [Score(value=float(calls))] * len(pool)

    assert (await verdicts(examine_scorer(moody)))["the same again"] == "no"


async def test_a_scorer_that_raises_is_a_finding() -> None:
    async def broken(pool: Pool) -> Sequence[Score]:
        raise ZeroDivisionError("division by zero")

    findings = [finding async for finding in examine_scorer(broken)]
    assert [(f.check, f.verdict) for f in findings] == [("scores", "no")]
    assert "ZeroDivisionError" in findings[0].detail


def test_the_command_tells_generators_from_scorers(bon: Bon) -> None:
    generator = json.loads(bon("doctor", "tiny:model", "--as", "generator", "--json").stdout)
    assert generator[0]["check"] == "answers"
    scorer = json.loads(bon("doctor", "heuristic", "--json").stdout)
    assert scorer[0]["check"] == "scores"
    unclear = bon("doctor", "tiny:model", check=False)
    assert unclear.returncode == 2
    assert "--as" in unclear.stderr


def test_an_endpoint_that_is_not_there_is_exit_1(bon: Bon) -> None:
    done = bon("doctor", "openai:m@http://127.0.0.1:9/v1", check=False)
    assert done.returncode == 1
    assert done.stdout.split()[:2] == ["no", "answers:"]


async def test_a_reward_model_behind_an_endpoint_is_examined(bon: Bon) -> None:
    async with RewardServer(bos=2) as server:
        spec = f"remote:{server.root}?api=vllm-classify"
        plain = await to_thread(bon, "doctor", spec)
        told = await to_thread(bon, "doctor", spec, "--json")
    verdicts = {row["check"]: row["verdict"] for row in json.loads(told.stdout)}
    assert verdicts.pop("one BOS") == "no"
    assert set(verdicts.values()) == {"yes"}, told.stdout
    lines = plain.stdout.splitlines()
    assert len(lines) == len(verdicts) + 1
    assert [line.split()[0] for line in lines if "one BOS" in line] == ["no"]
    assert "a chat template and a tokenizer both put a BOS" in plain.stdout


async def test_an_endpoint_that_does_not_score_is_exit_1(bon: Bon) -> None:
    async with RewardServer(faults=Fault(status=401)) as server:
        done = await to_thread(bon, "doctor", f"remote:{server.root}?api=vllm-classify", check=False)
    assert done.returncode == 1
    assert "Denied" in done.stdout
