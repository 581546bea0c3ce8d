"""From specs, bon.toml and the environment to things."""

from __future__ import annotations

from pathlib import Path

import pytest

import bon
from bon.budgets import Fixed, Threshold
from bon.errors import MissingExtra, SpecError, UsageError
from bon.protocols import StreamingGenerator
from bon.registry import KINDS, Builder, Config, load_config
from bon.testing import Scripted, pool_of


def config(tmp_path: Path, text: str, **environment: str) -> Config:
    path = tmp_path / "bon.toml"
    path.write_text(text)
    return load_config({"BON_CONFIG": str(path), **environment})


def test_defaults_of_the_file_and_of_the_environment(tmp_path: Path) -> None:
    read = config(tmp_path, "[defaults]\nn = 4\ntemperature = 0\ngenerator = 'local'\n", BON_N="5", BON_TOP_P="0.5")
    assert dict(read.defaults) == {"n": 5, "temperature": 0, "generator": "local", "top_p": 0.5}
    assert read.request == {"temperature": 0, "top_p": 0.5}
    assert Builder(read).request == {"temperature": 0, "top_p": 0.5, "max_tokens": 512}
    assert Builder(read).n == 5
    assert Builder(read, n=6).n == 6


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[default]\n", "unknown section 'default'"),
        ("[defaults]\ntemprature = 1\n", "unknown default 'temprature'"),
        ("[defaults\n", "is not TOML"),
        ("defaults = 3\n", "must be a section"),
        ("[defaults]\ngenerator = 3\n", "must be a text"),
        ("[defaults]\ntemperature = 'hot'\n", "must be a number"),
        ("[defaults]\nn = true\n", "must be a whole number"),
        ("[scorers]\nmine = 'math'\n", r"write \[scorers.mine\]"),
    ],
)
def test_a_bad_file_is_refused_with_its_name(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        config(tmp_path, text)
    assert "bon.toml" in str(caught.value)


def test_bad_environment_variables_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="BON_N is 'eight'"):
        load_config({"BON_N": "eight"})
    with pytest.raises(UsageError, match="BON_CONFIG names"):
        load_config({"BON_CONFIG": str(tmp_path / "missing.toml")})


def test_names_stand_for_specs_and_carry_options(tmp_path: Path) -> None:
    builder = Builder(
        config(
            tmp_path,
            """
            [scorers.sure]
            spec = "selfcertainty?kind=sampled"
            [selectors.cool]
            spec = "softmax?temperature=2"
            by = "sure"
            [budgets.few]
            spec = "twice"
            most = 3
            [budgets.twice]
            spec = "threshold:0.5"
            """,
        )
    )
    assert builder.scorer("sure").name == "sure"
    assert builder.scorer("sure").pointwise is True
    assert builder.selector("cool").keywords == {"temperature": 2, "by": "sure"}
    assert builder.budget("few").thing == Threshold(0.5, most=3)


def test_a_name_that_names_itself_is_refused(tmp_path: Path) -> None:
    builder = Builder(config(tmp_path, "[scorers.a]\nspec = 'b'\n[scorers.b]\nspec = 'a'\n"))
    with pytest.raises(SpecError, match="a -> b -> a"):
        builder.scorer("a")


def test_generators_around_generators(tmp_path: Path) -> None:
    pools = tmp_path / "pools.jsonl"
    prompt = bon.prompt("Why?")
    bon.write_pools(pools, [pool_of(["a", "b", "c"], prompt=prompt)])
    builder = Builder(
        config(
            tmp_path,
            f"""
            [generators.old]
            spec = "replay:{pools}"
            [generators.styles]
            kind = "variations"
            generator = "old"
            variations = ["", "Be brief."]
            [generators.both]
            kind = "mixture"
            generators = ["old", "styles"]
            """,
        )
    )
    r = bon.best_of_n(prompt, n=3, generator=builder.generator("both"), scorer="heuristic")
    assert [c.text for c in r.pool.candidates] == ["a", "b", "c"]
    assert [c.variation for c in r.pool.candidates] == [None, "Be brief.", None]


@pytest.mark.parametrize(
    ("seam", "spec", "says"),
    [
        ("generator", "mixture", "needs generators"),
        ("generator", "hf", "needs a model folder or a hub id"),
        ("generator", "openai", "needs a model"),
        ("generator", "openai:m@http://h/v1?key=sk-1", "key_env=MY_KEY"),
        ("generator", "openai:m@http://h/v1?key_env=NOT_SET", "key_env names 'NOT_SET'"),
        ("generator", "locale", "did you mean 'local'"),
        ("scorer", "selfcertainty?kin=top", "did you mean 'kind'"),
        ("scorer", "selfcertainty?kind=best", "none of"),
        ("scorer", "recorded", "recorded:FILE"),
        ("selector", "argmax?bye=math", "did you mean 'by'"),
        ("selector", "majorty", "did you mean 'majority'"),
        ("budget", "fixed:eight", "whole number"),
        ("budget", "fixed:0", "at least 1"),
        ("budget", "threshold", "does not say its value; write threshold:VALUE"),
        ("scorer", "heuristic:xyz", "takes nothing after the colon"),
        ("scorer", "heuristic@http://h", "has no address"),
        ("selector", "argmax:math", "write argmax"),
        ("selector", "softmax?temperature=abc", "must be a number"),
        ("selector", "argmax?by=5", "must be a text"),
        ("generator", "openai:m@http://h/v1?slots=abc", "whole number"),
        ("generator", "openai:m@http://h/v1?use_n=7", "auto, true or false"),
        ("generator", "os:sep", "cannot be called"),
        ("generator", "os:getcwd?foo=2", "takes no options"),
        ("budget", "treshold:1", "did you mean 'threshold'"),
    ],
)
def test_specs_that_name_nothing_say_what_would(seam: str, spec: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        getattr(Builder(Config()), seam)(spec)


def test_budgets_take_n_from_the_run() -> None:
    assert Builder(Config(), n=5).budget("fixed").thing == Fixed(5)
    assert Builder(Config(), n=5).budget("fixed:3").thing == Fixed(3)
    assert Builder(Config(), n=5).budget("threshold:1?by=x").thing == Threshold(1, by="x", most=5)


def test_what_is_built_offers_what_the_thing_offers() -> None:
    built = Builder(Config()).generator(Scripted(["a"]))
    assert isinstance(built, StreamingGenerator)
    assert built.name == "scripted"
    assert Builder(Config()).generator(built) is built
    with pytest.raises(AttributeError):
        _ = built.nothing


def test_every_kind_says_how_it_is_written_and_what_it_is() -> None:
    for seam, kinds in KINDS.items():
        for name, kind in kinds.items():
            assert kind.usage.startswith(name), f"{seam} {name}"
            assert 10 < len(kind.summary) < 200, f"{seam} {name}: {kind.summary!r}"


def test_a_missing_package_names_its_extra() -> None:
    error = MissingExtra("torch", extra="torch", needed_for="'hf:x'")
    assert "pip install 'bon[torch]'" in str(error)
    assert isinstance(error, ImportError)
