"""Specs of kind `remote`: where they ask, what they may say, and what they refuse."""

from __future__ import annotations

import pytest

from bon.errors import SpecError
from bon.ledger import Price
from bon.registry import Builder
from bon.registry.builder import DryBuilder
from bon.registry.config import Config
from bon.score.remote import SHAPES, RemoteScorer, Terms


def built(spec: str, **options: object) -> RemoteScorer:
    scorer = Builder(Config()).scorer(spec, **options)
    scorer.close()
    assert isinstance(scorer.thing, RemoteScorer)
    return scorer.thing


def test_an_address_alone_speaks_our_own_shape() -> None:
    scorer = built("remote:http://localhost:8000/v1")
    assert (scorer.api, scorer.endpoint.name) == ("bon", "http://localhost:8000/v1")
    assert scorer.terms == Terms()
    assert scorer.name == "remote:http://localhost:8000/v1"


@pytest.mark.parametrize("api", sorted(set(SHAPES) - {"bon"}))
def test_other_shapes_lie_at_the_root_of_the_server(api: str) -> None:
    assert built(f"remote:http://localhost:8000/v1?api={api}").endpoint.name == "http://localhost:8000"


def test_the_model_may_stand_before_the_address() -> None:
    before, option = "remote:skywork@http://h:1?api=vllm-score", "remote:http://h:1?api=vllm-score&model=skywork"
    assert built(before).terms == built(option).terms == Terms(model="skywork")


def test_every_term_of_a_shape_is_an_option_of_its_spec() -> None:
    said = "output=1&system=Be right.&separator=<extra_0>&steps=blank&aggregate=prod&activation=false&model=m"
    assert built(f"remote:http://h:1?api=vllm-pooling&{said}").terms == Terms(
        output=1,
        system="Be right.",
        separator="<extra_0>",
        steps="blank",
        aggregate="prod",
        activation=False,
        model="m",
    )
    template = "Q: {prompt} A: {answer} Right?"
    labelled = built("remote:http://h:1?api=sglang-score&labels=[9, 2]&output=0", template=template)
    assert labelled.terms == Terms(labels=(9, 2), output=0, template=template)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("remote:", "needs an address"),
        ("remote:localhost:8000", "needs an address"),
        ("remote:http://h:1/classify", "http://h:1?api=..."),
        ("remote:http://h:1?api=vllm", "must be one of bon, vllm-classify"),
        ("remote:http://h:1?api=vllm-rerank&output=1", "'api=vllm-rerank' has no option 'output'"),
        ("remote:http://h:1?api=vllm-classify&activation=yes", "activation is 'yes'; it must be true or false"),
        ("remote:http://h:1?api=vllm-classify&output=-1", "output is -1"),
        ("remote:http://h:1?api=vllm-pooling&aggregate=worst", "must be one of min, prod"),
        ("remote:http://h:1?api=vllm-pooling&steps=words", "steps is 'words'"),
        ("remote:http://h:1?api=sglang-score&labels=9", "a list of token ids"),
        ("remote:http://h:1?api=sglang-score&labels=[true]", "a list of token ids"),
        ("remote:http://h:1?api=sglang-score&template={answer}", "must hold {prompt}"),
        ("remote:http://h:1?api=vllm-score&pointwise=false", "false for a scorer of api=bon"),
        ("remote:http://h:1?slots=0", "slots is 0"),
        ("remote:http://h:1?key_env=BON_NO_SUCH_KEY", "not set in the environment"),
    ],
)
def test_what_is_wrong_is_said(spec: str, says: str) -> None:
    with pytest.raises(SpecError) as error:
        Builder(Config()).scorer(spec)
    assert says in str(error.value)


@pytest.mark.parametrize("spec", ["remote:http://me:hunter22@h:1/score", "remote:http://h:1?api_key=hunter22"])
def test_no_key_belongs_in_a_spec_and_none_is_shown(spec: str) -> None:
    with pytest.raises(SpecError, match="key_env") as error:
        Builder(Config()).scorer(spec)
    assert "hunter22" not in str(error.value)


def test_a_name_of_bon_toml_says_it_all() -> None:
    table = {
        "kind": "remote",
        "url": "http://localhost:8000",
        "api": "vllm-pooling",
        "separator": "<extra_0>",
        "output": 1,
        "system": "Please reason step by step.",
    }
    scorer = Builder(Config(named={"scorers": {"mine": table}})).scorer("mine")
    scorer.close()
    assert (scorer.name, scorer.thing.endpoint.name) == ("mine", "http://localhost:8000")  # type: ignore[attr-defined]
    wanted = Terms(separator="<extra_0>", output=1, system="Please reason step by step.")
    assert scorer.thing.terms == wanted  # type: ignore[attr-defined]


def test_a_plan_needs_no_key() -> None:
    scorer = DryBuilder(Config()).scorer("remote:http://h:1?key_env=BON_NO_SUCH_KEY")
    scorer.close()
    assert isinstance(scorer.thing, RemoteScorer)


def test_prices_are_found_by_model_and_by_name() -> None:
    price = Price(prompt=1e-6, completion=0.0)
    builder = Builder(Config(prices={"skywork": price, "mine": price}))
    for spec, options in (("remote:skywork@http://h:1", {}), ("remote:http://h:1", {"name": "mine"})):
        scorer = builder.scorer(spec, **options)
        scorer.close()
        assert scorer.thing.price == price  # type: ignore[attr-defined]


def test_who_it_is_depends_on_all_that_scores_depend_on() -> None:
    specs = ["remote:http://h:1", "remote:http://h:2", "remote:m@http://h:1", "remote:http://h:1?api=vllm-classify"]
    specs += [f"{specs[-1]}&output=1", f"{specs[-1]}&activation=true", f"{specs[-1]}&slots=3"]
    found = [built(spec).identity for spec in specs]
    assert found[-1] == found[3], "how hard it may be used changes no score"
    assert len({repr(identity) for identity in found}) == len(specs) - 1
