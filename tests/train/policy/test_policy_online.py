"""The policy-gradient loop: the gradient it follows, exact resumption, what it counts, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from online_parts import asked, folder_bytes, probabilities, recipe, task

import bon
from bon.api.rewards import Rewards
from bon.errors import ScoreError, UsageError
from bon.models.transformers import load_language_model
from bon.testing.checkpoints import save_tiny_model
from bon.testing.enumerable import Enumerable, save_enumerable
from bon.train.loop import METRICS
from bon.train.place import Place
from bon.train.policy.experience import Answers, Scored, experience, of_prompts, rewards_of, score
from bon.train.policy.facts import encoded
from bon.train.policy.model import POLICY, PolicySetup
from bon.train.policy.objectives import Aim
from bon.train.policy.online import _Run, train_online
from bon.train.policy.online_recipe import OnlineRecipe, OnlineTask
from bon.train.policy.report import read_run
from bon.train.recipe import Step
from bon.train.saving import TRAINING
from bon.types import Candidate, Prompt

torch = pytest.importorskip("torch")

SAID = [Candidate(index=place, text=text) for place, text in enumerate("xy")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Enumerable:
    return save_enumerable(tmp_path_factory.mktemp("online") / "world", letters=2, length=3)


def setup_of(world: Enumerable, **changes: Any) -> PolicySetup:
    return PolicySetup(**{"reference": str(world.folder), "device": "cpu", **changes})


def run_of(world: Enumerable, chosen: OnlineTask, how: OnlineRecipe, folder: Path, **setup: Any) -> _Run:
    """A training that has not begun, as `train_online` makes it."""
    from bon.train.policy.model import load_policy

    policy = load_policy(setup_of(world, **setup), seed=how.seed)
    chosen, ids = encoded(policy, chosen, how)
    return _Run(chosen, ids, policy, how, place=Place("cpu"), folder=folder, identity={})


def lines(folder: Path) -> list[dict[str, float]]:
    """What was recorded, without what a clock says."""
    rows = [json.loads(line) for line in (folder / TRAINING / METRICS).read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith("seconds")} for row in rows]


class Stopped(Exception):
    """What stops a run in the middle."""


def stopping_at(step: int) -> Callable[[Step], None]:
    def hook(said: Step) -> None:
        if said.step == step:
            raise Stopped

    return hook


@pytest.mark.parametrize(
    ("algorithm", "adapt", "stops", "save_seconds"),
    [("rloo", "full", [1, 3], 0.0), ("ppo", "full", [2], 0.0), ("ppo", "lora", [3], 0.0), ("rloo", "last", [2], 1e9)],
)
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    world: Enumerable, tmp_path: Path, algorithm: Any, adapt: Any, stops: Sequence[int], save_seconds: float
) -> None:
    how = recipe(world, algorithm=algorithm, minibatch=8, save_seconds=save_seconds, draws=2)
    chosen, setup = task(world, "", "a", "bb", "aba"), setup_of(world, adapt=adapt, layers=1, rank=2)
    expected = train_online(chosen, tmp_path / "whole", setup=setup, recipe=how)
    for step in stops:
        with pytest.raises(Stopped):
            train_online(chosen, tmp_path / "cut", setup=setup, recipe=how, progress=stopping_at(step))
    found = train_online(chosen, tmp_path / "cut", setup=setup, recipe=how)
    name = "adapter_model.safetensors" if adapt == "lora" else "model.safetensors"
    assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")
    assert (found.first, found.last, found.steps) == (expected.first, expected.last, expected.steps)
    assert found.cost["inference"].tokens == expected.cost["inference"].tokens
    assert not list((tmp_path / "cut" / TRAINING).glob("step-*"))


def test_a_run_that_is_done_gives_its_report_again_and_no_other(world: Enumerable, tmp_path: Path) -> None:
    chosen, how = task(world), recipe(world)
    report = train_online(chosen, tmp_path, setup=setup_of(world), recipe=how)
    steps: list[Step] = []
    assert train_online(chosen, tmp_path, setup=setup_of(world), recipe=how, progress=steps.append) == report
    assert steps == []
    assert read_run(tmp_path) == report
    for other, setup, rewritten in (
        (chosen, setup_of(world), replace(how, lr=1e-3)),
        (replace(chosen, aim=Aim(kind="eq5", n=5)), setup_of(world), how),
        (replace(chosen, samples={"start": chosen.samples["start"] + 1}), setup_of(world), how),
        (chosen, setup_of(world, adapt="last"), how),
        (replace(chosen, identity={"scorer": "another"}), setup_of(world), how),
    ):
        with pytest.raises(UsageError, match="trained otherwise"):
            train_online(other, tmp_path, setup=setup, recipe=rewritten)


def test_a_checkpoint_of_another_training_is_not_continued(world: Enumerable, tmp_path: Path) -> None:
    how = recipe(world, save_seconds=0.0)
    with pytest.raises(Stopped):
        train_online(task(world), tmp_path, setup=setup_of(world), recipe=how, progress=stopping_at(2))
    with pytest.raises(UsageError, match="another training"):
        train_online(task(world), tmp_path, setup=setup_of(world), recipe=replace(how, seed=5))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_sampled_gradient_is_that_of_the_enumerated_objective(
    world: Enumerable, tmp_path: Path, temperature: float
) -> None:
    """Autograd of sum_y pi(y) (reward - kl (log pi - log ref)) over all strings, against answers that were drawn."""
    count = 5000
    how = recipe(world, episodes=count, rollouts=count, draws=count, temperature=temperature)
    run = run_of(world, task(world), how, tmp_path)
    weights = list(run.policy.model.parameters())
    reference = np.log(probabilities(world, run.policy.model, temperature=temperature))
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in weights:
            weight.add_(0.05 * torch.randn_like(weight))
    answers, _ = run._drawn()
    halves = [list(range(count // 2)), list(range(count // 2, count))]
    scored = score(run.net, run.policy, answers, halves, temperature=temperature)
    rewards = rewards_of(run.task, answers)
    for aim in (Aim(kind="eq5", n=4), Aim(kind="L", n=4), Aim(kind="L1", n=3), Aim(kind="reward", beta=0.5)):
        gained = aim.reward(world.rewards, [run.task.samples["start"]] * len(world.rewards), reference)
        log_pi = world.log_probs(run.policy.model, temperature=temperature).double()
        returns = torch.from_numpy(gained) - aim.kl * (log_pi - torch.from_numpy(reference))
        exact = torch.autograd.grad(-(log_pi.exp() * returns).sum(), weights)
        found = experience(replace(run.task, aim=aim), how, answers, scored, rewards)
        assert not found.advantages.requires_grad  # no gradient flows through log pi in the reward
        run.learner.optimizer.zero_grad()
        run.learner._gradient(found, list(range(count)), first=True)
        one, other = (torch.cat([part.flatten() for part in parts]) for parts in ([w.grad for w in weights], exact))
        assert torch.cosine_similarity(one, other, dim=0) > 0.98, aim
        assert float(one.norm() / other.norm()) == pytest.approx(1, abs=0.1), aim


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("tokens", [None, 40])
def test_the_first_ratio_is_exactly_1(world: Enumerable, tmp_path: Path, precision: Any, tokens: int | None) -> None:
    how = recipe(world, algorithm="ppo", minibatch=6, tokens=tokens, draws=2)
    train_online(task(world, "", "a", "bb", "aba"), tmp_path, setup=setup_of(world, precision=precision), recipe=how)
    found = lines(tmp_path)
    assert [row["drift"] for row in found] == [0.0] * 4
    assert found[0]["kl"] == 0.0  # the policy begins as its reference, to the last bit
    assert found[-1]["kl"] != 0.0


def test_the_reference_stays_as_it_was(world: Enumerable, tmp_path: Path) -> None:
    run = run_of(world, task(world), recipe(world, lr=0.05), tmp_path)
    before = [weight.clone() for weight in run.policy.copy.parameters()]
    run.to_end(None)
    assert all(torch.equal(was, now) for was, now in zip(before, run.policy.copy.parameters(), strict=True))
    moved = zip(before, run.policy.model.parameters(), strict=True)
    assert any(not torch.equal(was, now) for was, now in moved)


def test_answers_are_scored_as_they_were_drawn(world: Enumerable, tmp_path: Path) -> None:
    """The temperature of drawing is that of the log-probabilities, and the tokens are the same ones."""
    how = recipe(world, temperature=0.5, draws=2)
    run = run_of(world, task(world, "", "a", "bb", "aba"), how, tmp_path)
    answers, rollouts = run._drawn()
    assert [tuple(ids) for ids in answers.responses] == [rollout.ids for rollout in rollouts]
    scored = score(run.net, run.policy, answers, [[*range(10)], [*range(10, 16)]], temperature=0.5)
    for row, rollout in enumerate(rollouts):
        assert scored.log_probs[row, : len(rollout.ids)].tolist() == pytest.approx(rollout.log_probs, abs=1e-5)
        assert int(scored.mask[row].sum()) == len(rollout.ids)


def handmade(values: Any = None) -> tuple[Answers, Scored]:
    mask = torch.tensor([[True, True, True], [True, False, False]])
    log_probs = torch.tensor([[-1.0, -2.0, -3.0], [-0.5, 0.0, 0.0]])
    reference = torch.tensor([[-1.5, -1.0, -3.5], [-2.0, 0.0, 0.0]])
    scored = Scored(
        log_probs=log_probs,
        reference=reference,
        mask=mask,
        values=values,
        entropies=0 * log_probs,
        divergences=torch.ones_like(log_probs).where(mask, 0.0),
        live=None,
    )
    return Answers(places=[0, 0], candidates=SAID, prompts=[[1], [1]], responses=[[1, 2, 3], [4]]), scored


def test_ppo_has_k1_token_by_token_and_the_reward_at_the_last_one(world: Enumerable) -> None:
    answers, scored = handmade(torch.zeros(2, 3))
    chosen = task(world, aim=Aim(kind="reward", beta=0.5), samples={})
    how = recipe(world, algorithm="ppo", whiten=False, lam=1.0, draws=1)
    found = experience(chosen, how, answers, scored, [10.0, 20.0])
    k1 = [0.5, -1.0, 0.5]
    expected = [10 - 0.5 * sum(k1[at:]) for at in range(3)]
    assert found.advantages[0].tolist() == pytest.approx(expected)
    assert found.advantages[1].tolist() == pytest.approx([20 - 0.5 * 1.5, 0.0, 0.0])
    assert found.sums["kl"] == pytest.approx(4.0)  # over the whole vocabulary, not k1, which would be 1.5
    assert found.sums["return"] == pytest.approx(30 - 0.5 * 1.5)


def test_rloo_sums_log_probabilities_and_does_not_average_them(world: Enumerable) -> None:
    answers, scored = handmade()
    chosen = task(world, aim=Aim(kind="reward", beta=0.5), samples={})
    found = experience(chosen, recipe(world, draws=2), answers, scored, [10.0, 20.0])
    returns = [10 - 0.5 * 0.0, 20 - 0.5 * 1.5]
    assert found.advantages.tolist() == pytest.approx([returns[0] - returns[1], returns[1] - returns[0]])


def test_the_authors_mode_counts_prompts_and_ends_what_is_cut(world: Enumerable, tmp_path: Path) -> None:
    aim = Aim(kind="L", n=4, mode="authors")
    run = run_of(world, task(world, "ab", aim=aim), recipe(world), tmp_path)
    answers, rollouts = run._drawn()
    (eos,) = run.policy.eos
    assert any(not rollout.ended for rollout in rollouts)
    assert all(ids[-1] == eos and eos not in ids[:-1] for ids in answers.responses)
    both = of_prompts(run.policy, answers, temperature=1.0)
    log_first = np.log(probabilities(world, run.policy.model))  # of strings after the start token
    by_text = dict(zip(world.strings, log_first, strict=True))
    expected = np.logaddexp.reduce([by_text[text] for text in world.strings if text.startswith("ab")])
    assert both[0].tolist() == pytest.approx([expected] * 16, abs=1e-5)
    assert torch.equal(*both)
    scored = score(run.net, run.policy, answers, [[*range(16)]], temperature=1.0)
    rewards = rewards_of(run.task, answers)
    with_prompts, plain = (experience(run.task, run.recipe, answers, scored, rewards, some) for some in (both, None))
    assert torch.allclose(with_prompts.advantages, plain.advantages)  # they cancel until the two policies differ
    run.to_end(None)
    assert run.state.last["kl"] != 0


def test_an_answer_without_a_reward_is_left_out_and_counted(world: Enumerable, tmp_path: Path) -> None:
    """The gradient is that of the other answers alone."""
    how = recipe(world, draws=16)
    run = run_of(world, task(world), how, tmp_path)
    answers, _ = run._drawn()
    rewards = [None if row % 3 == 0 else float(row) for row in range(16)]
    kept = [row for row in range(16) if row % 3]
    fewer = Answers(**{name: [getattr(answers, name)[row] for row in kept] for name in Answers.__slots__})

    def gradient(some: Answers, values: Any) -> Any:
        cut = list(range(len(some.places)))
        found = experience(run.task, how, some, score(run.net, run.policy, some, [cut], temperature=1.0), values)
        run.learner.optimizer.zero_grad()
        run.learner._gradient(found, cut, first=True)
        return torch.cat([weight.grad.flatten() for weight in run.policy.model.parameters()])

    whole = gradient(answers, rewards)
    assert torch.allclose(whole, gradient(fewer, [rewards[row] for row in kept]), atol=1e-6)
    assert whole.abs().max() > 0


@pytest.mark.parametrize("algorithm", ["rloo", "ppo"])
def test_missing_rewards_are_in_the_report(world: Enumerable, tmp_path: Path, algorithm: Any) -> None:
    def reward(rows: Any) -> Any:
        return [
            [None if answer.text[:2] == "ab" else world.reward(answer.text) for answer in answers]
            for _, answers in rows
        ]

    report = train_online(
        task(world, reward=reward), tmp_path, setup=setup_of(world), recipe=recipe(world, algorithm=algorithm)
    )
    found = lines(tmp_path)
    assert report.left_out == {"answers without a reward": sum(row["missing"] for row in found)}
    assert found[0]["missing"] > 0


def test_a_rollout_is_rewarded_as_the_same_draw_of_a_pool_is(world: Enumerable, tmp_path: Path) -> None:
    """A scorer that takes 10 off what was cut off takes it off rollouts too: else being cut off would pay."""

    @bon.pointwise
    def whole(prompt: Prompt, candidate: Candidate) -> float:
        return world.reward(candidate.text) - 10 * (candidate.finish_reason == "length")

    run = run_of(world, task(world, "", "a", reward=Rewards(whole)), recipe(world), tmp_path)
    answers, rollouts = run._drawn()
    assert {rollout.ended for rollout in rollouts} == {True, False}
    expected = [world.reward(each.text) - 10 * (not each.ended) for each in rollouts]
    assert rewards_of(run.task, answers) == pytest.approx(expected)


def test_rewards_are_asked_for_once_a_step_for_all_answers(world: Enumerable, tmp_path: Path) -> None:
    calls: list[dict[str, int]] = []

    def reward(rows: Any) -> Any:
        calls.append({prompt.id: len(answers) for prompt, answers in rows})
        return [[world.reward(answer.text) for answer in answers] for _, answers in rows]

    chosen = task(world, "", "a", "bb", "aba", reward=reward)
    train_online(chosen, tmp_path, setup=setup_of(world), recipe=recipe(world, draws=8))
    assert len(calls) == 4
    assert all(list(call.values()) == [8, 8] for call in calls)
    met = [name for call in calls for name in call]
    assert sorted(met[:4]) == sorted(met[4:]) == sorted(prompt.id for prompt in chosen.prompts)  # each once an epoch


def test_what_is_said_of_a_step(world: Enumerable, tmp_path: Path) -> None:
    said: list[Step] = []
    chosen = task(world, "", "a")
    report = train_online(chosen, tmp_path, setup=setup_of(world), recipe=recipe(world), progress=said.append)
    assert [step.step for step in said] == [1, 2, 3, 4]
    assert [step.epoch for step in said] == [2, 4, 6, 8]
    recorded = lines(tmp_path)
    for step, row in zip(said, recorded, strict=True):
        assert {name: step.figures[name] for name in row if name != "step"} | {"step": step.step} == row
        assert 0 <= row["win"] <= 1
        assert 0 <= row["ended"] <= 1
        assert row["tokens"] == pytest.approx(row["length"] * 16)
        assert 0 < row["entropy"] <= np.log(3) + 1e-6
        assert {"reward", "return", "return_sd", "grad_norm", "lr", "missing"} <= set(row)
    assert report.first == {name: value for name, value in recorded[0].items() if name != "step"}
    assert report.last == {name: value for name, value in recorded[-1].items() if name != "step"}
    assert report.method == "vbon-eq5"
    assert (report.steps, report.episodes, report.prompts) == (4, 64, 2)
    assert report.cost["inference"].draws == 64
    assert report.cost["inference"].tokens == sum(row["tokens"] for row in recorded)
    assert (tmp_path / POLICY).is_file()
    card = (tmp_path / "README.md").read_text()
    assert "vbon-eq5" in card
    assert "| inference |" in card


def test_a_policy_of_lora_is_an_adapter_that_hf_loads(world: Enumerable, tmp_path: Path) -> None:
    how = recipe(world, lr=0.05, episodes=128)
    report = train_online(task(world), tmp_path, setup=setup_of(world, adapt="lora", rank=4), recipe=how)
    assert (tmp_path / "adapter_config.json").is_file()
    before = probabilities(world, load_language_model(world.folder, device="cpu").model)
    after = probabilities(world, load_language_model(report.out, device="cpu").model)
    assert np.abs(after - before).max() > 0.01


def test_prompts_that_leave_no_room_are_left_out(world: Enumerable, tmp_path: Path) -> None:
    chosen = task(world, "a", "a" * 9)  # one start token, 9 letters and 3 to draw, where 12 fit
    report = train_online(chosen, tmp_path / "one", setup=setup_of(world), recipe=recipe(world))
    assert report.prompts == 1
    assert list(report.left_out.values()) == [1]
    with pytest.raises(UsageError, match="none of 1 prompts leaves room"):
        train_online(task(world, "a" * 9), tmp_path / "two", setup=setup_of(world), recipe=recipe(world))


def test_what_cannot_be_learned_from_is_refused(world: Enumerable, tmp_path: Path) -> None:
    def train(chosen: OnlineTask) -> None:
        train_online(chosen, tmp_path, setup=setup_of(world), recipe=recipe(world))

    with pytest.raises(ScoreError, match="none of the 16 answers"):
        train(task(world, reward=lambda rows: [[None] * len(answers) for _, answers in rows]))
    with pytest.raises(UsageError, match="is nan"):
        train(task(world, reward=lambda rows: [[float("nan")] * len(answers) for _, answers in rows]))
    with pytest.raises(UsageError, match="one an answer"):
        train(task(world, reward=lambda rows: [[0.0] for _ in rows]))
    with pytest.raises(UsageError, match="no rewards of reference samples"):
        train(task(world, samples={}))
    with pytest.raises(UsageError, match="two prompts have one id"):
        train(task(world, prompts=asked("a", "a")))
    with pytest.raises(UsageError, match="no prompts"):
        train(task(world, prompts=[]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rollouts": 6, "draws": 4}, "whole number of prompts"),
        ({"rollouts": 1, "draws": 1}, "compares an answer with others"),
        ({"lr": 0}, "lr is 0"),
        ({"lam": 1.5}, "lam is 1.5"),
        ({"temperature": 0}, "temperature is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"algorithm": "grpo"}, "there is no algorithm"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        OnlineRecipe(**changes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [{"draws": 32}, {"algorithm": "ppo", "draws": 1, "minibatch": 64, "epochs": 2}], ids=["rloo", "ppo"]
)
def test_it_comes_near_best_of_n(world: Enumerable, tmp_path: Path, how: dict[str, Any]) -> None:
    """KL(policy || best-of-4) over all strings, before and after; ranks are exact, but for 20,000 samples' noise."""
    lm = load_language_model(world.folder, device="cpu")
    p = probabilities(world, lm.model)
    below = np.array([p[world.rewards < reward].sum() for reward in world.rewards])
    target = (below + p) ** 4 - below**4
    samples = np.sort(np.random.default_rng(0).choice(world.rewards, 20000, p=p / p.sum()))
    plain = {"episodes": 12800, "rollouts": 128, "lr": 3e-3, "adam_eps": 1e-8, "max_grad_norm": None}
    chosen = task(world, samples={"start": samples})
    train_online(chosen, tmp_path, setup=setup_of(world), recipe=recipe(world, **{**plain, **how}))
    q = probabilities(world, load_language_model(tmp_path, device="cpu").model)
    assert float((q * np.log(q / target)).sum()) < 0.1 * float((p * np.log(p / target)).sum())
    assert folder_bytes(tmp_path) != folder_bytes(world.folder)


_SHARED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from online_parts import recipe, task
from bon.testing.enumerable import save_enumerable
from bon.train.policy.model import PolicySetup
from bon.train.policy.online import train_online
import os
world = save_enumerable(Path({folder!r}) / ("world" + os.environ["RANK"]), letters=2, length=3)
report = train_online(
    task(world, "", "a", "bb", "aba"),
    Path({folder!r}) / "out",
    setup=PolicySetup(reference=str(world.folder)),
    recipe=recipe(world, algorithm="ppo", minibatch=8, draws=2),
)
Path({folder!r}, "figures" + os.environ["RANK"]).write_text(repr(dict(report.last)))
"""


@pytest.mark.slow
def test_two_processes_learn_the_same_and_one_of_them_writes(tmp_path: Path) -> None:
    script = tmp_path / "shared.py"
    script.write_text(_SHARED.format(tests=str(Path(__file__).parent), folder=str(tmp_path)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    one, other = ((tmp_path / f"figures{rank}").read_text() for rank in range(2))
    assert one == other  # figures over all answers, and weights that were moved alike: the norm of the next gradient
    assert [row["step"] for row in lines(tmp_path / "out")] == [1, 2, 3, 4]
    assert load_language_model(tmp_path / "out", device="cpu").eos == {2}


def test_values_need_an_output_matrix_they_can_read(tmp_path: Path) -> None:
    """The hidden states that values are read from are those that the logits are made of, for models with a base."""
    from bon.train.policy.logprobs import collate
    from bon.train.policy.model import load_policy
    from bon.train.policy.valued import network

    for family in ("gpt2", "llama"):
        policy = load_policy(
            PolicySetup(reference=str(save_tiny_model(tmp_path / family, family)), device="cpu"), seed=0
        )
        net = network(policy, value=True)
        torch.nn.init.normal_(net.head.weight)
        batch = collate(policy.model, [[5, 6], [7, 8, 9]], [[1, 2, 3], [4]])
        with torch.no_grad():
            logits, values = net(**batch.inputs)
            base = policy.model.base_model(input_ids=torch.tensor([[7, 8, 9, 4]])).last_hidden_state[0, 2:]
            assert torch.allclose(values[1, :2], net.head(base).squeeze(-1), atol=1e-4)
            assert logits.shape[:2] == values.shape == (2, 4)
