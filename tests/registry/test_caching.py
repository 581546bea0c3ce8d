"""Which things are cached, how that is said, and that what is found is neither called nor paid for."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bon.errors import UsageError
from bon.generate.cached import Cached
from bon.ledger import Caps, Ledger
from bon.registry import Builder, Config, load_config
from bon.registry.caching import CacheSettings
from bon.score.cached import CachedScorer
from bon.testing import Fault, FaultServer, pool_of
from bon.types import Candidate, Draw, Pool, Prompt, Score

PROMPT = Prompt(id="p", messages=({"role": "user", "content": "Why?"},), request={"seed": 1, "max_tokens": 8})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "responses.sqlite"


async def texts(generator: Any, n: int = 4) -> list[str]:
    draws = [draw async for draw in generator(PROMPT, n)]
    await asyncio.sleep(0.01)  # what was put is committed
    draws.sort(key=lambda draw: draw.index)
    return [f"{draw.text} by {draw.generator}" for draw in draws if isinstance(draw, Candidate)]


def config(tmp_path: Path, text: str, **environment: str) -> Config:
    path = tmp_path / "bon.toml"
    path.write_text(text)
    return load_config({"BON_CONFIG": str(path), **environment})


# How it is said


@pytest.mark.parametrize(
    ("size", "most_bytes"),
    [
        ('"1 GiB"', 1 << 30),
        ('"500 MB"', 500_000_000),
        ('"1.5gib"', 3 << 29),
        ('"2000kB"', 2_000_000),
        ('"2097152 B"', 1 << 21),
        ("2097152", 1 << 21),
    ],
)
def test_settings_of_the_file(tmp_path: Path, size: str, most_bytes: int) -> None:
    read = config(tmp_path, f'[cache]\nmode = "write"\nsize = {size}\n')
    assert read.cache == CacheSettings(mode="write", most_bytes=most_bytes)


def test_the_command_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    assert Config().cache == CacheSettings(mode="off", most_bytes=1 << 30)
    read = config(tmp_path, '[cache]\nmode = "write"\n', BON_CACHE_MODE="read", BON_CACHE_SIZE="3 MiB")
    assert read.cache == CacheSettings(mode="read", most_bytes=3 << 20)
    assert Builder(read).cache == read.cache
    assert Builder(read, cache="refresh").cache == CacheSettings(mode="refresh", most_bytes=3 << 20)
    assert Builder(read, cache="off").cache.mode == "off"


@pytest.mark.parametrize(
    ("text", "environment", "says"),
    [
        (
            '[cache]\nmode = "on"\n',
            {},
            r"bon.toml: \[cache\] mode is 'on'; it must be one of off, read, write, refresh",
        ),
        ("[cache]\nmode = true\n", {}, "mode is True"),
        ("[cache]\nsizes = 3\n", {}, r"unknown key 'sizes' in \[cache\]; there are mode, size"),
        ('[cache]\nsize = "large"\n', {}, r"\[cache\] size is 'large'; it must be a number of bytes, or a text like"),
        ('[cache]\nsize = "1 G"\n', {}, "size is '1 G'"),
        ("[cache]\nsize = true\n", {}, "size is True"),
        ('[cache]\nsize = "1 KiB"\n', {}, "size is '1 KiB'; it must be at least 1 MiB"),
        ("cache = 3\n", {}, "must be a section"),
        ("", {"BON_CACHE_MODE": "yes"}, "BON_CACHE_MODE is 'yes'; it must be one of"),
        ("", {"BON_CACHE_SIZE": "1"}, "BON_CACHE_SIZE is '1'; it must be"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, text: str, environment: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        config(tmp_path, text, **environment)


def test_a_bad_mode_in_python_is_named() -> None:
    with pytest.raises(UsageError, match="cache is 'yes'; it must be one of off, read, write, refresh"):
        Builder(Config(), cache="yes")


# What is cached


async def test_nothing_is_cached_unless_asked_for(cache: Path) -> None:
    async with FaultServer() as server:
        for mode in (None, "off"):
            with Builder(Config(), cache=mode).generator(f"openai:test-model@{server.url}") as generator:
                await texts(generator)
        assert len(server.ledger) == 8
    assert not cache.exists()


@pytest.mark.parametrize("options", ["", "?hedge=true"])
async def test_an_endpoint_is_called_once_for_what_is_drawn_twice(cache: Path, options: str) -> None:
    async with FaultServer() as server:
        spec = f"openai:test-model@{server.url}{options}"
        with Builder(Config(), cache="write").generator(spec) as generator:
            first = await texts(generator)
            assert isinstance(generator.thing, Cached)
        with Builder(Config(), cache="read").generator(spec) as generator:
            assert await texts(generator) == first
        assert len(server.ledger) == 4
        with Builder(Config(), cache="refresh").generator(spec) as generator:
            assert await texts(generator) != first
        assert len(server.ledger) == 8
    assert cache.exists()


async def test_the_parts_of_a_composite_are_cached_each_for_itself(tmp_path: Path) -> None:
    async with FaultServer(answers=lambda request, number: f"{request['model']} {number}") as server:
        text = f"""
            [generators.one]
            spec = "openai:one@{server.url}"
            [generators.two]
            spec = "openai:two@{server.url}"
            [generators.both]
            kind = "mixture"
            generators = ["one", "two"]
            [generators.styles]
            kind = "variations"
            generator = "one"
            variations = ["", "Be brief."]
            [generators.safe]
            kind = "fallback"
            generators = ["one", "two"]
        """
        built = config(tmp_path, text)
        calls, seen = 0, {}
        for spec, more in (("both", 4), ("both", 0), ("styles", 2), ("styles", 0), ("one", 2), ("one", 0), ("safe", 0)):
            with Builder(built, cache="write").generator(spec) as generator:
                assert not isinstance(generator.thing, Cached) or spec == "one"
                found = await texts(generator)
                assert found == seen.setdefault(spec, found)
            calls += more
            assert len(server.ledger) == calls, spec
        assert [text.split()[0] for text in seen["both"]] == ["one", "two", "one", "two"]
        assert [text.split(" by ")[1] for text in seen["both"]] == ["openai:one", "openai:two"] * 2
        assert seen["safe"] == seen["one"]


async def test_a_fallback_keeps_what_its_second_drew_under_the_seconds_name(tmp_path: Path) -> None:
    async with FaultServer(faults=Fault(status=400)) as broken, FaultServer() as server:
        text = f"""
            [generators.safe]
            kind = "fallback"
            generators = ["openai:one@{broken.url}", "openai:two@{server.url}"]
        """
        built = config(tmp_path, text)
        for _ in range(2):
            with Builder(built, cache="write").generator("safe") as generator:
                assert [text.split(" by ")[1] for text in await texts(generator)] == ["openai:two"] * 4
        assert len(server.ledger) == 4


def dice(**attributes: Any) -> Any:
    calls = 0

    async def draw(prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
        nonlocal calls
        for index in range(start, start + n):
            calls += 1
            yield Candidate(index=index, text=str(calls), generator="dice")

    for name, value in attributes.items():
        setattr(draw, name, value)
    return draw


async def test_a_generator_of_yours_is_cached_where_it_says_who_it_is() -> None:
    built = Builder(Config(), cache="write").generator(dice(identity="dice 1"))
    first = await texts(built)
    assert await texts(Builder(Config(), cache="write").generator(dice(identity="dice 1"))) == first
    assert await texts(Builder(Config(), cache="write").generator(dice(identity="dice 2"))) == first  # counted anew
    assert isinstance(built.thing, Cached)
    assert not isinstance(Builder(Config(), cache="write").generator(dice()).thing, Cached)


async def test_what_is_found_is_not_paid_for() -> None:
    """The cache is around the meter: under a cap of four calls the same four draws can be had any number of times."""
    builder = Builder(Config(), cache="write")
    with Ledger(Caps(calls=4)) as ledger:
        first = await texts(builder.generator(dice(identity="dice")))
        for _ in range(3):
            assert await texts(builder.generator(dice(identity="dice")), 5) == first, "for a fifth there is no room"
        assert ledger.spent.calls == 4
        assert ledger.reached is not None


async def test_scorers_that_wait_and_say_who_they_are_are_cached() -> None:
    asked: list[str] = []

    async def judge(prompt: Prompt, candidate: Candidate) -> float:
        asked.append(candidate.text)
        return 1.0

    async def ranker(pool: Pool) -> Sequence[Score]:
        asked.append("all")
        return [Score(value=0.5)] * len(pool)

    def quick(prompt: Prompt, candidate: Candidate) -> float:
        return 1.0

    judge.identity = ranker.identity = quick.identity = "1"  # type: ignore[attr-defined]
    pool = pool_of(["a", "b"])
    for scorer in (judge, ranker):
        for _ in range(2):
            built = Builder(Config(), cache="write").scorer(scorer)
            assert isinstance(built.thing, CachedScorer)
            assert built.name == scorer.__name__
            await built(pool)
            await asyncio.sleep(0.01)
    assert asked == ["a", "b", "all"]
    assert not isinstance(Builder(Config(), cache="write").scorer(quick).thing, CachedScorer)
    assert not isinstance(Builder(Config(), cache="off").scorer(judge).thing, CachedScorer)
    for spec in ("heuristic", "math", "agreement"):
        assert not isinstance(Builder(Config(), cache="write").scorer(spec).thing, CachedScorer)


def test_a_process_has_one_cache_at_a_path_as_long_as_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Builder(Config(), cache="write").generator(dice(identity="1"))
    two = Builder(Config(), cache="read").generator(dice(identity="2"))
    assert one.responses is two.responses
    monkeypatch.setenv("BON_CACHE", str(tmp_path / "elsewhere"))
    other = Builder(Config(), cache="write").generator(dice(identity="1"))
    assert other.responses is not one.responses
    database = one.responses._database
    del one, two
    gc.collect()
    with pytest.raises(Exception, match="is closed"):
        database.flush()
