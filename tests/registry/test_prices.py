"""What models cost: what bon.toml says, what the list says, and who is not asked."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import bon
from bon.errors import UsageError
from bon.ledger import Caps, Ledger, Price
from bon.registry import Builder, Config, load_config
from bon.registry.prices import price_of
from bon.testing import FaultServer, Scripted

listed = pytest.mark.skipif(find_spec("genai_prices") is None, reason="needs genai-prices: pip install 'bon[prices]'")


def config(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "bon.toml"
    path.write_text(text)
    return load_config({"BON_CONFIG": str(path)})


def test_prices_of_the_file_are_dollars_a_million_tokens(tmp_path: Path) -> None:
    read = config(
        tmp_path,
        """
        [prices."qwen/qwen3-8b"]
        prompt = 0.25
        completion = 1
        cached = 0.125
        call = 0.001
        [prices.mine]
        prompt = 0
        completion = 0
        """,
    )
    assert read.prices == {
        "qwen/qwen3-8b": Price(prompt=2.5e-7, completion=1e-6, cached=1.25e-7, call=0.001),
        "mine": Price(prompt=0, completion=0),
    }
    assert price_of("mine", url="https://api.openai.com/v1", prices=read.prices) == Price(prompt=0, completion=0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[prices]\nm = 3\n", r"""prices.m is 3; write \[prices."m"\] and prompt = """),
        ("[prices.m]\nprompt = 1\n", r"""\[prices."m"\] needs completion: US dollars a million tokens"""),
        ("[prices.m]\ncompletion = 1\n", "needs prompt"),
        ("[prices.m]\nprompt = 1\ncompletion = 1\noutput = 2\n", "unknown key 'output'; there are prompt, completion"),
        ("[prices.m]\nprompt = '1'\ncompletion = 1\n", "prompt is '1'; it must be a number of US dollars"),
        ("[prices.m]\nprompt = true\ncompletion = 1\n", "prompt is True"),
        ("[prices.m]\nprompt = -1\ncompletion = 1\n", "must be a finite number of dollars"),
        ("[prices.m]\nprompt = nan\ncompletion = 1\n", "must be a finite number of dollars"),
        ("[prices.m]\nprompt = 1\ncompletion = 1\ncached = 2\n", "it is a rebate"),
        ("prices = 3\n", "must be a section"),
    ],
)
def test_prices_that_are_none_are_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        config(tmp_path, text)
    assert "bon.toml" in str(caught.value)


@listed
def test_the_list_is_asked_by_model_and_address() -> None:
    found = price_of("gpt-4o-mini", url="https://api.openai.com/v1", prices={})
    assert found is not None
    assert 0 < found.prompt < found.completion < 1e-4
    assert found.cached is not None
    assert found.cached < found.prompt
    assert price_of("no-such-model", url="https://api.openai.com/v1", prices={}) is None
    assert price_of("gpt-4o-mini", url="https://gateway.example/v1", prices={}) is None, "who knows what they charge"


@listed
def test_where_the_price_depends_on_the_size_or_the_hour_it_is_the_highest() -> None:
    import genai_prices

    url, model = "https://generativelanguage.googleapis.com/v1beta/openai", "gemini-2.5-pro"
    found = price_of(model, url=url, prices={})
    assert found is not None
    for size in (1_000, 1_000_000):
        usage = genai_prices.Usage(input_tokens=size, output_tokens=1_000)
        bill = genai_prices.calc_price(usage, model, provider_api_url=url)
        ours = found.of(bon.Usage(prompt_tokens=size, completion_tokens=1_000))
        assert ours >= float(bill.total_price) * (1 - 1e-9)
    assert ours == pytest.approx(float(bill.total_price)), "the largest is met exactly"


@pytest.mark.parametrize(
    "url",
    [
        None,
        "http://localhost:8000/v1",
        "http://127.0.0.1/v1",
        "http://10.1.2.3/v1",
        "http://[::1]:1/v1",
        "http://gpu:1/",
    ],
)
def test_what_runs_here_or_next_door_has_no_list_price_and_no_library_is_loaded(url: str | None) -> None:
    code = (
        "import sys\nfrom bon.registry.prices import price_of\n"
        f"print(price_of('gpt-4o-mini', url={url!r}, prices={{}}), 'genai_prices' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["None", "False"]


def test_without_the_library_a_money_cap_says_what_to_install(tmp_path: Path) -> None:
    """The library is hidden by a module of its name that cannot be imported."""
    (tmp_path / "genai_prices.py").write_text("raise ImportError('not here')")
    code = (
        "import bon\n"
        "with bon.Ledger(bon.Caps(money=1)):\n"
        "    bon.best_of_n('Why?', n=1, generator='openai:gpt-4o-mini@https://api.openai.com/v1', scorer='heuristic')"
    )
    environment = {"PYTHONPATH": str(tmp_path), "OPENAI_API_KEY": "none", "HTTPS_PROXY": "http://127.0.0.1:1"}
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    ).stderr
    assert "UsageError: there is a cap on money, and no price of openai:gpt-4o-mini is known" in said
    assert "pip install 'bon[prices]'" in said


async def test_a_price_of_the_file_goes_for_endpoints_and_for_generators_of_yours(tmp_path: Path) -> None:
    prices = "[prices.m]\nprompt = 1e6\ncompletion = 1e6\n[prices.scripted]\nprompt = 0\ncompletion = 0\ncall = 0.5\n"
    builder = Builder(config(tmp_path, prices))
    async with FaultServer(answers=["one two"]) as server:
        with builder.generator(f"openai:m@{server.url}", max_tokens=5) as generator, Ledger(Caps(money=1e6)) as ledger:
            (draw,) = [draw async for draw in generator(bon.prompt("Why?"), 1)]
        (call,) = server.ledger.calls
    assert isinstance(draw, bon.Candidate)
    assert ledger.spent.money == call.billed.total_tokens
    with Ledger(Caps(money=1)) as ledger:
        draws = [draw async for draw in builder.generator(Scripted(["a"]))(bon.prompt("Why?", max_tokens=5), 4)]
    assert ledger.spent.money == 1
    assert sum(isinstance(draw, bon.Candidate) for draw in draws) == 2
