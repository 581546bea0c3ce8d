"""`bon doctor` on reward models of this machine: tiny checkpoints of several families, loaded as any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from bon.score.process import ProcessReward
from bon.score.reward import RewardModel
from bon.testing import pool_of
from bon.testing.checkpoints import save_tiny_process_model, save_tiny_reward_model
from bon.testing.examine import examine_scorer

pytest.importorskip("torch")


@pytest.mark.parametrize("family", ["llama", "gpt2"])
async def test_a_reward_model_passes_every_check(family: str, tmp_path: Path) -> None:
    scorer = RewardModel(save_tiny_reward_model(tmp_path, family, context=4096))
    findings = [finding async for finding in examine_scorer(scorer)]
    scorer.close()
    assert len(findings) == 11
    assert {finding.verdict for finding in findings} == {"yes"}, findings


async def test_a_process_reward_model_passes_every_check(tmp_path: Path) -> None:
    scorer = ProcessReward(save_tiny_process_model(tmp_path))
    findings = {finding.check: finding async for finding in examine_scorer(scorer)}
    scorer.close()
    assert len(findings) == 12
    assert {finding.verdict for finding in findings.values()} == {"yes"}, findings
    assert "got 3, 3, 3 scores" in findings["a score for every step"].detail


async def test_what_a_model_that_attends_to_eight_tokens_does_not_see_is_not_called_sound(tmp_path: Path) -> None:
    scorer = RewardModel(save_tiny_reward_model(tmp_path, "mistral", context=4096))
    verdicts = {finding.check: finding.verdict async for finding in examine_scorer(scorer)}
    scorer.close()
    assert verdicts.pop("reads a long answer to its beginning") == "unknown"
    assert set(verdicts.values()) == {"yes"}


async def test_a_short_context_is_said_and_nothing_is_cut(tmp_path: Path) -> None:
    scorer = RewardModel(save_tiny_reward_model(tmp_path, "qwen2", context=512))
    findings = {finding.check: finding async for finding in examine_scorer(scorer)}
    scorer.close()
    assert {finding.verdict for finding in findings.values()} == {"yes"}, findings
    assert "reads 512 at most" in findings["reads a long answer to its end"].detail


async def test_the_tokens_are_those_of_the_chat_template_with_one_bos(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    scorer = RewardModel(save_tiny_reward_model(tmp_path, "llama"))
    rows = await scorer.tokens(pool_of(["42"]))
    assert scorer.limit == 4096
    scorer.close()
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path))
    chat = [{"role": "user", "content": "What is six times seven?"}, {"role": "assistant", "content": "42"}]
    rendered = tokenizer.apply_chat_template(chat, tokenize=False)
    assert rows == [tokenizer.encode(rendered, add_special_tokens=False)]
    assert tokenizer.encode(rendered)[:2] == [rows[0][0]] * 2, "the usual way would have put two"
