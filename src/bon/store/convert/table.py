"""The table of converters: what each data set is called, what it becomes, and by which columns it is known."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from bon.store.convert.game24 import game24
from bon.store.convert.helpsteer import helpsteer2, helpsteer2_preference, helpsteer3
from bon.store.convert.judgebench import judgebench, judgebench_verdicts
from bon.store.convert.llmbar import llmbar, llmbar_verdicts
from bon.store.convert.maths import gsm8k, gsm8k_solutions, math500
from bon.store.convert.pandalm import pandalm, pandalm_verdicts
from bon.store.convert.preference import chat, preference, unpaired
from bon.store.convert.processes import mistakes, prmbench, processbench
from bon.store.convert.programs import humaneval, mbpp
from bon.store.convert.rewardbench import rewardbench, rewardbench2
from bon.store.convert.rmb import rmb, rmb_bon
from bon.store.convert.stepwise import math_shepherd, prm800k, stepwise
from bon.store.convert.styles import rm_bench

__all__ = ["CONVERTERS", "Converter"]


def _any(_: Mapping[str, Any]) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Converter:
    """How one data set becomes ours."""

    name: str
    description: str
    makes: Literal["prompts", "pools", "verdicts"]
    function: Callable[..., Iterable[Any]]
    """`(row, *, template=..., ...)` -> what one row becomes; of a whole file, `(path, *, ...)`."""
    of: Literal["row", "file"] = "row"
    columns: tuple[str, ...] = ()
    """By which a row of it is known; none: it is never guessed."""
    fits: Callable[[Mapping[str, Any]], bool] = _any
    """What else a row with these columns must be."""
    together: str | None = None
    """The column by which rows that follow each other belong together."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of `function` and their defaults; a `template` holds `{prompt}` where the question goes."""
        parameters = inspect.signature(self.function).parameters.values()
        return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}

    def knows(self, row: Mapping[str, Any]) -> bool:
        """Whether a row is of this data set, as far as its columns tell."""
        return bool(self.columns) and row.keys() >= {*self.columns} and self.fits(row)


def _lists(*columns: str) -> Callable[[Mapping[str, Any]], bool]:
    """Whether columns are lists of texts."""
    return lambda row: all(isinstance(row[name], list) and isinstance((row[name] or [0])[0], str) for name in columns)


def _one(name: str, function: Callable[..., Iterable[Any]], columns: str, description: str, **more: Any) -> Converter:
    return Converter(
        name=name,
        function=function,
        columns=tuple(columns.split()),
        description=description,
        **{"makes": "pools"} | more,
    )


# The first that knows a row has it, so those with more columns stand before those with fewer.
_TABLE = (
    _one(
        "rewardbench-2",
        rewardbench2,
        "id prompt chosen rejected num_correct subset",
        "RewardBench 2: best of four, and ties among right answers",
    ),
    _one(
        "rewardbench",
        rewardbench,
        "id prompt chosen rejected chosen_model rejected_model subset",
        "RewardBench: a chosen and a rejected answer, by subset",
    ),
    _one(
        "rm-bench",
        rm_bench,
        "id prompt chosen rejected",
        "RM-Bench: three right and three wrong answers, each in three styles",
        fits=_lists("chosen", "rejected"),
    ),
    _one(
        "judgebench-verdicts",
        judgebench_verdicts,
        "pair_id judge_name judgments",
        "JudgeBench: what a judge said of its pairs, in both orders",
        makes="verdicts",
    ),
    _one(
        "judgebench",
        judgebench,
        "pair_id source question response_A response_B label",
        "JudgeBench: pairs to be judged in both orders",
    ),
    _one("rmb", rmb, "pair_uid conversation_input chosen reject category_path", "RMB: pairs, by goal and scenario"),
    _one(
        "rmb-bon",
        rmb_bon,
        "bon_uid conversation_input bon_best loser_list category_path",
        "RMB: the best of several answers, by goal and scenario",
    ),
    _one(
        "prmbench",
        prmbench,
        "idx modified_question modified_process error_steps classification",
        "PRMBench: solutions with every wrong step marked",
    ),
    _one(
        "processbench",
        processbench,
        "id problem steps label final_answer_correct",
        "ProcessBench: solutions with their first wrong step",
    ),
    _one(
        "mistakes",
        mistakes,
        "input steps target answer mistake_index",
        "BIG-Bench Mistake: chains of thought with their first wrong step",
    ),
    _one("stepwise", stepwise, "prompt completions labels", "Rows of prompt, completions (the steps) and their labels"),
    _one(
        "prm800k",
        prm800k,
        "question label",
        "PRM800K: solutions whose steps people rated, alternatives included",
        fits=lambda row: isinstance(row["label"], Mapping) and "steps" in row["label"],
    ),
    _one(
        "math-shepherd",
        math_shepherd,
        "input label task",
        "Math-Shepherd: solutions whose steps are tagged by what they led to",
    ),
    _one(
        "helpsteer2-preference",
        helpsteer2_preference,
        "prompt response_1 response_2 preference_strength",
        "HelpSteer2: which of two answers people preferred, and how much",
    ),
    _one(
        "helpsteer2",
        helpsteer2,
        "prompt response helpfulness correctness coherence complexity verbosity",
        "HelpSteer2: answers rated on five attributes",
        together="prompt",
    ),
    _one(
        "helpsteer3",
        helpsteer3,
        "context response1 response2 overall_preference",
        "HelpSteer3: which of two answers people preferred, and how much",
    ),
    _one("llmbar", llmbar, "input output_1 output_2 label", "LLMBar: pairs of which one follows the instruction"),
    _one(
        "llmbar-verdicts",
        llmbar_verdicts,
        "judge prompt winner_order12 winner_order21",
        "LLMBar: what judges said of its pairs, in both orders",
        makes="verdicts",
    ),
    _one(
        "pandalm",
        pandalm,
        "idx instruction response1 response2 annotator1 annotator2 annotator3",
        "PandaLM: pairs that three people labelled",
    ),
    _one("pandalm-verdicts", pandalm_verdicts, "", "PandaLM: what a judge said of its pairs", makes="verdicts"),
    _one(
        "preference",
        preference,
        "chosen rejected",
        "Rows of prompt, chosen, rejected: texts or messages, the prompt may be in both",
    ),
    _one(
        "unpaired",
        unpaired,
        "prompt completion label",
        "Rows of prompt, completion and whether it is good: texts or messages",
    ),
    _one("chat", chat, "messages", "Chats: the assistant's last words are the candidate"),
    _one(
        "gsm8k-solutions",
        gsm8k_solutions,
        "question ground_truth",
        "GSM8K's example_model_solutions: four labelled solutions a problem",
    ),
    _one(
        "gsm8k",
        gsm8k,
        "question answer",
        "GSM8K: grade-school sums with their answers",
        makes="prompts",
        fits=lambda row: "####" in str(row["answer"]),
    ),
    _one(
        "math500",
        math500,
        "problem solution answer level subject unique_id",
        "MATH-500: competition mathematics with answers, levels and subjects",
        makes="prompts",
    ),
    _one(
        "mbpp",
        mbpp,
        "task_id prompt entry_point canonical_solution test",
        "MBPP, sanitized, in HumanEval's columns",
        makes="prompts",
        fits=lambda row: "mbpp" in str(row["task_id"]).lower(),
    ),
    _one(
        "humaneval",
        humaneval,
        "task_id prompt entry_point canonical_solution test",
        "HumanEval: Python functions with their tests",
        makes="prompts",
    ),
    _one("game24", game24, "", "Game of 24: labelled samples of tree-of-thought-llm (cot.json, io.json)", of="file"),
)

CONVERTERS: Mapping[str, Converter] = MappingProxyType({one.name: one for one in _TABLE})
