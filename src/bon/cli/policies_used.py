"""What settings of `bon train vbon` and `ppo` come to: where nothing is said, and where a mode overrides them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bon.cli.amounts import told_apart
from bon.train.policy.identity import VALUED
from bon.train.policy.objectives import AUTHORS_SAMPLES, Aim
from bon.train.policy.online_recipe import OnlineRecipe
from bon.train.policy.presets import Setting

__all__ = ["used_online"]

_POOLS = "that of the pools"


def used_online(settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """The settings of which something else is used than they say. What is swept, a tuple, decides nothing of others."""
    return {**dict(_learning(settings)), **dict(_drawing(settings)), **dict(_authors(settings))}


def _learning(settings: Mapping[str, Setting]) -> Iterator[tuple[str, Setting]]:
    algorithm, rollouts = settings["algorithm"].value, settings["rollouts"].value
    if algorithm in ("rloo", "ppo"):
        plain = OnlineRecipe(algorithm=algorithm)
        for name, value in (("epochs", plain.passes), ("whiten", plain.whitens)):
            if settings[name].value is None:
                yield name, Setting(value=value, source=f"default: as {algorithm} has it")
    if algorithm == "rloo":
        yield from ((name, Setting(value=None, source="of --algorithm ppo alone")) for name in sorted(VALUED))
    if settings["minibatch"].value is None and isinstance(rollouts, int):
        yield "minibatch", Setting(value=rollouts, source="default: all of a step")


def _drawing(settings: Mapping[str, Setting]) -> Iterator[tuple[str, Setting]]:
    prompts = "prompts" in settings and settings["prompts"].value is not None
    if settings["temperature"].value is None:
        yield "temperature", Setting(value=OnlineRecipe().temperature if prompts else _POOLS, source="default")
    answer, run = told_apart(settings["max_tokens"].value)
    if answer is None:
        taken = OnlineRecipe().max_tokens if prompts else _POOLS
        cap = "" if run is None else f"; {run} is of the whole run"
        yield "max_tokens", Setting(value=taken, source=f"default{cap}")


def _authors(settings: Mapping[str, Setting]) -> Iterator[tuple[str, Setting]]:
    """What `--mode authors` makes of other settings; and the law, which one objective alone has."""
    if "mode" not in settings:
        return
    authors = settings["mode"].value == "authors"
    objective, n, samples = (settings[name] for name in ("objective", "n", "references"))
    if objective.value in ("L", "L1"):
        yield "law", Setting(value=None, source="of --objective eq5 alone")
    elif authors:
        yield "law", Setting(value="eq4", source="--mode authors")
    if not authors:
        return
    if objective.value == "L1":
        yield "objective", Setting(value="L", source="--mode authors, where L1 means L")
    if isinstance(n.value, float) and n.value > 1:
        taken = Aim(kind="L", n=n.value, mode="authors").draws
        if taken != n.value:
            why = f"--mode authors, which makes {taken:g} of {n.value:g} ({n.source})"
            yield "n", Setting(value=taken, source=why)
    if samples.value is None or (isinstance(samples.value, int) and samples.value > AUTHORS_SAMPLES):
        yield "references", Setting(value=AUTHORS_SAMPLES, source="--mode authors: at the most")
