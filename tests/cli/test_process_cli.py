"""Process reward models from the command line: shown, scoring a file of pools, and measured on labelled steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import bon as library
from bon.testing.checkpoints import save_tiny_process_model
from bon.types import Candidate, Pool, Prompt, as_messages

Bon = Callable[..., CompletedProcess[str]]

pytest.importorskip("torch", reason="the torch extra is not installed")

STEPS = ["2 + 2 is 4.", "4 + 1 is 5.\n\nThat is all."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_process_model(tmp_path_factory.mktemp("model") / "prm")


def test_short_names_are_listed_and_shown(bon: Bon) -> None:
    listed = json.loads(bon("list", "scorers", "--json").stdout)["scorers"]
    assert "Qwen/Qwen2.5-Math-PRM-7B" in listed["prm:qwen"]
    shown = bon("show", "prm:skywork").stdout
    assert "format: skywork, read from SkyworkAI/skywork-o1-prm-inference" in shown


@pytest.mark.slow
def test_a_file_of_pools_gets_step_scores(bon: Bon, tmp_path: Path, folder: Path) -> None:
    candidates = tuple(Candidate(index=i, text=text) for i, text in enumerate(("\n\n".join(STEPS), "5", "")))
    pool = Pool(prompt=Prompt(id="p", messages=as_messages("What is 2 + 2 + 1?")), candidates=candidates)
    library.write_pools(tmp_path / "pools.jsonl", [pool])
    spec = f"prm:{folder}?device=cpu&aggregate=mean"
    assert bon("score", tmp_path / "pools.jsonl", "--scorer", spec, "-o", tmp_path / "out.jsonl").returncode == 0
    [scored] = library.read_pools(tmp_path / "out.jsonl")
    [(name, (first, second, empty))] = scored.scores.items()
    assert len(first.steps or ()) == 3
    assert first.value == pytest.approx(sum(first.steps or ()) / 3)
    assert first.value == first.parts["mean"]
    assert len(second.steps or ()) == 1
    assert (empty.value, empty.reason) == (None, "an empty answer has no steps")
    assert json.loads(bon("select", tmp_path / "out.jsonl", "--by", name, "--json").stdout.splitlines()[0])


@pytest.mark.slow
def test_labelled_steps_are_measured(bon: Bon, tmp_path: Path, folder: Path) -> None:
    rows = [
        {"id": f"math-{n}", "problem": f"What is {n} + 2?", "steps": STEPS, "label": n % 2 - 1, "generator": "g",
         "final_answer_correct": n % 2 == 0}
        for n in range(4)
    ]  # fmt: skip
    data = tmp_path / "processbench.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for threshold, flawed, flawless in ((0, 0.0, 1.0), (2, 1.0, 0.0)):
        done = bon("bench", data, "-s", f"prm:{folder}?device=cpu&threshold={threshold}", "--json")
        found = {(row["subset"], row["metric"]): row for row in json.loads(done.stdout)["rows"]}
        assert found["math", "accuracy, flawed"]["value"] == flawed
        assert found["math", "accuracy, flawless"]["value"] == flawless
        assert found["math", "f1"]["value"] == 0.0
        assert found["math", "f1"]["unscored"] == 0, "two steps as labelled, though one holds a blank line"
