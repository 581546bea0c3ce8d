"""The kind `prm`: its short names, what is listed and shown of them, and which options a spec may have."""

from __future__ import annotations

from pathlib import Path

import pytest

import bon
from bon.errors import SpecError
from bon.registry.process import PROCESS
from bon.registry.spec import parse_spec
from bon.score.process import FORMATS, Marking, ProcessReward
from bon.score.reward import aliases
from bon.testing.checkpoints import save_tiny_process_model, save_tiny_reward_model


def test_a_short_name_stands_for_a_published_model() -> None:
    built = bon.scorer("prm:qwen?aggregate=prod&threshold=0.3")
    assert isinstance(built.thing, ProcessReward)
    assert built.name == "prm:qwen"
    assert built.thing.source == "Qwen/Qwen2.5-Math-PRM-7B"
    assert built.thing.marking == Marking(aggregate="prod", threshold=0.3)
    assert built.pointwise


def test_every_short_name_is_of_a_format_that_there_is() -> None:
    members = PROCESS.members
    assert members is not None
    listed = members()
    for name, alias in aliases("prm").items():
        assert alias.family in FORMATS
        assert alias.id in listed[name]


def test_a_short_name_is_shown_with_all_that_is_known() -> None:
    about = PROCESS.about
    assert about is not None
    assert about(parse_spec("prm:./folder")) == ""
    shown = about(parse_spec("prm:qwen"))
    for part in ("Qwen/Qwen2.5-Math-PRM-7B", "7B", "4,096 tokens", "trained on: maths", "format: qwen, read from"):
        assert part in shown


def test_a_folder_is_shown_with_the_format_it_will_be_read_by(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the torch extra is not installed")
    about = PROCESS.about
    assert about is not None
    save_tiny_process_model(tmp_path / "prm")
    assert about(parse_spec(f"prm:{tmp_path}/prm")).startswith("format: own, read from bon/models/own.py")
    save_tiny_reward_model(tmp_path / "rm")
    assert "is a reward model of whole answers" in about(parse_spec(f"prm:{tmp_path}/rm"))


def test_a_splitter_of_yours_is_named_by_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_splitters.py").write_text("def words(text):\n    return text.split()\n\n\nNUMBER = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    marking = bon.scorer("prm:qwen?steps=my_splitters:words").thing.marking  # type: ignore[attr-defined]
    assert marking.steps("a b") == ["a", "b"]
    for spec, said in (
        ("prm:qwen?steps=my_splitters:NUMBER", "is 3 and no function of a text"),
        ("prm:qwen?steps=my_splitters:none", "has no 'none'"),
        ("prm:qwen?steps=no_such_module:words", "there is no module 'no_such_module'"),
    ):
        with pytest.raises(SpecError, match=said):
            bon.scorer(spec)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("prm:", "names no process reward model"),
        ("prm:qwen?family=none", "there is no format 'none'"),
        ("prm:qwen?agregate=min", "did you mean 'aggregate'"),
        ("prm:qwen?aggregate=median", "must be one of min, prod"),
        ("prm:qwen?steps=lines", "must be auto, step, numbered"),
        ("prm:qwen?threshold=high", "must be a number"),
        ("prm:qwen?tokens=0", "1 or more"),
        ("prm:qwen?output=1", "has no option 'output'"),
    ],
)
def test_options_are_checked_before_anything_is_loaded(spec: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        bon.scorer(spec)
