"""The results table."""

from __future__ import annotations

import errno
import json
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from snakeval.config.benchmarks import SamplesFile
from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import Completion, Metric, now
from snakeval.files import sealed, without_seal
from snakeval.harnesses import generic
from snakeval.ledger.start_time import start_time
from snakeval.matrix.expand import expand
from snakeval.results.table import COLUMNS, table, to_markdown, write
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned
from support.configs import COMMAND, MODEL, config
from support.made import begin
from support.sampled import Sampled, answers


@pytest.fixture
def evaluations(tmp_path: Path) -> tuple[Evaluation, ...]:
    rows = dict.fromkeys(("done", "failed", "pending", "begun"), COMMAND)
    return expand(config(tmp_path, {"models": {"m": MODEL}, "benchmarks": rows}))


@pytest.fixture
def run(tmp_path: Path, evaluations: tuple[Evaluation, ...]) -> RunDirectory:
    run = RunDirectory(tmp_path / "run")
    plan = [Planned(e.model, e.benchmark, e.fingerprint) for e in evaluations]
    run.write_plan([*plan, Planned("m", "left", left_out="needs | chat")])
    done, failed, _, begun = evaluations
    complete(run, done, {"v": 0.25})
    run.evaluation(failed.id).fail("out | of coffee")
    begin(run.evaluation(begun.id), begun.fingerprint)
    return run


def complete(run: RunDirectory, evaluation: Evaluation, result: dict[str, Any]) -> None:
    place = run.evaluation(evaluation.id)
    begin(place, evaluation.fingerprint)
    place.spec.write_text(evaluation.to_json())
    (place.artifacts / "f").write_text(json.dumps(result))
    place.complete(
        Completion(
            model=evaluation.model, benchmark=evaluation.benchmark,
            fingerprint=evaluation.fingerprint, identity=evaluation.identity.as_dict(),
            metrics=(Metric("t", "v", result["v"], stderr=0.1, n=4, higher_is_better=True),),
            adapter="generic", parser_version=1, started=now(), finished=now(), seconds=1.0,
            attempt=1, runtime="process", image="", image_digest="", host="h", versions={},
            manifest=place.manifest(),
        )
    )  # fmt: skip


def test_done_failed_pending_and_skipped_evaluations_have_rows(run: RunDirectory) -> None:
    frame = table(run)
    assert tuple(frame.columns) == COLUMNS
    assert dict(zip(frame["benchmark"], frame["status"], strict=True)) == {
        "done": "done", "failed": "failed", "pending": "pending", "begun": "pending",
        "left": "skipped",
    }  # fmt: skip
    by_name = frame.set_index("benchmark")
    assert by_name["reason"]["failed"] == "out | of coffee"
    assert by_name["reason"]["begun"] == "attempt 1 was interrupted"
    row = by_name.loc["done"]
    assert (row["value"], row["stderr"], row["n"], row["metric"]) == (0.25, 0.1, 4, "v")
    assert frame["value"].notna().sum() == 1


@pytest.mark.parametrize(
    ("here", "lives", "told"),
    [
        (True, True, "attempt 1 runs"),
        (True, False, "attempt 1 was interrupted"),
        (False, True, "attempt 1 has not ended: it runs, or was interrupted"),
    ],
)
def test_the_lease_shows_whether_an_unfinished_attempt_runs(
    run: RunDirectory, here: bool, lives: bool, told: str
) -> None:
    host = socket.gethostname() if here else "another"
    pid = os.getpid() if lives else 2**22 + 1  # there is no such process
    lease = {"id": "i", "host": host, "pid": pid, "start": start_time(pid), "beat": 1}
    run.evaluation("m/begun").lease.write_text(json.dumps(lease))
    assert table(run).set_index("benchmark")["reason"]["begun"] == told


def test_csv_json_and_markdown_have_the_same_rows(run: RunDirectory) -> None:
    write(run)
    assert list(pd.read_csv(run.table)["benchmark"]) == list(table(run)["benchmark"])
    rows = json.loads(run.table_json.read_text())
    assert rows[0]["value"] == 0.25
    assert rows[1]["value"] is None
    lines = run.table_markdown.read_text().splitlines()
    assert len(lines) == 2 + 5
    assert "0.2500 ± 0.1000" in lines[2]
    assert "failed: out \\| of coffee" in lines[3]


def test_a_score_has_an_interval_or_a_reason_why_not(
    run: RunDirectory, evaluations: tuple[Evaluation, ...]
) -> None:
    place = run.evaluation(evaluations[0].id)
    row = table(run).iloc[0]
    # t with 3 degrees of freedom has 3.182 standard errors on each side.
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(
        (0.25 - 0.3182, 0.25 + 0.3182), abs=1e-4
    )
    assert row["ci_note"] == "the harness's standard error"
    done = place.completion(evaluations[0].fingerprint)
    assert done is not None
    place.complete(replace(done, metrics=(Metric("t", "v", 0.25), Metric("t", "w", 7.0, stderr=0))))
    frame = table(run)
    assert frame["ci_low"].isna().all()
    assert frame["ci_note"][0] == "none: the harness wrote neither samples nor a standard error"


@pytest.mark.parametrize(
    ("stderr", "note"), [(None, "none: samples.jsonl does"), (0.1, "standard error; samples.jsonl")]
)
def test_damaged_samples_are_named_where_their_interval_is_missing(
    tmp_path: Path, stderr: float | None, note: str
) -> None:
    run = Sampled(tmp_path, {"m": {"b": answers(3, 0.5, 1)}})
    run.logged("m/b", b"\xff\n", stderr)
    found = table(run.directory)["ci_note"][0]
    assert note in found
    assert "wrote neither samples" not in found


def test_intervals_of_samples_are_computed_once(
    run: RunDirectory, evaluations: tuple[Evaluation, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = {"file": "s.jsonl", "scores": {"v": "right"}}
    data = without_seal(json.loads(evaluations[0].to_json()))
    data["transport"]["samples"] = SamplesFile.model_validate(declared).model_dump(mode="json")
    place = run.evaluation(evaluations[0].id)
    place.spec.write_text(json.dumps(data))
    done = place.completion(evaluations[0].fingerprint)
    assert done is not None
    place.complete(replace(done, metrics=(Metric(evaluations[0].identity.task, "v", 0.25),)))
    lines = [json.dumps({"right": number == 0}) for number in range(4)]
    (place.artifacts / "s.jsonl").write_text("\n".join(lines))
    row = table(run).iloc[0]
    assert row["ci_note"] == "Wilson, 4 samples"
    assert row["ci_low"] < 0.25 < row["ci_high"]
    monkeypatch.setattr(generic, "samples", None)
    again = table(run).iloc[0]
    assert (again["ci_low"], again["ci_high"]) == (row["ci_low"], row["ci_high"])
    # An earlier version kept lists.
    (kept,) = place.private.glob("intervals-*.json")
    kept.write_text('[[0.1, 0.2, "Wilson, 4 samples"]]')
    assert list(table(run).iloc[0][["ci_low", "ci_note"]]) == [0.1, "Wilson, 4 samples"]
    kept.write_text('[[null, null, "none: no sample has a score"]]')
    assert table(run).iloc[0]["ci_note"] == "none: no sample has a score"


def test_ungraded_samples_are_counted_beside_the_harness_s_own_score(tmp_path: Path) -> None:
    items = [{"acc": 1.0}] * 45 + [{"acc": 0.0}] * 12 + [{"acc": None}] * 3
    run = Sampled(tmp_path, {"m": {"b": items}})
    frame = table(run.directory)
    row = frame.iloc[0]
    assert (row["value"], row["n"], row["graded"], row["ungraded"]) == (0.75, 60, 57, 3)
    assert row["ci_low"] < 45 / 60 < 48 / 60 < row["ci_high"]
    assert " 57 of 60 graded " in to_markdown(frame)
    # An earlier version left these samples out, and kept that.
    (kept,) = run["m/b"].private.glob("intervals-*.json")
    entry = {"low": 0.7, "high": 0.8, "method": "Wilson", "caveat": "3 samples without a score"}
    kept.write_text(sealed({"intervals": [entry]}))
    assert table(run.directory).iloc[0]["ci_low"] == row["ci_low"]


def test_unreadable_samples_cost_no_score(
    run: RunDirectory, evaluations: tuple[Evaluation, ...]
) -> None:
    place = run.evaluation(evaluations[0].id)
    place.spec.unlink()
    row = table(run).iloc[0]
    assert (row["value"], row["status"]) == (0.25, "done")
    assert row["ci_note"].startswith("the harness's standard error; ")


def test_a_record_of_another_definition_is_not_a_result(
    run: RunDirectory, evaluations: tuple[Evaluation, ...]
) -> None:
    run.write_plan([Planned("m", "done", "0" * 64)])
    assert list(table(run)["status"]) == ["pending"]


def test_a_newer_parser_reads_raw_results_again_and_changes_no_record(
    run: RunDirectory, evaluations: tuple[Evaluation, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = run.evaluation(evaluations[0].id)
    record = place.published.read_bytes()
    monkeypatch.setattr(generic, "PARSER_VERSION", 2)
    monkeypatch.setattr(
        generic,
        "metrics",
        lambda evaluation, artifacts: (
            Metric("t", "better", 2 * json.loads((artifacts / "f").read_text())["v"]),
        ),
    )
    row = table(run).iloc[0]
    assert (row["metric"], row["value"]) == ("better", 0.5)
    assert place.published.read_bytes() == record
    # Read once: the next table takes what the better parser found.
    monkeypatch.setattr(generic, "metrics", None)
    assert table(run).iloc[0]["value"] == 0.5


def test_a_parser_that_cannot_read_old_results_is_reported(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def metrics(evaluation: Evaluation, artifacts: Path) -> tuple[Metric, ...]:
        raise EvaluationError("f does not parse")

    monkeypatch.setattr(generic, "PARSER_VERSION", 3)
    monkeypatch.setattr(generic, "metrics", metrics)
    row = table(run).iloc[0]
    assert row["status"] == "failed"
    assert row["reason"] == "cannot be read again: f does not parse"


def test_an_artifact_that_changed_is_not_read_again(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generic, "PARSER_VERSION", 3)
    place = run.evaluation("m/done").artifacts / "f"
    place.write_text(place.read_text().replace("0.25", "0.75"))
    row = table(run).iloc[0]
    assert row["status"] == "failed"
    assert row["reason"].startswith("cannot be read again: artifacts/f has changed")


def test_scores_are_written_to_the_last_digit_and_counts_as_whole_numbers(
    run: RunDirectory, evaluations: tuple[Evaluation, ...]
) -> None:
    complete(run, evaluations[2], {"v": 1 / 3})
    write(run)
    rows = json.loads(run.table_json.read_text())
    (row,) = (row for row in rows if row["benchmark"] == "pending")
    assert (row["value"], row["n"], row["attempt"]) == (1 / 3, 4, 1)
    assert isinstance(row["n"], int)
    written = pd.read_csv(run.table).set_index("benchmark")
    assert written.loc["pending", "value"] == pytest.approx(1 / 3)
    assert f",{1 / 3!r},0.1," in run.table.read_text()
    assert ",4,True,done," in run.table.read_text()


def test_a_reason_of_several_lines_stays_in_its_cell(
    run: RunDirectory, evaluations: tuple[Evaluation, ...]
) -> None:
    run.evaluation(evaluations[1].id).fail("out\n  of coffee")
    assert "| failed: out of coffee" in to_markdown(table(run))


def test_an_unreadable_evaluation_does_not_prevent_the_table(
    run: RunDirectory, evaluations: tuple[Evaluation, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generic, "PARSER_VERSION", 4)
    run.evaluation(evaluations[0].id).spec.unlink()
    row = table(run).iloc[0]
    assert row["status"] == "failed"
    assert "evaluation.json cannot be read" in row["reason"]


def test_an_empty_table_is_still_a_table(run: RunDirectory) -> None:
    run.write_plan([])
    assert "status" in to_markdown(table(run))


def test_a_note_of_an_attempt_that_cannot_be_read_is_a_reason(
    run: RunDirectory, evaluations: tuple[Evaluation, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(directory: object, fingerprint: str) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "attempt.json")

    monkeypatch.setattr(EvaluationDirectory, "unended_attempt", denied)
    row = table(run).set_index("benchmark").loc["pending"]
    reason = "attempt.json cannot be read (Permission denied)"
    assert (row["status"], row["reason"]) == ("pending", reason)
