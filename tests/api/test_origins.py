"""Whether a policy comes from the model that it is compared with."""

from __future__ import annotations

from pathlib import Path

import pytest

import bon
from bon.api.origins import origin, strangers
from bon.registry import Builder
from bon.registry.built import BuiltGenerator
from bon.testing import Scripted
from bon.train.finished import write_report
from bon.train.policy.model import POLICY
from bon.train.policy.outcome import PolicyReport
from bon.train.saving import TRAINING
from bon.types import Candidate, Prompt


def policy(folder: Path, reference: str, revision: str | None = None) -> Path:
    """A folder as far as it says where its policy comes from."""
    (folder / TRAINING).mkdir(parents=True)
    report = PolicyReport(
        out="elsewhere",
        method="ppo",
        reference=reference,
        revision=revision,
        adapt="full",
        settings={},
        seed=0,
        steps=1,
        episodes=1,
        prompts=1,
    )
    write_report(folder, {}, report)
    for name in (POLICY, "config.json", "model.safetensors"):
        (folder / name).write_text("{}")
    return folder


def built(spec: str) -> BuiltGenerator:
    return BuiltGenerator(Scripted("x"), spec=spec, name=spec.partition("?")[0])


def test_a_reference_is_known_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "ref").mkdir()
    (tmp_path / "m.gguf").write_bytes(b"")
    assert origin(f"{tmp_path}/ref", None) == origin(f"{tmp_path}/../{tmp_path.name}/ref/", "v1")
    assert origin(f"gguf:{tmp_path}/m.gguf", None) == origin(f"gguf:{tmp_path}/./m.gguf", None)
    assert origin("owner/name", None) == origin("owner/name", "main")
    assert origin("owner/name", None) != origin("owner/name", "v1")


def test_a_policy_of_another_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "ref").mkdir()
    own = built(f"hf:{policy(tmp_path / 'own', f'{tmp_path}/./ref')}")
    other = built(f"hf:{policy(tmp_path / 'other', 'owner/name', 'v1')}")
    compared = built(f"hf:{tmp_path}/ref?dtype=float32")
    (note,) = strangers(compared, [own, other])
    assert f"{other.name} was trained from owner/name, and best-of-N is of {compared.name}" in note
    assert list(strangers(built("hf:owner/name?revision=v1"), [other])) == []
    assert len(list(strangers(built("hf:owner/name"), [other]))) == 1
    embedded = built(f"hf:{policy(tmp_path / 'embedded', 'local')}")
    assert list(strangers(built("local"), [embedded])) == []
    assert len(list(strangers(built("local"), [own]))) == 1


@pytest.mark.parametrize("compared", ["openai:x@http://localhost:1", "hf:ref?adapter=a", ""])
def test_nothing_is_said_of_what_cannot_be_told(compared: str, tmp_path: Path) -> None:
    other = built(f"hf:{policy(tmp_path / 'other', 'owner/name')}")
    assert list(strangers(built(compared), [other])) == []
    assert list(strangers(built("hf:ref"), [built(f"hf:{tmp_path}/none"), built("scripted")])) == []


def test_a_comparison_has_the_note(tmp_path: Path) -> None:
    def length(prompt: Prompt, candidate: Candidate) -> float:
        return float(len(candidate.text))

    stranger = BuiltGenerator(Scripted("xyz"), spec=f"hf:{policy(tmp_path / 'p', 'owner/name')}", name="hf:p")
    compared = BuiltGenerator(Scripted(lambda _, place: "x" * (place + 1)), spec="hf:other", name="hf:other")
    found = bon.compare(
        [bon.prompt("a", id="a"), bon.prompt("b", id="b")],
        n=2,
        generator=Builder().generator(compared),
        policies=[stranger],
        scorer=bon.pointwise(length),
    )
    assert [note.partition(",")[0] for note in found.notes] == ["hf:p was trained from owner/name"]
    assert found.policies[0].base == "hf:p"
