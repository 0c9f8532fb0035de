"""The rules judge health: the defaults of docs/health.md, and what a configuration says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snakeval.evaluation.health import Answers, Health
from snakeval.evaluation.verdict import Verdict, judge, name_to_keep, names_to_keep
from support.asking import Asking

CLEAN: dict[str, Any] = {
    "asked": 60, "answered": 60, "choices": 60, "names": {"m-1": 60}, "asked_name": "m-1",
    **dict.fromkeys(["given_up", "error", "truncated", "html", "refused"], 0),
    **dict.fromkeys(["cut", "unended", "empty", "reasoning_only", "form", "items", "equal"], 0),
}  # fmt: skip


def verdict(rules: Any = None, expected: Any = None, **counts: Any) -> Verdict:
    health = Health({"m": Answers(**{**CLEAN, **counts})})
    return judge(health, rules or {}, expected or {})


def levels(found: Verdict) -> dict[str, str]:
    return {each.rule: each.level for each in found.findings}


def test_a_clean_evaluation_is_ok() -> None:
    assert verdict() == Verdict()
    assert verdict().cell == "ok"


@pytest.mark.parametrize("rule", ["given_up", "error", "truncated", "html"])
def test_one_lost_request_fails_and_is_asked_again(rule: str) -> None:
    found = verdict(**{rule: 1})
    assert levels(found) == {rule: "fail"}
    assert found.asks_again
    assert f"rule health.{rule}: fail at 1" in found.reason
    assert "run the same command" in found.reason


@pytest.mark.parametrize("rule", ["cut", "empty", "reasoning_only", "refused", "form"])
def test_one_percent_of_bad_answers_warns(rule: str) -> None:
    found = verdict(choices=200, **{rule: 2})
    assert levels(found) == ({rule: "warn"} if rule != "refused" else {})
    assert levels(verdict(choices=200, **{rule: 3})) == {rule: "warn"}
    assert verdict(choices=200, **{rule: 1}).cell == "ok", "half a percent"


def test_answers_that_do_not_say_why_they_ended_leave_the_cut_ones_unknown() -> None:
    found = verdict(unended=60)
    assert (found.cell, found.findings) == ("cut unknown", ())
    assert found.unknown == (
        "60 of 60 answers of m have no known finish_reason, so the token limit may have cut them"
    )
    assert verdict(choices=600, unended=5).cell == "ok", "no warning would depend on them"
    assert verdict(unended=1, cut=5).cell == "8 % cut", "it warns in any case"
    assert verdict({"cut": {"warn": 0.01, "fail": 0.5}}, unended=30, cut=5).cell == (
        "8 % cut, cut unknown"
    )
    assert verdict(unended=60, empty=6).cell == "10 % empty, cut unknown"
    assert verdict({"cut": {}}, unended=60).cell == "ok", "the rule is ignored"


def test_a_refusal_of_a_filter_counts_once() -> None:
    all_of_them = verdict({"refused": {"fail": 0.9}}, choices=60, refused=60, filtered=60)
    assert levels(all_of_them) == {"refused": "fail"}
    assert "60 of 60 requests were refused" in all_of_them.reason
    both = verdict(choices=40, refused=20, filtered=10)
    assert "20 of 50 requests were refused" in both.warning


def test_the_cell_and_the_sentence_name_the_counts() -> None:
    found = verdict(cut=7, empty=1)
    assert found.cell == "12 % cut, 2 % empty"
    assert "7 of 60 answers were cut by the token limit" in found.warning
    assert "max_new_tokens" in found.warning


def test_a_changed_model_fails_and_one_constant_other_name_is_a_note() -> None:
    changed = verdict(names={"m-1": 50, "m-2": 10})
    assert levels(changed) == {"model": "fail"}
    assert changed.asks_again
    assert "10 of 60" in changed.reason
    assert "m-2 besides m-1" in changed.reason
    constant = verdict(names={"m-1-2026": 60})
    assert levels(constant) == {"name": "note"}
    assert constant.cell == "ok"
    assert levels(verdict(names={})) == {}


def test_names_that_a_server_chose_are_visible_and_short() -> None:
    hostile = "\x1b]0;x\x07\n\u202e\ud800" + "m" * 200
    for names in ({"m-1": 50, hostile: 10}, {hostile: 60}, {hostile: 30, f"b{hostile}": 30}):
        (finding,) = verdict(names=names).findings
        assert finding.sentence.isprintable()
        assert len(finding.sentence) < 400
        assert "‹U+001B›]0;x‹U+0007›" in finding.sentence


def test_answers_as_names_the_model_that_counts() -> None:
    other = verdict(expected={"m": "m-2"}, names={"m-1": 50, "m-2": 10})
    assert other.findings[0].count == 50
    assert levels(verdict(expected={"m": "m-2"}, names={"m-1": 60})) == {"model": "fail"}
    assert levels(verdict(expected={"m": "m-2"}, names={"m-2": 60})) == {}
    answers = Answers(names={"a": 1, "b": 2})
    assert (name_to_keep(answers, ""), name_to_keep(answers, "a")) == ("b", "a")
    assert name_to_keep(Answers(), "") == ""


def test_equal_answers_warn_only_beyond_half_of_the_items() -> None:
    assert levels(verdict(items=10, equal=5)) == {}
    assert levels(verdict(items=10, equal=6)) == {"equal": "warn"}


def test_changed_fingerprints_and_seeds_are_notes() -> None:
    found = verdict(fingerprints={"a": 50, "b": 10}, seeds={"different": 1, "equal": 2})
    assert levels(found) == {"fingerprint": "note", "seed": "note"}
    assert found.cell == "ok"


def test_samples_that_no_filter_parses_warn() -> None:
    assert judge(Health(samples=100, unparsed=1), {}, {}).cell == "1 % not parsed"
    assert judge(Health(samples=200, unparsed=1), {}, {}).cell == "ok"
    assert judge(Health(), {}, {}).cell == "ok"


def test_a_configuration_changes_levels_and_thresholds() -> None:
    assert verdict({"cut": {}}, cut=60).cell == "ok"
    assert levels(verdict({"cut": {"fail": 0.01}}, cut=1)) == {"cut": "fail"}
    both = {"cut": {"warn": 0.01, "fail": 0.2}}
    assert levels(verdict(both, cut=11)) == {"cut": "warn"}
    assert levels(verdict(both, cut=12)) == {"cut": "fail"}
    assert levels(verdict({"given_up": {"warn": 3}}, given_up=3)) == {"given_up": "warn"}
    assert levels(verdict({"name": {"fail": 1}}, names={"m-2": 60})) == {"name": "fail"}


#: What a rule finds in 6 of 60 answers, or of as many of whatever it counts.
TENTH: dict[str, dict[str, Any]] = {
    **{rule: {rule: 6} for rule in ("given_up", "error", "truncated", "html")},
    **{rule: {rule: 6} for rule in ("cut", "empty", "reasoning_only", "form")},
    "model": {"names": {"m-1": 54, "m-2": 6}},
    "refused": {"refused": 6, "filtered": 6},
    "equal": {"items": 60, "equal": 6},
    "fingerprint": {"fingerprints": {"a": 54, "b": 6}},
    "seed": {"seeds": {"equal": 54, "different": 6}},
}


@pytest.mark.parametrize("level", ["fail", "warn"])
@pytest.mark.parametrize("rule", [*TENTH, "name", "unparsed"])
def test_each_rule_has_each_level_from_its_threshold_on(rule: str, level: str) -> None:
    def found(at: float) -> dict[str, str]:
        rules = {rule: {level: at}}
        if rule == "unparsed":
            return levels(judge(Health(samples=60, unparsed=6), rules, {}))
        counts = {"names": {"m-2": 6}} if rule == "name" else TENTH[rule]
        return levels(verdict(rules, **counts))

    assert found(6) == found(0.09) == {rule: level}
    assert found(7) == {}
    assert found(0.11) == ({rule: level} if rule == "name" else {}), "all answers have the name"
    assert found(0.1) == ({} if rule == "equal" else {rule: level})


def test_kept_answers_are_not_asked_again_by_the_same_command() -> None:
    found = verdict({"cut": {"fail": 0.01}}, cut=7)
    assert not found.asks_again
    assert "`snakeval resume ID --ask-again unhealthy`" in found.reason
    known = replace(found, run="0123abcd").reason
    assert "`snakeval resume 0123abcd --ask-again unhealthy`" in known
    assert "run the same command" not in found.reason
    both = verdict({"cut": {"fail": 0.01}}, cut=7, given_up=2)
    assert not both.asks_again
    assert len(both.reason) <= 300


def test_unknown_health_is_unknown_and_unknown_counts_are_no_finding() -> None:
    assert judge(Health(unknown="its ledger is off"), {}, {}).cell == "unknown"
    assert verdict(given_up=None, cut=None, names={}).cell == "ok"
    assert verdict(missing=3).unknown == "3 answers cannot be read from its journal"
    assert verdict(missing=3).cell == "unknown"
    assert verdict(missing=3, cut=7).cell == "12 % cut"


def test_the_gravest_finding_is_first() -> None:
    found = verdict(cut=7, given_up=1, fingerprints={"a": 2, "b": 1})
    assert [each.level for each in found.findings] == ["fail", "warn", "note"]
    assert found.cell == "1 given up, 12 % cut"
    assert found.findings[0].as_dict()["text"] == "1 of 60 requests received no answer"


def test_answers_of_another_model_stay_if_the_model_is_not_asked(tmp_path: Path) -> None:
    found = Health({"m": Answers(asked=3, answered=3, names={"a": 2, "b": 1})}).as_dict()
    for offline, kept in ((False, {"m": "a"}), (True, {})):
        job = Asking(tmp_path, "http://localhost:1", offline=offline)
        assert names_to_keep(job.evaluation, found) == kept
