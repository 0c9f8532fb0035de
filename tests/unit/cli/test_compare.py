"""`snakeval compare`: verdicts, gates and their exit codes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from support.made import Said, snakeval
from support.sampled import Sampled, answers

Capture = pytest.CaptureFixture[str]

OLD = answers(200, 0.8, 1)
WORSE = [*([0] * 40), *OLD[40:]]
BETTER = [*([1] * 60), *OLD[60:]]
#: Two samples changed: nothing that chance does not do.
SAME = [1 - OLD[0], 1 - OLD[1], *OLD[2:]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


def runs(tmp_path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    Sampled(tmp_path, {"m": old}, id="aaaa1111")
    Sampled(tmp_path, {"m": new}, id="bbbb2222")


def compared(capsys: Capture, *options: str) -> tuple[Said, dict[str, dict[str, Any]]]:
    said = snakeval(capsys, "compare", "aaaa", "bbbb", "--format", "json", *options)
    return said, {row["benchmark"]: row for row in json.loads(said.out)}


def test_each_benchmark_is_better_worse_or_neither(tmp_path: Path, capsys: Capture) -> None:
    alike = {"u": [0.2] * 5}, {"u": [0.5] * 5}  # each sample has changed by the same
    old, new = dict.fromkeys("wbs", OLD), {"w": WORSE, "b": BETTER, "s": SAME}
    runs(tmp_path, old | alike[0], new | alike[1])
    said, rows = compared(capsys)
    assert said.exit_code == 0
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "w": "worse",
        "b": "better",
        "s": "no significant difference",
        "u": "unknown",
    }
    changed = [f"q{n}" for n in range(40) if OLD[n]]
    assert (rows["w"]["samples_worse"], rows["w"]["samples_better"]) == (changed, [])
    assert rows["w"]["difference"] == pytest.approx(-len(changed) / 200)
    assert rows["w"]["ci_low"] < rows["w"]["difference"] < rows["w"]["ci_high"] < 0


def test_a_gate_passes_fails_or_lacks_evidence(tmp_path: Path, capsys: Capture) -> None:
    runs(tmp_path, {"w": OLD, "s": OLD, "b": OLD}, {"w": WORSE, "s": SAME, "b": BETTER})
    said, rows = compared(capsys, "--fail-if-worse", "0.02")
    assert said.exit_code == 1
    assert {name: row["gate_verdict"] for name, row in rows.items()} == {
        "w": "fail",
        "s": "inconclusive",
        "b": "pass",
    }
    assert rows["w"]["gate_reason"].startswith("worse by 0.")
    assert rows["w"]["gate"] == rows["w"]["gate_reason"], "as in version one"
    assert "gate: m/w: fail: worse by" in said.err
    assert "gate: m/s: inconclusive: " in said.err
    assert said.err.endswith("gate: fail (of 3 benchmarks: 1 pass, 1 fail, 1 inconclusive)\n")
    assert {row["gate_overall"] for row in rows.values()} == {"fail"}
    shown = snakeval(capsys, "compare", "aaaa", "bbbb", "--fail-if-worse", "0.02").out
    assert [line.split()[-1] for line in shown.splitlines()[1:4]] == [
        "fail",
        "inconclusive",
        "pass",
    ]
    assert compared(capsys, "--fail-if-worse", "0.5")[0].exit_code == 0
    ungated = compared(capsys)[1].values()
    assert {(row["gate_verdict"], row["gate_overall"]) for row in ungated} == {(None, None)}


@pytest.mark.parametrize("number", ["nan", "inf", "1e400"])
def test_a_gate_of_no_finite_number_is_one_sentence(
    tmp_path: Path, capsys: Capture, number: str
) -> None:
    runs(tmp_path, {"w": OLD}, {"w": WORSE})
    said = snakeval(capsys, "compare", "aaaa", "bbbb", "--fail-if-worse", number)
    assert (said.exit_code, said.out) == (2, "")
    assert "'--fail-if-worse': is no finite number; write one such as 0.02" in said.err


def test_ten_samples_do_not_pass_a_gate_of_two_percent(tmp_path: Path, capsys: Capture) -> None:
    runs(tmp_path, {"w": [1] * 10}, {"w": [1] * 10})
    said, _ = compared(capsys, "--fail-if-worse", "0.02")
    assert said.exit_code == 4
    assert "10 samples can detect 0.39; 0.02 needs 3,000" in said.err
    assert said.err.endswith("gate: inconclusive (of 1 benchmarks: 1 inconclusive)\n")


def test_a_correction_is_stated_and_concerns_only_what_is_gated(
    tmp_path: Path, capsys: Capture
) -> None:
    runs(tmp_path, dict.fromkeys("wxy", OLD), {"w": WORSE, "x": SAME, "y": SAME})
    said, rows = compared(capsys, "--fail-if-worse", "0.02")
    assert "(corrected for 3 limits)" in rows["w"]["gate_reason"]
    assert (rows["w"]["p_comparisons"], rows["w"]["p"]) == (3, 3 * rows["w"]["p_uncorrected"])
    (tmp_path / "p.yaml").write_text("benchmarks: {w: {max_drop: 0.02}}")
    _, rows = compared(capsys, "--policy", str(tmp_path / "p.yaml"))
    assert (rows["w"]["gate_verdict"], rows["x"]["gate_verdict"]) == ("fail", None)
    assert "corrected" not in rows["w"]["gate_reason"]
    said = snakeval(capsys, "compare", "aaaa", "bbbb")
    assert "P-values are corrected for 3 comparisons (Holm)." in said.out


POLICY = """
default: {max_drop: 0.001, significant: false}
benchmarks:
  w*: {max_drop: 0.5}
  s: {at_least: 0.99}
"""


def test_a_policy_has_thresholds_for_each_benchmark(tmp_path: Path, capsys: Capture) -> None:
    runs(tmp_path, dict.fromkeys("wsx", OLD), {"w": WORSE, "s": BETTER, "x": SAME})
    (tmp_path / "p.yaml").write_text(POLICY)
    said, rows = compared(capsys, "--policy", str(tmp_path / "p.yaml"))
    assert said.exit_code == 1
    assert rows["w"]["gate_verdict"] == "pass"
    assert rows["s"]["gate_verdict"] == "fail"
    assert "is less than 0.99" in rows["s"]["gate_reason"]
    drop = sum(OLD) - sum(SAME)
    assert rows["x"]["gate_verdict"] == ("fail" if drop > 0 else "pass")


def test_a_policy_without_a_rule_for_a_benchmark_decides_nothing(
    tmp_path: Path, capsys: Capture
) -> None:
    runs(tmp_path, {"w": OLD}, {"w": WORSE})
    (tmp_path / "p.yaml").write_text("default: {significant: true}")
    said, rows = compared(capsys, "--policy", str(tmp_path / "p.yaml"))
    assert (said.exit_code, rows["w"]["gate_verdict"]) == (4, None)
    assert "no rule applies to a benchmark that both sides have" in said.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("defualt: {}", "unknown key 'defualt'; did you mean 'default'?"),
        ("default: {max_drop: -1}", "default.max_drop: "),
        ("default: {max_drop: .inf}", "default.max_drop: input should be a finite number"),
        ("default: {at_least: .nan}", "default.at_least: input should be a finite number"),
        ("benchmarks: {nosuch: {}}", "benchmarks.nosuch: no such benchmark is compared"),
        ("[", "not valid YAML"),
    ],
)
def test_a_wrong_policy_is_one_sentence_with_its_file(
    tmp_path: Path, capsys: Capture, text: str, said: str
) -> None:
    runs(tmp_path, {"w": OLD}, {"w": WORSE})
    (tmp_path / "p.yaml").write_text(text)
    found = snakeval(capsys, "compare", "aaaa", "bbbb", "--policy", str(tmp_path / "p.yaml"))
    assert found.exit_code == 2
    assert "p.yaml" in found.err
    assert said in found.err or "line 1" in found.err


def test_a_gate_without_a_side_s_results_is_inconclusive(tmp_path: Path, capsys: Capture) -> None:
    runs(tmp_path, {"w": OLD, "old": OLD, "no": None}, {"w": BETTER, "new": OLD, "no": None})
    assert compared(capsys)[0].exit_code == 0
    said, rows = compared(capsys, "--fail-if-worse", "0.1")
    assert said.exit_code == 4
    assert rows.pop("w")["gate_verdict"] == "pass"
    assert {name: (row["verdict"], row["gate_reason"]) for name, row in rows.items()} == {
        "old": ("missing", "the candidate has not finished it"),
        "new": ("missing", "the baseline has not finished it"),
        "no": ("missing", "both sides have not finished it"),
    }
    (tmp_path / "p.yaml").write_text("{allow_missing: true, default: {max_drop: 0.1}}")
    assert compared(capsys, "--policy", str(tmp_path / "p.yaml"))[0].exit_code == 0


def test_a_model_that_one_side_lacks_makes_a_gate_inconclusive(
    tmp_path: Path, capsys: Capture
) -> None:
    Sampled(tmp_path, {"m": {"w": OLD}, "n": {"w": OLD}}, id="aaaa1111")
    Sampled(tmp_path, {"m": {"w": BETTER}}, id="bbbb2222")
    said = snakeval(capsys, "compare", "aaaa", "bbbb", "--fail-if-worse", "0.02")
    assert said.exit_code == 4
    assert "gate: n/w: inconclusive: the candidate has not finished it" in said.err


def test_a_gate_of_runs_without_a_result_is_inconclusive(tmp_path: Path, capsys: Capture) -> None:
    runs(tmp_path, {"w": None}, {"w": None})
    assert snakeval(capsys, "compare", "aaaa", "bbbb").exit_code == 2
    assert compared(capsys, "--fail-if-worse", "0.02")[0].exit_code == 4


def test_different_samples_are_paired_as_far_as_they_are_common(
    tmp_path: Path, capsys: Capture
) -> None:
    runs(tmp_path, {"w": OLD}, {"w": OLD[:50]})
    _, rows = compared(capsys)
    assert (rows["w"]["n"], rows["w"]["n_baseline"], rows["w"]["n_candidate"]) == (50, 200, 50)
    assert rows["w"]["difference"] == 0
    said = snakeval(capsys, "compare", "aaaa", "bbbb")
    assert "50 of 200 and 50" in said.out


def test_a_difference_between_definitions_of_a_benchmark_is_reported(
    tmp_path: Path, capsys: Capture
) -> None:
    Sampled(tmp_path, {"m": {"w": OLD}}, id="aaaa1111")
    Sampled(tmp_path, {"m": {"w": OLD}}, id="bbbb2222", params={"temperature": 0.5})
    said = snakeval(capsys, "compare", "aaaa", "bbbb")
    assert "different definition: params.temperature: None → 0.5" in said.out


def test_a_gate_of_different_definitions_is_inconclusive_unless_allowed(
    tmp_path: Path, capsys: Capture
) -> None:
    Sampled(tmp_path, {"m": {"w": OLD}}, id="aaaa1111")
    Sampled(tmp_path, {"m": {"w": BETTER}}, id="bbbb2222", params={"temperature": 0.5})
    said, rows = compared(capsys, "--fail-if-worse", "0.02")
    assert said.exit_code == 4
    reason = "the definitions differ (params.temperature: None → 0.5)"
    assert rows["w"]["gate_reason"] == reason
    (tmp_path / "p.yaml").write_text("{allow_changed: true, default: {max_drop: 0.02}}")
    assert compared(capsys, "--policy", str(tmp_path / "p.yaml"))[0].exit_code == 0


def test_one_model_is_compared_with_one_whatever_their_names(
    tmp_path: Path, capsys: Capture
) -> None:
    Sampled(tmp_path, {"old": {"w": OLD}, "new": {"w": WORSE}}, id="aaaa1111")
    said = snakeval(capsys, "compare", "aaaa/old", "aaaa/new", "--samples")
    assert "old → new" in said.out
    assert "worse" in said.out
    assert f"old → new/w: worse: q{OLD.index(1)}" in said.out.splitlines()


def test_runs_with_nothing_in_common_are_an_error(tmp_path: Path, capsys: Capture) -> None:
    Sampled(tmp_path, {"m": {"a": [1]}, "n": {"a": [1]}}, id="aaaa1111")
    Sampled(tmp_path, {"x": {"a": [1]}, "y": {"a": [1]}}, id="bbbb2222")
    said = snakeval(capsys, "compare", "aaaa", "bbbb")
    assert (said.exit_code, said.err.count("\n")) == (2, 1)
    assert "have no model in common; name one of each: ID/MODEL" in said.err


def test_tables_for_people_and_programs(tmp_path: Path, capsys: Capture) -> None:
    runs(tmp_path, {"w": OLD}, {"w": WORSE})
    said = snakeval(capsys, "compare", "aaaa", "bbbb", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(said.out))
    assert (row["verdict"], row["samples_better"]) == ("worse", "0")
    said = snakeval(capsys, "compare", "aaaa", "bbbb", "--format", "markdown")
    assert said.out.startswith("| model")


def test_two_gates_at_once_are_refused(tmp_path: Path, capsys: Capture) -> None:
    runs(tmp_path, {"w": OLD}, {"w": OLD})
    said = snakeval(capsys, "compare", "a", "b", "--policy", "p", "--fail-if-worse", "1")
    assert said.exit_code == 2


def test_a_run_is_not_compared_with_itself(tmp_path: Path, capsys: Capture) -> None:
    scores = {model: {"b": answers(40, 0.8, 1)} for model in ("old", "new")}
    run = Sampled(tmp_path, scores)
    id = run.directory.id
    for pair in ((id, id), (id, str(run.path)), (f"{id}/old", id), (f"{id}/old/b", f"{id}/old/b")):
        said = snakeval(capsys, "compare", *pair)
        assert (said.exit_code, said.out, said.err.count("\n")) == (2, "", 1), said
        assert "compared with itself" in said.err
        said = snakeval(capsys, "compare", *pair, "--fail-if-worse", "0.5")
        assert said.exit_code == 4
        assert "inconclusive: both sides are one result of one run" in said.err
    assert snakeval(capsys, "compare", f"{id}/old", f"{id}/new").exit_code == 0
