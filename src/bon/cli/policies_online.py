"""What `bon train vbon` and `bon train ppo` share: how a policy learns from its own draws, and lines of progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import click

from bon.api.policies import Material, Watching, material, train_on
from bon.cli.amounts import told_apart
from bon.cli.options import ledger_of
from bon.cli.policies import policy_setup_of, trained
from bon.cli.policies_used import used_online
from bon.cli.progress import spent_line
from bon.cli.training import first, stack
from bon.observe import stage_lines
from bon.registry import Builder
from bon.train.policy.model import PolicySetup
from bon.train.policy.objectives import Aim
from bon.train.policy.online_recipe import OnlineRecipe
from bon.train.policy.outcome import PolicyReport
from bon.train.policy.presets import Method
from bon.train.recipe import Step

__all__ = ["learning_online", "rewarded", "trained_online"]

F = TypeVar("F", bound=Callable[..., Any])

_EVERY = 2.0
"""Seconds between two lines of progress."""


def rewarded(function: F) -> F:
    """Who rewards, and which draws of the reference there are."""
    return stack(
        function,
        click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), help="The folder to make."),
        click.option("-s", "--scorer", metavar="SPEC", help="Who rewards answers."),
        click.option("--judge", metavar="SPEC", help="The model behind judge:NAME.  [default: local]"),
        click.option(
            "--pools",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Draws of the reference, scored by the same scorer (bon sample, bon score).",
        ),
        click.option("--by", metavar="NAME", help="What the scores of POOLS are called.  [default: as the scorer is]"),
        click.option(
            "--references",
            type=click.IntRange(min=1),
            metavar="M",
            help="How many draws of each pool are used, the first ones.  [default: all]",
        ),
    )


def learning_online(recipe: OnlineRecipe) -> Callable[[F], F]:
    """How a policy learns from its own draws; `recipe` has the defaults."""

    def number(name: str, says: str = "", **more: Any) -> Callable[[F], F]:
        value = getattr(recipe, name)
        kind: Any = click.IntRange(min=1) if isinstance(value, int) else float
        return click.option(
            f"--{name.replace('_', '-')}", type=kind, default=value, show_default=True, help=says, **more
        )

    def apply(function: F) -> F:
        return stack(
            function,
            click.option(
                "--algorithm",
                type=click.Choice(["rloo", "ppo"]),
                default=recipe.algorithm,
                show_default=True,
                help="Leave-one-out baselines, or a value head with GAE.",
            ),
            number("episodes", "Answers drawn in all."),
            number("rollouts", "Answers drawn a step."),
            number("draws", "Of them, answers to one prompt."),
            click.option(
                "--epochs",
                type=click.IntRange(min=1),
                help="How often a step's answers are learned from.  [default: 1 by rloo, 4 by ppo]",
            ),
            click.option(
                "--minibatch", type=click.IntRange(min=1), help="Answers an update.  [default: all of a step]"
            ),
            number("lr", "Learning rate, at its height."),
            click.option(
                "--schedule",
                type=click.Choice(["linear", "cosine", "constant"]),
                default=recipe.schedule,
                show_default=True,
            ),
            number("warmup", "Share of the steps."),
            number("adam_eps", "Of AdamW."),
            number("weight_decay"),
            number("max_grad_norm", "Larger gradients are scaled down to it."),
            number("clip", "How far a ratio of probabilities counts."),
            number("value_clip", "How far a value may go in one step."),
            number("value_coef", "Weight of the value's loss."),
            number("gamma", "Of rewards to come."),
            number("lam", "Of GAE."),
            click.option(
                "--whiten/--no-whiten", default=None, help="Advantages of mean 0 and variance 1.  [default: by ppo]"
            ),
            click.option("--temperature", type=float, help="Of rollouts.  [default: that of the pools, or 1]"),
            click.option("--tokens", type=click.IntRange(min=1), help="Of a pass: the memory.  [default: one pass]"),
            click.option(
                "--precision",
                type=click.Choice(["float32", "bfloat16"]),
                default=PolicySetup().precision,
                show_default=True,
                help="What passes are computed in.",
            ),
            click.option("--seed", type=int, default=recipe.seed, show_default=True),
            number("save_seconds", "Between two checkpoints."),
        )

    return apply


def trained_online(
    method: Method, aim: Callable[[Mapping[str, Any]], Aim], *, needs: tuple[str, ...], as_json: bool
) -> None:
    """Train as the command's options say, once or for each point of a sweep, on one reading of pools and prompts."""
    context = click.get_current_context()
    ledger = ledger_of(context.params)

    @cache
    def shared(**given: Any) -> Material:
        builder = Builder(progress=stage_lines(), cache=context.params["cache"], judge=context.params["judge"])
        setup = PolicySetup(**{name: given.pop(name) for name in ("reference", "revision", "device")})
        return material(given.pop("scorer"), builder=builder, setup=setup, ledger=ledger, **given)

    def train(out: Path, options: dict[str, Any]) -> PolicyReport:
        towards = aim(options)
        names = ("scorer", "pools", "by", "reference", "revision", "device")
        asked = {name: options[name] for name in names} | {"prompts": options.get("prompts")}
        with ledger:
            made = shared(**asked)
            return train_on(
                made,
                towards,
                out=out,
                setup=policy_setup_of(options),
                recipe=_recipe(options, made.decoding()),
                samples=options["references"],
                progress=_lines(),
            )

    def check(options: dict[str, Any]) -> None:
        aim(options)
        policy_setup_of(options)
        _recipe(options, {})

    trained(method, train, check=check, used=used_online, needs=needs, as_json=as_json)
    if first() and not context.params["show"]:
        sys.stderr.write(spent_line(ledger.spent))


def _recipe(options: Mapping[str, Any], decoding: Mapping[str, Any]) -> OnlineRecipe:
    """What `learning_online` asks for; what is not said of rollouts is as the pools were drawn, `decoding`."""
    given = {field.name: options[field.name] for field in fields(OnlineRecipe) if field.name in options}
    given["max_tokens"] = told_apart(options["max_tokens"])[0]
    for name in ("temperature", "max_tokens"):
        if given[name] is None:
            given[name] = decoding.get(name, getattr(OnlineRecipe(), name))
    return OnlineRecipe(**given)


def _lines() -> Watching:
    """Lines on stderr: the first step, the last, and now and then one between."""
    said = 0.0

    def tell(step: Step) -> None:
        nonlocal said
        if not first() or (0 < time.monotonic() - said < _EVERY and step.step != step.steps):
            return
        said = time.monotonic()
        sys.stderr.write(f"{_line(step)}\n")

    return tell


def _line(step: Step) -> str:
    figures = step.figures
    told = [
        f"reward {figures['reward']:.3g}",
        f"KL {figures['kl']:.3g}",
        *([f"win rate {figures['win']:.3g}"] if "win" in figures else []),
        f"R {figures['return']:.3g} ± {figures['return_sd']:.3g}",
        f"{figures['length']:.3g} tokens",
        *([f"{figures['missing']:.0f} without a reward"] if figures.get("missing") else []),
    ]
    return f"step {step.step} of {step.steps}: {', '.join(told)}; {step.seconds:.0f} s"
