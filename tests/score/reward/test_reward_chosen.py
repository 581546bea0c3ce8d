"""What a spec says of a model and what comes of it: names with slips, options that would change nothing, devices."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the torch extra is not installed")

import bon
from bon.errors import ModelError, UsageError
from bon.score.process.formats import FORMATS
from bon.score.reward import FAMILIES
from bon.testing import pool_of
from bon.testing.checkpoints import save_tiny_process_model, save_tiny_reward_model


@pytest.fixture(scope="module")
def rm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_reward_model(tmp_path_factory.mktemp("rm"))


@pytest.fixture(scope="module")
def prm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_process_model(tmp_path_factory.mktemp("prm"))


async def refused(spec: str) -> str:
    with bon.scorer(spec) as scorer, pytest.raises((ModelError, UsageError)) as caught:
        await scorer(pool_of(["a", "b"]))
    return str(caught.value)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("rm:skywrok", "no short name of a reward model: did you mean rm:skywork?"),
        ("prm:math-shepard", "no short name of a process reward model: did you mean prm:math-shepherd?"),
        ("rm:zzzzzz", "`bon list scorers` shows the short names"),
    ],
)
async def test_a_name_with_a_slip_is_told_the_short_name_it_is_like(spec: str, said: str) -> None:
    assert said in await refused(spec)


async def test_a_revision_of_a_folder_is_refused(rm: Path, prm: Path) -> None:
    for spec in (f"rm:{rm}?revision=abc", f"prm:{prm}?revision=abc"):
        assert "revision=abc is of a model on a hub, and" in await refused(spec)


async def test_a_published_model_is_fetched_where_its_safetensors_lie() -> None:
    with bon.scorer("rm:deberta") as scorer:
        identity = scorer.thing.identity
    assert identity["revision"] == "refs/pr/3"  # its main branch has a pickle alone
    with bon.scorer("rm:deberta?revision=mine") as scorer:
        assert scorer.thing.identity["revision"] == "mine"


async def test_an_option_that_a_family_does_not_read_is_refused(rm: Path) -> None:
    assert "'classifier' models read no instruct=; they read output, template" in await refused(f"rm:{rm}?instruct=x")


def test_each_family_reads_only_options_that_there_are() -> None:
    for each in (*FAMILIES.values(), *FORMATS.values()):
        assert set(each.reads) <= {"output", "template", "instruct"}


@pytest.mark.parametrize("kind", ["rm", "prm"])
async def test_a_device_that_is_none_or_is_not_here_is_an_error_and_no_missing_score(
    kind: str, rm: Path, prm: Path
) -> None:
    folder = {"rm": rm, "prm": prm}[kind]
    assert "device 'banana' is none: cpu, cuda" in await refused(f"{kind}:{folder}?device=banana")
    assert "device=cuda:77 is not here: torch sees" in await refused(f"{kind}:{folder}?device=cuda:77")
