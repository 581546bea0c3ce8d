"""bon: sample N candidates, score them, keep the best. Names are loaded on first use, so `import bon` stays fast."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bon._version import __version__

if TYPE_CHECKING:
    from bon.api import Result, abest_of_n, best_of_n, close, decide, prompt
    from bon.api.bench import evaluate
    from bon.api.comparing import compare
    from bon.api.curves import curves
    from bon.api.frontier import frontier
    from bon.api.policies import train_ppo, train_vbon
    from bon.api.policies_offline import train_bonbon, train_dpo, train_sft
    from bon.api.report import report
    from bon.api.training import train_rm
    from bon.api.training_steps import train_prm
    from bon.budgets import Fixed, Threshold
    from bon.engine import Plan, run, run_many, score_pool, score_pools
    from bon.errors import BonError, NoCandidates, UsageError
    from bon.events import Event, Hook
    from bon.ledger import Caps, Ledger, Price
    from bon.protocols import Budget, Extractor, Generator, Scorer, Selector, Weights
    from bon.registry import budget, generator, judge, scorer, selector
    from bon.score import pointwise
    from bon.select import pick, rank, weigh
    from bon.store.pools import read_pools, write_pools
    from bon.store.prompts import read_prompts, write_prompts
    from bon.types import Candidate, Failure, Message, Pool, Prompt, Score, Usage

_HOMES = {
    "bon.api": ("Result", "abest_of_n", "best_of_n", "close", "decide", "prompt"),
    "bon.api.bench": ("evaluate",),
    "bon.api.comparing": ("compare",),
    "bon.api.curves": ("curves",),
    "bon.api.frontier": ("frontier",),
    "bon.api.policies": ("train_ppo", "train_vbon"),
    "bon.api.policies_offline": ("train_bonbon", "train_dpo", "train_sft"),
    "bon.api.report": ("report",),
    "bon.api.training": ("train_rm",),
    "bon.api.training_steps": ("train_prm",),
    "bon.budgets": ("Fixed", "Threshold"),
    "bon.engine": ("Plan", "run", "run_many", "score_pool", "score_pools"),
    "bon.errors": ("BonError", "NoCandidates", "UsageError"),
    "bon.events": ("Event", "Hook"),
    "bon.ledger": ("Caps", "Ledger", "Price"),
    "bon.protocols": ("Budget", "Extractor", "Generator", "Scorer", "Selector", "Weights"),
    "bon.registry": ("budget", "generator", "judge", "scorer", "selector"),
    "bon.score": ("pointwise",),
    "bon.select": ("pick", "rank", "weigh"),
    "bon.store.pools": ("read_pools", "write_pools"),
    "bon.store.prompts": ("read_prompts", "write_prompts"),
    "bon.types": ("Candidate", "Failure", "Message", "Pool", "Prompt", "Score", "Usage"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BonError", "Budget", "Candidate", "Caps", "Event", "Extractor", "Failure", "Fixed", "Generator", "Hook",
    "Ledger", "Message", "NoCandidates", "Plan", "Pool", "Price", "Prompt", "Result", "Score", "Scorer",
    "Selector", "Threshold", "Usage", "UsageError", "Weights", "__version__", "abest_of_n", "best_of_n", "budget",
    "close", "compare", "curves", "decide", "evaluate", "frontier", "generator", "judge", "pick", "pointwise",
    "prompt", "rank", "read_pools", "read_prompts", "report", "run", "run_many", "score_pool", "score_pools", "scorer",
    "selector", "train_bonbon", "train_dpo", "train_ppo", "train_prm", "train_rm", "train_sft", "train_vbon", "weigh",
    "write_pools", "write_prompts",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bon' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
