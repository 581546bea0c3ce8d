"""From measurements to the frontier: the same prompts for all, fronts, gaps, costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bon.errors import UsageError
from bon.evaluation.frontier.chart_rows import curve_rows, heat_rows, run_rows
from bon.evaluation.frontier.measured import Frontier, Measured, Reference
from bon.evaluation.frontier.notes import adapted_otherwise, few_prompts, seen_in_training
from bon.evaluation.frontier.page import tables_of
from bon.evaluation.frontier.summary import summarise

PROMPTS, SAMPLES = 12, 9
IDS = tuple(f"p{place}" for place in range(PROMPTS))


def reference(seed: int = 0) -> Reference:
    rng = np.random.default_rng(seed)
    return Reference(
        name="hf:base",
        temperature=1.0,
        ids=IDS,
        rewards=tuple(tuple(row) for row in rng.normal(size=(PROMPTS, SAMPLES)).tolist()),
        length=10.0,
        seconds=0.5,
    )


def run(method: str, kl: float, win: float, reward: float, *, seed: int = 0, temperature: float = 1.0) -> Measured:
    return Measured(
        run=f"out/{method}-{kl}-{seed}",
        method=method,
        setting="n=4",
        seed=seed,
        temperature=temperature,
        ids=IDS,
        kl=(kl,) * PROMPTS,
        reward=(reward,) * PROMPTS,
        win=(win,) * PROMPTS,
        draws=2,
        length=12.0,
        ended=1.0,
        seconds=0.25,
        cost={"optimisation": {"seconds": 20.0, "tokens": 1000}},
    )


def test_runs_fronts_gaps_and_costs() -> None:
    runs = [run("ppo", 0.3, 0.6, 0.9), run("vbon-eq5", 0.3, 0.7, 0.8), run("vbon-eq5", 0.2, 0.55, 0.9, temperature=0.5)]
    found = summarise(runs, reference(), scorer="rm:x", sizes=[1, 2, 4, 8], draws=200)
    ppo, vbon, cold = found.runs
    assert [ppo.on_front, vbon.on_front] == [{"win": False, "reward": True}, {"win": True, "reward": False}]
    assert cold.on_front == {}
    assert [row.method for row in found.methods] == ["vbon-eq5", "ppo"]
    assert found.methods[0].share["win"].value == 1.0
    assert found.methods[0].share["reward"].value == 0.0
    assert [row.win.value for row in found.best] == pytest.approx([1 / 2, 2 / 3, 4 / 5, 8 / 9])
    assert not found.kl_estimated
    kls = [row.bound for row in found.best]
    at = np.interp(np.sqrt(0.3), np.sqrt(kls), [1 / 2, 2 / 3, 4 / 5, 8 / 9])
    assert vbon.gap["win"].value == pytest.approx(at - 0.7)
    assert [(row.method, row.draws, row.tokens, row.seconds) for row in found.costs] == [
        ("the reference", 1, 10.0, 0.5),
        ("best of 8", 8, 80.0, 4.0),
        ("vbon-eq5", 1, 12.0, 0.25),
        ("ppo", 1, 12.0, 0.25),
    ]
    assert found.costs[2].optimisation_seconds == 20.0
    assert found.costs[2].preprocessing_seconds is None
    assert found.notes == []


def test_all_are_compared_on_the_prompts_that_all_have() -> None:
    whole = run("ppo", 0.3, 0.6, 0.9)
    part = replace(
        run("vbon-eq5", 0.3, 0.7, 0.8),
        ids=IDS[::-1][:-2],
        kl=tuple(float(place) for place in range(PROMPTS - 2)),
        win=(0.7,) * (PROMPTS - 2),
        reward=(0.8,) * (PROMPTS - 2),
    )
    found = summarise([whole, part], reference(), scorer="rm:x", draws=50)
    assert found.prompts == PROMPTS - 2
    assert "2 prompts are left out" in found.notes[0]
    assert found.runs[1].kl.value == pytest.approx(np.mean(range(PROMPTS - 2)))
    with pytest.raises(UsageError, match="no prompt has"):
        summarise([replace(whole, ids=("other",))], reference(), scorer="rm:x")


def test_a_run_at_another_temperature_alone_is_no_frontier() -> None:
    with pytest.raises(UsageError, match=r"reference's temperature, 1 \(measured: 0.5\)"):
        summarise([run("ppo", 0.3, 0.6, 0.9, temperature=0.5)], reference(), scorer="rm:x")


def test_another_scorer_chooses_than_the_one_that_measures() -> None:
    """Chosen by noise, the best of N is worth one draw, and wins half of the time."""
    rng = np.random.default_rng(5)
    noise = tuple(tuple(row) for row in rng.normal(size=(PROMPTS, SAMPLES)).tolist())
    given = reference()
    same = summarise([run("ppo", 0.3, 0.6, 0.9)], given, scorer="rm:x", sizes=[8], draws=50).best[0]
    other = summarise([run("ppo", 0.3, 0.6, 0.9)], replace(given, chosen=noise), scorer="rm:x", sizes=[8], draws=50)
    assert same.win.value == pytest.approx(8 / 9)
    assert other.best[0].win.value == pytest.approx(0.5, abs=0.15)


def test_the_same_seed_gives_the_same_intervals() -> None:
    rng = np.random.default_rng(6)
    runs = [replace(run("ppo", 0.3, 0.6, 0.9), kl=tuple(rng.random(PROMPTS).tolist()))]
    one, two = (summarise(runs, reference(), scorer="rm:x", draws=100, seed=3) for _ in range(2))
    assert one == two
    assert one.runs[0].kl.low < one.runs[0].kl.value < one.runs[0].kl.high


def of_prompts(count: int, *runs: Measured) -> Frontier:
    """A frontier of fewer prompts."""
    parts = ("kl", "win", "reward")
    kept = [replace(one, ids=IDS[:count], **{name: getattr(one, name)[:count] for name in parts}) for one in runs]
    return summarise(kept, reference(), scorer="rm:x", sizes=[1, 2, 4], draws=50)


def test_one_prompt_says_nothing_of_others() -> None:
    cold = run("ppo", 0.3, 0.6, 0.9, temperature=0.5)
    found = of_prompts(1, run("ppo", 0.3, 0.6, 0.9), run("vbon-eq5", 0.3, 0.7, 0.8), cold)
    amounts = [each for row in found.runs for each in (row.kl, row.win, row.reward)]
    amounts += [each for row in found.best for each in (row.kl, row.win, row.reward)]
    assert {(each.low, each.high, each.why) for each in amounts} == {(None, None, "one prompt")}
    shares = [share for row in found.methods for share in row.share.values()]
    assert {(share.low, share.high, share.why) for share in shares} == {
        (None, None, "one prompt, and a method of one run")
    }
    gaps = [gap for row in found.methods for gap in row.gap.values()]
    assert {(gap.low, gap.high, gap.why) for gap in gaps} == {(None, None, "one prompt, and one seed")}
    assert all(gap.value is not None for gap in gaps)
    assert {gap.why for row in found.runs for gap in row.gap.values()} == {"one prompt"}
    assert found.notes[0].startswith("one prompt was measured")
    cells = {caption: [list(row) for row in rows] for caption, _, rows in tables_of(found)}
    assert cells["Runs (* on the front)"][0][5:7] == ["0.300 [one prompt]", "0.600 [one prompt]"]
    assert cells["Pareto shares"][0][2:] == [
        "100% [one prompt, and a method of one run]",
        "0% [one prompt, and a method of one run]",
        "–",
    ]
    rows = [*run_rows(found, "win"), *curve_rows(found.best, "win"), *heat_rows(found, "win")]
    assert not any("low" in name or "high" in name for row in rows for name in row)


def test_one_prompt_leaves_intervals_over_runs_where_there_are_several() -> None:
    runs = [
        run(method, 0.2 + 0.1 * seed, win + 0.1 * seed, 0.5, seed=seed)
        for method, win in (("ppo", 0.5), ("vbon-eq5", 0.45))
        for seed in (0, 1, 2)
    ]
    found = of_prompts(1, *runs)
    for row in found.methods:
        share, gap = row.share["win"], row.gap["win"]
        assert (share.over, gap.over) == ("runs", "seeds")
        assert share.low is not None
        assert share.high is not None
        assert share.low < share.high
        assert gap.low is not None
        assert gap.high is not None
        assert gap.low < gap.high
    both = of_prompts(2, *runs).methods[0]
    assert (both.share["win"].over, both.gap["win"].over) == ("prompts and runs", "prompts and seeds")
    one = of_prompts(2, runs[0]).methods[0]
    assert (one.share["win"].over, one.gap["win"].over) == ("prompts", "prompts")
    # a method of one run says nothing of other runs of it, and so nothing of shares
    uneven = of_prompts(1, *runs[:4])
    assert {row.share["win"].low for row in uneven.methods} == {None}


@pytest.mark.parametrize(("count", "said"), [(2, "2 prompts"), (9, "9 prompts"), (10, ""), (12, "")])
def test_few_prompts_are_said_to_be_few(count: int, said: str) -> None:
    found = of_prompts(count, run("ppo", 0.3, 0.6, 0.9))
    assert any("too narrow" in note for note in found.notes) == bool(said)
    assert few_prompts(count).startswith(said)
    assert "too narrow" in few_prompts(9)
    assert "[one prompt" not in str([list(rows) for *_, rows in tables_of(found)])


def test_what_is_said_of_trainings() -> None:
    assert adapted_otherwise({"a": "full", "b": "full"}) == ""
    said = adapted_otherwise(
        {"a": "lora (rank 16)", "b": "full", "c": "lora (rank 16)", **{f"d{i}": "full" for i in range(4)}}
    )
    assert said == "compared with different trainable parameters: lora (rank 16): a, c; full: b, d0, d1 and 2 more"
    assert seen_in_training(["x", "y"], {"a": frozenset({"z"})}) == []
    seen, unknown = seen_in_training(["x", "y", "z"], {"a": frozenset("xy"), "b": None, "c": frozenset("yw")})
    assert seen.startswith("2 of 3 test prompts were trained on")
    assert "(a, c)" in seen
    assert "not known of b," in unknown


def test_the_released_code_is_a_method_of_its_own() -> None:
    found = of_prompts(12, run("vbon-l", 0.3, 0.6, 0.9), run("vbon-l-authors", 0.3, 0.7, 0.8, seed=1))
    assert [row.method for row in found.methods] == ["vbon-l", "vbon-l-authors"]
    captions = {caption: [next(iter(row)) for row in rows] for caption, _, rows in tables_of(found)}
    assert captions["Pareto shares"] == ["vBoN (L)", "vBoN (L), authors' code"]
