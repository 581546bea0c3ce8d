from __future__ import annotations

import hashlib
import platform
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bon
from bon.errors import DataError, UsageError
from bon.store.runfile import Run, data_hash, differences, read_run, require_same, run_path, write_run

_SETTINGS: dict[str, Any] = {
    "generator": "openai:qwen3-8b@http://localhost:8000/v1",
    "scorers": ["math", "heuristic"],
    "n": 4,
    "seed": 0,
    "extract": "number",
    "selector": None,
    "request": {"temperature": 0.7, "stop": ["\n\n", 'a "quoted" one'], "response_format": {"type": "json_object"}},
}
_RUN = Run(command="sample", settings=_SETTINGS, data={"prompts.jsonl": "abc"})


def _with(**changes: Any) -> Run:
    return Run(command="sample", settings={**_SETTINGS, **changes}, data=_RUN.data)


def test_a_run_is_written_beside_its_output(tmp_path: Path) -> None:
    output = tmp_path / "pools.jsonl"
    write_run(output, _RUN)
    assert run_path(output) == tmp_path / "pools.jsonl.run.toml"
    table = tomllib.loads(run_path(output).read_text())
    assert table["settings"]["request"]["stop"] == ["\n\n", 'a "quoted" one']
    assert table["versions"] == {"bon": bon.__version__, "python": platform.python_version()}
    again = read_run(output)
    assert again is not None
    assert differences(again, _RUN) == ()


def test_there_may_be_no_run_file(tmp_path: Path) -> None:
    assert read_run(tmp_path / "pools.jsonl") is None
    require_same(tmp_path / "pools.jsonl", _RUN)


@pytest.mark.parametrize("text", ["command = ", 'command = "sample"\n', "\xff"])
def test_a_broken_run_file_says_what_to_do(tmp_path: Path, text: str) -> None:
    output = tmp_path / "pools.jsonl"
    run_path(output).write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"pools\.jsonl\.run\.toml: not a run file .*--restart"):
        read_run(output)


def test_resuming_with_other_settings_names_each_of_them(tmp_path: Path) -> None:
    output = tmp_path / "pools.jsonl"
    write_run(output, _RUN)
    require_same(output, _RUN)
    other = Run(
        command="sample",
        settings={**_SETTINGS, "n": 8, "extract": None, "selector": "argmax", "request": {"temperature": 0}},
        data={"prompts.jsonl": "def"},
    )
    with pytest.raises(UsageError) as caught:
        require_same(output, other)
    message = str(caught.value)
    assert "n was 4, is now 8" in message
    assert "extract was 'number', is now not set" in message
    assert "selector was not set, is now 'argmax'" in message
    assert "request.temperature was 0.7, is now 0;" in message
    assert "request.response_format.type was 'json_object', is now not set" in message
    assert "data was ['abc'], is now ['def']" in message
    assert "-o" in message
    assert "--restart" in message
    assert "generator" not in message
    with pytest.raises(UsageError) as caught:
        require_same(output, _with(n=8, seed=1), ignore=("n",))
    assert "seed was 0, is now 1" in str(caught.value)
    assert "n was" not in str(caught.value)
    require_same(output, _with(n=8), ignore=("n",))
    with pytest.raises(UsageError, match="or remove this one"):
        require_same(output, Run(command="score", settings=_SETTINGS))


def test_temperature_0_is_not_the_same_as_none_set() -> None:
    one, other = _with(request={"temperature": 0}), _with(request={})
    assert [one.name for one in differences(one, other)] == ["request.temperature"]


def test_a_field_taken_away_is_not_the_same_as_one_not_set(tmp_path: Path) -> None:
    taken = _with(request={"max_tokens": None, "tools": [{"enum": [None, 1]}]})
    write_run(tmp_path / "a", taken)
    require_same(tmp_path / "a", taken)
    assert differences(taken, _with(request={"tools": [{"enum": [None, 1]}]}))


def test_versions_and_file_names_are_no_reason_to_refuse(tmp_path: Path) -> None:
    moved = Run(command="sample", settings=_SETTINGS, data={"moved.jsonl": "abc"}, versions={"bon": "9", "python": "4"})
    assert differences(_RUN, moved) == ()


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=3), _values, max_size=4))
def test_a_run_that_is_read_back_does_not_differ(
    tmp_path_factory: pytest.TempPathFactory, settings: dict[str, Any]
) -> None:
    output = tmp_path_factory.getbasetemp() / "any.jsonl"
    run = Run(command="sample", settings=settings)
    write_run(output, run)
    require_same(output, run)


def test_data_is_known_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert data_hash(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()
