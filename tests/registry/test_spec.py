"""The grammar of spec strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import SpecError
from bon.registry import parse_spec


@pytest.mark.parametrize(
    ("text", "kind", "target", "url", "options"),
    [
        ("local", "local", "", None, {}),
        ("gguf:models/a.gguf", "gguf", "models/a.gguf", None, {}),
        ("openai:qwen3-8b@http://localhost:8000/v1", "openai", "qwen3-8b", "http://localhost:8000/v1", {}),
        ("openai:org/m@2024:x@https://h/v1", "openai", "org/m@2024:x", "https://h/v1", {}),
        ("ollama:qwen3:8b", "ollama", "qwen3:8b", None, {}),
        ("local?temperature=0&top_p=0.5", "local", "", None, {"temperature": 0, "top_p": 0.5}),
        ("openai:m@http://h:1/v1?slots=4", "openai", "m", "http://h:1/v1", {"slots": 4}),
        ("argmax?by=math", "argmax", "", None, {"by": "math"}),
        ("threshold:0.9?most=32", "threshold", "0.9", None, {"most": 32}),
        ('local?stop=["a","b"]', "local", "", None, {"stop": ["a", "b"]}),
        ("local?deterministic=true", "local", "", None, {"deterministic": True}),
        ("my.module:function", "my.module", "function", None, {}),
        ("rm:org/name", "rm", "org/name", None, {}),
    ],
)
def test_known_specs(text: str, kind: str, target: str, url: str | None, options: dict[str, object]) -> None:
    spec = parse_spec(text)
    assert (spec.kind, spec.target, spec.url, dict(spec.options)) == (kind, target, url, options)


def test_temperature_zero_survives() -> None:
    assert parse_spec("local?temperature=0").options["temperature"] == 0


def test_nan_is_text_and_no_number() -> None:
    assert parse_spec("local?temperature=NaN").options["temperature"] == "NaN"


@pytest.mark.parametrize("text", ["", "   ", ":x", "@http://h"])
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        parse_spec(text)


def test_an_option_without_a_value_says_so() -> None:
    with pytest.raises(SpecError, match=r"'top_p' has no value; write top_p=value"):
        parse_spec("local?temperature=1&top_p")


words = st.from_regex(r"[a-z][a-z0-9_.-]{0,8}", fullmatch=True)


@given(kind=words, target=words | st.just(""), host=words | st.none(), option=words.filter(str.isidentifier))
def test_what_is_written_is_read(kind: str, target: str, host: str | None, option: str) -> None:
    text = kind + (f":{target}" if target else "") + (f"@http://{host}/v1" if host else "") + f"?{option}=1"
    spec = parse_spec(text)
    assert (spec.kind, spec.target) == (kind, target)
    assert spec.url == (f"http://{host}/v1" if host else None)
    assert spec.options == {option: 1}


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        spec = parse_spec(text)
    except SpecError:
        return
    assert spec.kind
