from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bon.errors import DataError, UsageError
from bon.store.convert import CONVERTERS, convert, converted, detect, lacking
from bon.store.diagnosis import BadLine
from bon.store.pools import read_pools
from bon.store.verdicts import UNREADABLE, Verdict, dump_verdict, parse_verdict, read_verdicts
from bon.types import Pool

FIXTURES = Path(__file__).parents[1] / "fixtures" / "benchmarks"
FILES = {path.name.partition(".")[0]: path for path in sorted(FIXTURES.iterdir())}
NAMES = [name for name in FILES if name in CONVERTERS]
POOLS = [name for name in NAMES if CONVERTERS[name].makes == "pools"]


def pools(name: str, **options: Any) -> list[Pool]:
    return [one for one in converted(name, FILES[name], **options) if isinstance(one, Pool)]


def texts(pool: Pool) -> list[str]:
    return [candidate.text for candidate in pool.candidates]


def rows(name: str) -> list[dict[str, Any]]:
    text = FILES[name].read_text()
    return json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]


# What each benchmark becomes.


def test_rewardbench_keeps_who_answered_and_which_section_it_counts_for() -> None:
    first, second = pools("rewardbench")
    assert first.prompt.id == "rewardbench/alpacaeval-easy/7"
    assert first.prompt.metadata == {"benchmark": "rewardbench", "subset": "alpacaeval-easy", "section": "Chat"}
    assert second.prompt.metadata["section"] == "Reasoning"
    assert texts(first) == ["A cherry is red.", "A lime is red."]
    assert [one.generator for one in first.candidates] == ["maker-a", "maker-b"]
    assert first.values("correct") == (1.0, 0.0)


def test_rewardbench_2_has_one_right_answer_of_four_and_several_where_there_are_ties() -> None:
    best, ref, tied = pools("rewardbench-2")
    assert best.values("correct") == (1.0, 0.0, 0.0, 0.0)
    assert best.prompt.metadata["num_correct"] == 1
    assert "group" not in best.prompt.metadata
    assert tied.values("correct") == (1.0, 1.0, 1.0, 0.0, 0.0)
    assert (ref.prompt.metadata["tie"], tied.prompt.metadata["tie"]) == ("ref", "tied")
    assert ref.prompt.metadata["group"] == tied.prompt.metadata["group"] == "rewardbench-2/Ties/3"
    assert tied.prompt.id == "rewardbench-2/Ties/tied:3"


def test_rm_bench_has_the_styles_in_the_order_of_its_matrix() -> None:
    chat, safety = pools("rm-bench")
    assert [one.variation for one in chat.candidates] == ["concise", "detailed", "markdown"] * 2
    assert chat.values("correct") == (1.0,) * 3 + (0.0,) * 3
    assert [chat.prompt.id, safety.prompt.id] == ["rm-bench/chat/4", "rm-bench/safety-refuse/4"]
    assert (safety.prompt.metadata["subset"], safety.prompt.metadata["domain"]) == ("safety-refuse", "safety")


def test_rm_bench_has_its_domain_from_the_name_of_the_file_where_no_column_says_it(tmp_path: Path) -> None:
    row = {key: value for key, value in rows("rm-bench")[0].items() if key != "domain"}
    (tmp_path / "code_filtered.json").write_text(json.dumps([row]))
    (pool,) = converted("rm-bench", tmp_path / "code_filtered.json")
    assert isinstance(pool, Pool)
    assert pool.prompt.metadata["domain"] == "code"
    (tmp_path / "data.json").write_text(json.dumps([row]))
    with pytest.raises(DataError, match=r"which domain\? There is no column `domain`: give domain=chat\|code"):
        list(converted("rm-bench", tmp_path / "data.json"))
    (pool,) = converted("rm-bench", tmp_path / "data.json", domain="math")
    assert isinstance(pool, Pool)
    assert pool.prompt.metadata["domain"] == "math"


def test_judgebench_says_which_answer_is_right_and_what_it_counts_for() -> None:
    first, second = pools("judgebench")
    assert (first.values("correct"), second.values("correct")) == ((1.0, 0.0), (0.0, 1.0))
    assert [pool.prompt.metadata["subset"] for pool in (first, second)] == ["knowledge", "coding"]
    assert first.prompt.id == "judgebench/0a-1"


def test_rmb_keeps_the_conversation_and_nothing_that_endpoints_do_not_know() -> None:
    chat, harm = pools("rmb")
    assert [message["role"] for message in chat.prompt.messages] == ["user", "assistant", "user"]
    assert all(message.keys() == {"role", "content"} for message in chat.prompt.messages)
    assert chat.prompt.metadata["subset"] == "Chat/Casual Conversations"
    assert (harm.prompt.metadata["goal"], harm.prompt.metadata["subset"]) == ("Harmlessness", "S2")
    assert chat.values("correct") == (1.0, 0.0)


def test_rmb_best_of_n_has_one_winner() -> None:
    (pool,) = pools("rmb-bon")
    assert pool.values("correct") == (1.0, 0.0, 0.0)
    assert [one.generator for one in pool.candidates] == ["maker-a", "maker-b", "maker-c"]


def test_prmbench_marks_every_step_and_gives_the_solution_without_an_error_once() -> None:
    redundant, correct, confident, several = pools("prmbench")
    assert redundant.scores["correct"][0].steps == (1.0, 0.0, 1.0)
    assert (redundant.prompt.metadata["first_error"], redundant.values("correct")) == (1, (0.0,))
    assert correct.prompt.id == "prmbench/correct/prm_test_p1_0"
    assert (correct.values("correct"), correct.prompt.metadata["error_steps"]) == ((1.0,), [])
    assert confident.prompt.id == "prmbench/confidence/prm_test_p1_0", "the kind is not named twice"
    assert confident.prompt.metadata["error_steps"] == [0, 1], "step 9 of 3 is passed over"
    assert len({pool.prompt.metadata["group"] for pool in (redundant, correct, confident)}) == 1
    assert (several.prompt.metadata["first_error"], several.values("correct")) == (None, (1.0,))


def test_processbench_keeps_the_steps_and_the_first_wrong_one() -> None:
    wrong, right = pools("processbench")
    assert wrong.prompt.metadata["first_error"] == 1
    assert wrong.prompt.metadata["steps"] == ["She eats 2 of 5.", "5 - 2 = 4.", "So 4 are left."]
    assert wrong.candidates[0].text == "She eats 2 of 5.\n\n5 - 2 = 4.\n\nSo 4 are left."
    assert (wrong.values("correct"), right.values("correct")) == ((0.0,), (1.0,))
    assert right.prompt.metadata["first_error"] is None
    assert [pool.prompt.metadata["subset"] for pool in (wrong, right)] == ["gsm8k", "omnimath"]


def test_stepwise_rows_keep_a_mark_a_step_soft_ones_too() -> None:
    wrong, right = pools("stepwise")
    assert wrong.scores["correct"][0].steps == (1.0, 0.0, 0.0)
    assert wrong.values("correct") == (0.0,)
    assert wrong.prompt.metadata["first_error"] == 1
    assert wrong.candidates[0].text == "2 + 3 = 5.\n\n5 + 4 = 8.\n\nThe answer is 8."
    assert right.scores["correct"][0].steps == (0.9, 0.75), "a soft label is not made a hard one"
    assert (right.prompt.metadata["first_error"], right.prompt.metadata["source"]) == (None, "made up")
    assert right.prompt.text == "What is 9 - 4 - 1?"


def test_prm800k_gives_every_rated_alternative_after_what_was_chosen_before_it() -> None:
    found = pools("prm800k")
    assert [(pool.prompt.metadata["steps"], pool.scores["correct"][0].steps) for pool in found] == [
        (["3 * 4 = 7."], (0.0,)),
        (["First, multiply.", "3 * 4 = 11."], (1.0, 0.0)),
        (["First, multiply.", "3 * 4 = 12.", "12 + 1 = 13."], (1.0, 1.0, 1.0)),
        (["First, multiply.", "3 * 4 = 12.", "12 + 1 = 14."], (1.0, 1.0, 0.0)),
        (["6 / 2 = 4."], (0.0,)),
    ]
    assert len({pool.prompt.metadata["group"] for pool in found}) == 2, "what is of one problem is never parted"
    assert pools("prm800k", neutral="wrong")[2].scores["correct"][0].steps == (0.0, 1.0, 1.0)


def test_math_shepherd_has_a_label_where_the_input_has_a_tag() -> None:
    right, wrong = pools("math-shepherd")
    assert right.prompt.text == "Bo has 2 plums and buys 5. How many has he?"
    assert right.prompt.metadata["steps"] == ["Step 1: He has 2 + 5 = 7 plums.", "Step 2: The answer is: 7"]
    assert right.scores["correct"][0].steps == (1.0, 1.0)
    assert (wrong.prompt.metadata["first_error"], wrong.prompt.metadata["subset"]) == (0, "MATH")


def test_mistakes_are_known_by_their_file_and_place() -> None:
    wrong, right = pools("mistakes")
    assert (wrong.prompt.id, wrong.prompt.metadata["subset"]) == ("mistakes/mistakes/0", "mistakes")
    assert (wrong.prompt.reference, wrong.candidates[0].answer) == ("20", "21")
    assert (wrong.prompt.metadata["first_error"], right.prompt.metadata["first_error"]) == (1, None)
    assert right.prompt.metadata["final_answer_correct"] is True
    assert pools("mistakes", task="sums")[0].prompt.id == "mistakes/sums/0"


def test_ratings_become_a_scorer_an_attribute_of_the_answers_to_one_prompt() -> None:
    tea, sea = pools("helpsteer2")
    assert tea.values("helpfulness") == (4.0, 0.0)
    assert tea.values("coherence") == (4.0, 3.0)
    assert "correct" not in tea.scores
    assert [message["content"] for message in sea.prompt.messages] == ["Hello", "Hello, what is it?", "Name a sea."]


def test_a_preference_has_a_strength_and_a_tie_is_neither_right_nor_wrong() -> None:
    first, second, tie = pools("helpsteer2-preference")
    assert (first.values("correct"), first.values("preference")) == ((1.0, 0.0), (3.0, -3.0))
    assert (second.values("correct"), second.values("preference")) == ((0.0, 1.0), (-2.0, 2.0))
    assert (tie.values("correct"), tie.values("preference")) == ((None, None), (0.0, 0.0))
    assert "neither" in tie.scores["correct"][0].reason
    assert first.prompt.metadata["annotators"] == [-3, -2]
    assert [pool.prompt.metadata["subset"] for pool in (first, second)] == ["train", "val"]


def test_helpsteer3_keeps_the_conversation_the_domain_and_what_each_annotator_said() -> None:
    tree, code = pools("helpsteer3")
    assert len(tree.prompt.messages) == 3
    assert tree.prompt.metadata["annotators"] == [-2, -1]
    assert [pool.prompt.metadata[key] for pool in (tree, code) for key in ("subset", "language")] == [
        *("multilingual", "german"),
        *("code", "python"),
    ]
    assert (tree.values("correct"), code.values("correct")) == ((1.0, 0.0), (0.0, 1.0))


def test_llmbar_is_known_by_its_folder_and_place_where_no_column_says_it() -> None:
    first, second = pools("llmbar")
    assert (first.prompt.id, second.prompt.id) == ("llmbar/benchmarks/0", "llmbar/benchmarks/1")
    assert (first.values("correct"), second.values("correct")) == ((1.0, 0.0), (0.0, 1.0))
    assert second.prompt.metadata["label"] == 2
    assert pools("llmbar", subset="Natural")[0].prompt.id == "llmbar/Natural/0"


def test_pandalm_keeps_three_labels_and_what_most_said() -> None:
    first, tie, torn = pools("pandalm")
    assert first.prompt.text == "Shorten the sentence.\n\nIt is raining at this moment in time."
    assert tie.prompt.text == "Is 3 odd?"
    assert [pool.prompt.metadata["annotators"] for pool in (first, tie, torn)] == [[1, 1, 2], [0, 0, 1], [0, 1, 2]]
    assert [pool.prompt.metadata["label"] for pool in (first, tie, torn)] == [1, 0, None]
    assert [pool.values("correct") for pool in (first, tie, torn)] == [(1.0, 0.0), (None, None), (None, None)]
    assert texts(tie) == ["True", "No"], "a text that the file holds without quotes"


def test_preferences_come_as_texts_or_messages_with_the_prompt_beside_or_inside() -> None:
    standard, implicit, chat, chat_implicit, doubled, told, called = pools("preference")
    assert (standard.prompt.text, texts(standard)) == ("The sky is", [" blue.", " green."])
    assert (implicit.prompt.text, texts(implicit)) == ("The sky is", [" blue.", " black."]), "words are not torn"
    assert (chat.prompt.text, texts(chat)) == ("What colour is the sky?", ["It is blue.", "It is green."])
    assert (chat_implicit.prompt.text, texts(chat_implicit)) == (
        "What colour is grass?",
        ["It is green.", "It is blue."],
    )
    assert doubled.prompt.messages == ({"role": "user", "content": "What colour is milk?"},)
    assert [message["content"] for message in told.prompt.messages] == ["Hello", "Hello!", "Name a bird."]
    assert texts(told) == ["The wren.", "The bat."]
    assert called.prompt.id == "mine-1"
    assert (called.candidates[0].text, len(called.candidates[0].tool_calls)) == ("", 1)
    assert standard.values("score") == (9.0, 2.5)
    assert standard.prompt.metadata["source"] == "ours"
    assert all(pool.values("correct") == (1.0, 0.0) for pool in pools("preference"))


def test_pairs_of_one_prompt_have_different_ids_and_one_group() -> None:
    pairs = [{"prompt": "Say A.", "chosen": "A", "rejected": other} for other in ("B", "C")]
    first, second = (one for one in converted("preference", pairs) if isinstance(one, Pool))
    assert first.prompt.id != second.prompt.id
    assert first.prompt.metadata["group"] == second.prompt.metadata["group"]


def test_single_answers_are_good_or_not() -> None:
    assert [pool.values("correct") for pool in pools("unpaired")] == [(1.0,), (0.0,)]
    assert [texts(pool) for pool in pools("unpaired")] == [[" blue."], ["It is green."]]


def test_a_chat_ends_with_its_candidate_or_has_none() -> None:
    labelled, asked, unlabelled = pools("chat")
    assert (texts(labelled), labelled.values("correct")) == (["The North Sea."], (1.0,))
    assert [message["role"] for message in labelled.prompt.messages] == ["system", "user"]
    assert (len(asked), asked.prompt.text) == (0, "Another.")
    assert (texts(unlabelled), unlabelled.scores) == (["The Brocken."], {})


# Verdicts that were recorded.


def test_verdicts_of_llmbar_are_kept_in_both_orders_and_unreadable_ones_with_their_reason() -> None:
    found = list(converted("llmbar-verdicts", FILES["llmbar-verdicts"]))
    assert found == [
        Verdict(id="llmbar/Natural/0", by="judge-a/Vanilla", order=(0, 1), scores=(1.0, 0.0)),
        Verdict(id="llmbar/Natural/1", by="judge-a/Vanilla", order=(0, 1), scores=(0.0, 1.0)),
        Verdict(id="llmbar/Natural/0", by="judge-a/Vanilla", order=(1, 0), scores=(1.0, 0.0)),
        Verdict(id="llmbar/Natural/1", by="judge-a/Vanilla", order=(1, 0), scores=(None, None), reason=UNREADABLE),
    ]
    assert list(converted("llmbar-verdicts", FILES["llmbar-verdicts"], judge="judge-b/Vanilla")) == []


def test_verdicts_of_llmbar_as_published_say_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "Natural" / "evaluators" / "judge-a" / "Vanilla"
    folder.mkdir(parents=True)
    (folder / "result.json").write_bytes(FILES["llmbar-result"].read_bytes())
    compact = converted("llmbar-verdicts", FILES["llmbar-verdicts"])
    assert {dump_verdict(one) for one in converted("llmbar-verdicts", folder / "result.json")} == {
        dump_verdict(one) for one in compact if isinstance(one, Verdict)
    }
    with pytest.raises(DataError, match="give judge=NAME and subset=NAME"):
        list(converted("llmbar-verdicts", FILES["llmbar-result"]))


def test_verdicts_of_pandalm_are_of_one_order_with_ties() -> None:
    found = [one for one in converted("pandalm-verdicts", FILES["pandalm-verdicts"]) if isinstance(one, Verdict)]
    assert [one.scores for one in found] == [(1.0, 0.0), (0.5, 0.5), (None, None)]
    assert {(one.by, one.order) for one in found} == {("gpt-3.5-turbo", (0, 1))}


def test_verdicts_of_judgebench_name_the_draw_and_not_the_place_where_it_was_shown() -> None:
    found = [one for one in converted("judgebench-verdicts", FILES["judgebench-verdicts"]) if isinstance(one, Verdict)]
    assert [(one.id[-4:], one.order, one.scores) for one in found] == [
        ("0a-1", (0, 1), (1.0, 0.0)),
        ("0a-1", (1, 0), (0.0, 1.0)),  # the first shown was preferred both times: that is answer B here
        ("0a-2", (0, 1), (0.5, 0.5)),
        ("0a-2", (1, 0), (None, None)),
    ]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"id": "p", "by": "j", "order": [0, 0], "scores": [1, 0]}', r"order \[0, 0\] does not name each of 2 draws"),
        ('{"id": "p", "by": "j", "order": [0, 1], "scores": [1]}', r"does not name each of 1 draws"),
        ('{"id": "p", "by": "j", "order": [0, 1], "scores": [null, null]}', r"no reason says why"),
        ('{"id": "p", "by": "j", "order": [0], "scores": [1], "x": 1}', r"unknown field"),
    ],
)
def test_a_line_that_is_no_verdict_is_refused(line: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        parse_verdict(line.encode())


# What holds for all.


@pytest.mark.parametrize("name", NAMES)
def test_what_is_converted_is_read_again_as_it_was(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out.jsonl"
    count = convert(name, FILES[name], out)
    again: list[Any] = list(read_verdicts(out) if CONVERTERS[name].makes == "verdicts" else read_pools(out))
    assert again == list(converted(name, FILES[name]))
    assert len(again) == count > 0


@pytest.mark.parametrize("name", POOLS)
def test_pools_are_labelled_and_say_where_they_are_from(name: str) -> None:
    found = pools(name)
    assert len({pool.prompt.id for pool in found}) == len(found)
    for pool in found:
        assert pool.prompt.metadata["benchmark"] == name
        assert [one.index for one in pool.candidates] == list(range(len(pool)))
    assert name in ("chat", "helpsteer2") or all("correct" in pool.scores for pool in found)


@pytest.mark.parametrize("name", [name for name in NAMES if CONVERTERS[name].columns])
def test_a_format_is_told_by_the_columns_of_its_rows(name: str) -> None:
    assert {detect(row) for row in rows(name)} == {name}


@pytest.mark.parametrize("name", NAMES)
def test_a_malformed_row_is_handed_over_and_the_next_ones_go_on(tmp_path: Path, name: str) -> None:
    good = rows(name)
    broken = {key: [{"no": "such"}] for key in good[0]}
    path = tmp_path / "rm_data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (broken, {}, *good)))
    told: list[BadLine] = []
    options = {"domain": "chat"} if name == "rm-bench" else {}
    made = list(converted(name, path, on_bad=told.append, **options))
    assert [line.line for line in told] == [1, 2]
    assert all(line.error == "invalid" and line.message for line in told)
    assert len(made) == len(list(converted(name, FILES[name])))
    with pytest.raises(DataError, match=re.escape(f"{path}:1: ")):
        list(converted(name, path, **options))


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("rewardbench-2", {"num_correct": 2}, "1 chosen and 3 rejected answers, and num_correct is 2"),
        ("rewardbench-2", {"rejected": []}, "at least one of each"),
        ("rewardbench-2", {"subset": "Ties"}, "the id '12' of a row of Ties is neither"),
        ("rm-bench", {"chosen": ["one"]}, "1 chosen and 3 rejected answers, not three of each"),
        ("judgebench", {"label": "A=B"}, "field 'label': invalid enum value 'A=B'"),
        ("rmb", {"conversation_input": []}, "conversation_input is empty"),
        ("rmb-bon", {"loser_list": []}, "nothing to choose from"),
        ("processbench", {"label": 3}, "step 3 of 3, counted from 0"),
        ("processbench", {"label": -2}, "step -2 of 3, counted from 0"),
        ("processbench", {"steps": []}, "there are no steps"),
        ("stepwise", {"labels": [True, False]}, "wanted is one for each of 3 completions"),
        ("stepwise", {"labels": [True, 2, False]}, "label 2: wanted is true or false, or how likely"),
        ("stepwise", {"labels": [True, None, False]}, "label None: wanted is true or false, or how likely"),
        ("stepwise", {"completions": ["1 + 1 = 2", " ", "So 2"]}, "wanted are the steps of a solution"),
        ("stepwise", {"completions": [], "labels": []}, "there are no steps"),
        ("stepwise", {"prompt": None}, "prompt is None: wanted is a text, or messages"),
        ("prm800k", {"question": {}}, "missing required field `problem`"),
        ("math-shepherd", {"label": "Bo has 2 plums"}, "label goes on with"),
        ("math-shepherd", {"input": "What is 1 + 1?"}, "wanted are a question, then 'Step 1: ...'"),
        ("helpsteer2-preference", {"preference_strength": 4}, "4 is not between -3 and 3"),
        ("helpsteer3", {"context": []}, "context is empty"),
        ("llmbar", {"label": 3}, "invalid enum value 3"),
        ("llmbar-verdicts", {"winner_order21": "1"}, "2 verdicts in one order, 1 in the other"),
        ("pandalm", {"annotator2": 7}, "invalid enum value 7"),
        ("pandalm-verdicts", {"gpt_result": "1", "other_result": "2"}, "one column whose name ends in _result"),
        ("preference", {"rejected": " blue."}, "the same"),
        ("preference", {"prompt": None, "chosen": "A", "rejected": "B"}, "do not begin with the same words"),
        ("preference", {"chosen": [{"role": "user", "content": "x"}]}, "the last message is the user's"),
        ("preference", {"chosen": 3}, "chosen is 3: wanted is a text, or messages"),
        ("preference", {"chosen": [{"content": "x"}]}, "no message: wanted are a role and a content"),
        ("preference", {"chosen": [{"role": "assistant", "content": "x"}] * 2}, "2 messages, where one reply"),
        ("unpaired", {"label": 1}, "label is 1: wanted is true or false"),
        ("unpaired", {"prompt": ""}, "there is no prompt"),
        ("preference", {"prompt": "\n\nAssistant:"}, "there is no prompt"),
        ("preference", {"prompt": [{"role": "assistant", "content": ""}]}, "there is no prompt"),
        ("chat", {"messages": []}, "messages is []: wanted is a text, or messages"),
        ("chat", {"messages": [{"role": "assistant", "content": "x"}]}, "there is no prompt before"),
    ],
)
def test_a_row_that_makes_no_sense_says_why(name: str, change: dict[str, Any], what: str) -> None:
    with pytest.raises(DataError, match=re.escape(what)):
        list(converted(name, [{**rows(name)[0], **change}]))


def test_conversations_that_part_before_their_end_are_no_pair() -> None:
    row = {
        "chosen": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        "rejected": [{"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}],
    }
    with pytest.raises(DataError, match="differ before their last message"):
        list(converted("preference", [row]))


def test_numbers_may_be_text_as_tables_hold_them(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text('input,output_1,output_2,label,subset,i\n"Say ""a"",\nplease",a,b,2,Natural,5\n')
    (pool,) = converted("llmbar", path)
    assert isinstance(pool, Pool)
    assert (pool.prompt.id, pool.prompt.text) == ("llmbar/Natural/5", 'Say "a",\nplease')
    assert pool.values("correct") == (0.0, 1.0)


def test_the_same_row_twice_is_told_of_as_such() -> None:
    row = {"prompt": "Say A.", "chosen": "A", "rejected": "B"}
    told: list[BadLine] = []
    assert len(list(converted("preference", [row, row], on_bad=told.append))) == 1
    assert [(line.line, line.error) for line in told] == [(2, "duplicate_id")]
    assert "is that of row 1 too" in told[0].message


def test_a_row_that_pools_cannot_hold_is_told_of_before_anything_is_written(tmp_path: Path) -> None:
    row = {"prompt": "Say A.", "chosen": "A", "rejected": "B"}
    deep: Any = "x"
    for _ in range(300):
        deep = [deep]
    told: list[BadLine] = []
    bad = {**row, "prompt": [{"role": "user", "content": "a", "extra": deep}]}
    assert convert("preference", [row, bad], tmp_path / "out.jsonl", on_bad=told.append) == 1
    assert [line.line for line in told] == [2]


def test_a_wrong_format_is_refused_and_leaves_the_output_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("what was there\n")
    with pytest.raises(
        DataError, match=r"no row can be used as rmb \(2 tried\), so nothing was written; the first, 1:"
    ):
        convert("rmb", FILES["rewardbench"], out, on_bad=lambda line: None)
    assert out.read_text() == "what was there\n"


def test_a_bad_option_is_no_matter_of_a_row() -> None:
    told: list[BadLine] = []
    with pytest.raises(UsageError, match=r"no place for the question"):
        list(converted("gsm8k", [{"question": "1 + 1?", "answer": "#### 2"}], on_bad=told.append, template="none"))
    assert told == []
    with pytest.raises(UsageError, match="rmb has no option 'template'; it has none"):
        converted("rmb", FILES["rmb"], template="{prompt}")


def test_unknown_columns_are_answered_with_what_was_looked_for() -> None:
    assert detect({"prompt": "a", "chosen_answer": "b"}) is None
    said = lacking({"pair_uid": 1, "conversation_input": [], "chosen": {}, "category_path": "x"})
    assert "no format is known by the columns 'pair_uid', 'conversation_input'" in said
    assert "looked for rmb (pair_uid, conversation_input, chosen, reject, category_path)" in said
    assert all(name in said for name, one in CONVERTERS.items() if one.columns)
