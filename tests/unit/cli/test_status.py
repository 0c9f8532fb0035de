"""`snakeval status` and `snakeval ls runs`."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from snakeval import cli
from snakeval.cli.ls.runs import command as ls_runs
from snakeval.executors.slurm.queue import link_notes
from snakeval.lease import Lease
from snakeval.run import index
from snakeval.run.heads import enter
from snakeval.run.index import remember
from support.made import Made, Said, between_looks, snakeval

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    run = Made(tmp_path, "finished", "broken", "at_it", "to_do")
    run.done("finished")
    run.failed("broken", "out of [coffee]")
    run.held("at_it", "Requesting API:  45%|####5     | 18/40 [00:03<00:05,  4.20it/s]\r")
    return run


def rows(said: Said) -> dict[str, str]:
    """Each evaluation's line."""
    lines = said.out.splitlines()
    return {line.split()[0]: line for line in lines if line.startswith("m/")}


def test_each_evaluation_has_a_row_with_the_one_thing_to_know(run: Made, capsys: Capture) -> None:
    said = snakeval(capsys, "status")
    assert said.exit_code == 0
    head, counts, *_ = said.out.splitlines()
    assert head.split() == ["Run", "0123abcd", "named", str(run.path)]
    assert counts == "1 of 4 done, 1 running, 1 pending, 1 failed; no Snakemake runs"
    told = rows(said)
    assert "v 0.2500 ± 0.1000" in told["m/finished"]
    assert "1 min 30 s" in told["m/finished"]
    assert "failed  " in told["m/broken"]
    assert "out of [coffee]" in told["m/broken"]
    assert "18 / 40 requests" in told["m/at_it"]
    assert f"process {os.getpid()}" in told["m/at_it"]
    assert "pending" in told["m/to_do"]


def test_jobs_that_cannot_start_are_one_line_above_the_rows(
    run: Made, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    link_notes(run.directory)
    notes = run.directory.slurm_notes.resolve()
    notes.mkdir(parents=True)
    for number, name in enumerate(("broken", "to_do"), start=7):
        output = run.directory.evaluation(f"m/{name}").output
        jobs = [{"id": str(number), "state": "PENDING"}]
        (notes / f"{name}.json").write_text(json.dumps({"outputs": [output], "jobs": jobs}))
    squeue = tmp_path / "bin" / "squeue"
    squeue.parent.mkdir()
    lines = [f"{number}|PENDING|PartitionDown|2026-11-25T12:00:00|" for number in (7, 8)]
    squeue.write_text("#!/bin/sh\necho '" + "\n".join(lines) + "'\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}:{os.environ['PATH']}")
    said = snakeval(capsys, "status")
    assert said.out.count("2 Slurm jobs cannot start (PartitionDown): wait until") == 1
    assert "Slurm job 7 cannot start (PartitionDown)" in rows(said)["m/broken"]
    assert "expected" not in said.out
    (found,) = json.loads(snakeval(capsys, "status", "--json").out)
    assert [line.rpartition("Jobs: ")[2] for line in found["notices"]] == ["7, 8"]


def test_a_follower_that_waits_for_another_one_does_not_work(run: Made, capsys: Capture) -> None:
    enter(run.directory, ["snakeval", "follow"], follows=True)
    assert f"a follower works (process {os.getpid()})" in snakeval(capsys, "status").out
    with Lease(run.directory.follow_lease):
        text = run.directory.follow_lease.read_text()
        run.directory.follow_lease.write_text(text.replace(f'"pid": {os.getpid()}', '"pid": 1'))
        assert "a follower waits for the other one (process" in snakeval(capsys, "status").out


def test_the_process_that_works_on_the_run_is_reported_or_what_to_do(
    run: Made, capsys: Capture
) -> None:
    enter(run.directory, ["snakemake"])
    assert f"Snakemake runs (process {os.getpid()})" in snakeval(capsys, "status").out
    (head,) = (run.path / ".snakeval/heads").iterdir()
    head.write_text(json.dumps({**json.loads(head.read_text()), "host": "elsewhere", "boot": "x"}))
    said = snakeval(capsys, "status")
    assert "started on elsewhere" in said.out
    assert "of which nothing is known here" in said.out
    head.unlink()
    (run["at_it"].private / "lease").unlink()
    said = snakeval(capsys, "status")
    assert "1 interrupted" in said.out
    assert "nothing runs; `snakeval resume 0123abcd` does the rest" in said.out


@pytest.mark.parametrize(
    ("which", "shown"),
    [
        ("0123abcd/m/broken", {"m/broken"}),
        ("01/m", {"m/finished", "m/broken", "m/at_it", "m/to_do"}),
        ("PATH/m/to_do", {"m/to_do"}),
        ("PATH/", {"m/finished", "m/broken", "m/at_it", "m/to_do"}),
    ],
)
def test_a_part_of_a_run_may_be_asked_for(
    run: Made, capsys: Capture, which: str, shown: set[str]
) -> None:
    said = snakeval(capsys, "status", which.replace("PATH", str(run.path)))
    assert said.exit_code == 0
    assert {*rows(said)} == shown


def test_without_an_id_the_runs_with_a_head_are_listed_or_else_the_newest_run(
    run: Made, tmp_path: Path, capsys: Capture
) -> None:
    Made(tmp_path, "b", name="2026-01-03-00-00-00-00000000")
    assert snakeval(capsys, "status").out.startswith("Run 00000000")
    index.remember(index.find("0123abcd"))
    assert snakeval(capsys, "status").out.startswith("Run 0123abcd")
    index.remember(index.find("00000000"))
    enter(run.directory, ["snakemake"])
    said = snakeval(capsys, "status")
    assert said.out.startswith("Run 0123abcd")
    assert "00000000" not in said.out


def test_programs_get_json(run: Made, capsys: Capture) -> None:
    enter(run.directory, ["snakemake"])
    (told,) = json.loads(snakeval(capsys, "status", "--json").out)
    assert (told["id"], told["directory"], told["ended"]) == ("0123abcd", str(run.path), False)
    assert told["heads"][0]["lives"]
    assert [each["state"] for each in told["evaluations"]] == [
        "done", "failed", "running", "pending",
    ]  # fmt: skip
    assert told["evaluations"][2]["requests"] == [18, 40]


def test_of_many_there_are_totals_and_those_that_need_a_look(
    tmp_path: Path, run: Made, capsys: Capture
) -> None:
    many = Made(tmp_path, *(f"b{n}" for n in range(60)), name="2026-01-03-00-00-00-00000000")
    many.done("b0")
    many.failed("b1", "out of coffee")
    said = snakeval(capsys, "status")
    assert [line.split() for line in said.out.splitlines()[2:4]] == [
        ["model", "done", "pending", "failed"],
        ["m", "1", "58", "1"],
    ]
    assert {*rows(said)} == {"m/b1"}
    assert len(rows(snakeval(capsys, "status", "--all"))) == 60


def test_without_any_run_the_message_states_it(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path))
    assert snakeval(capsys, "status") == Said(0, "", "No run was started on this machine yet.\n")
    assert snakeval(capsys, "status", "--json").out == "[]\n"


@pytest.mark.parametrize(
    ("which", "told"),
    [
        ("0123abce", "0123abce: no such run; did you mean '0123abcd'"),
        ("01/n", "01/n: run 0123abcd has no model 'n'"),
        ("01/m/brokn", "01/m/brokn: m has no benchmark 'brokn'; did you mean 'broken'?"),
        ("01/m/zzz", "m has no benchmark 'zzz'; it has at_it, broken, finished, to_do"),
        ("01/m/broken/x", "01/m/broken/x: write ID, ID/MODEL or ID/MODEL/BENCHMARK"),
        ("", "'': is no run's id"),
    ],
)
def test_an_unknown_run_or_evaluation_fails_and_the_nearest_is_suggested(
    run: Made, capsys: Capture, which: str, told: str
) -> None:
    said = snakeval(capsys, "status", which)
    assert (said.exit_code, said.out) == (2, "")
    assert told in said.err
    assert said.err.count("\n") == 1


def test_a_run_that_was_partly_deleted_or_moved_is_reported_in_a_sentence(
    run: Made, tmp_path: Path, capsys: Capture
) -> None:
    (run.path / ".snakeval/plan.json").unlink()
    for record in run.path.glob("*/*/evaluation.json"):
        record.unlink()
    said = snakeval(capsys, "status", "01")
    assert (said.exit_code, said.err.count("\n")) == (2, 1)
    assert "has no .snakeval/plan.json: it starts just now, or was partly deleted" in said.err
    run.path.rename(tmp_path / "moved")
    said = snakeval(capsys, "status", "01")
    assert (said.exit_code, said.err.count("\n")) == (2, 1)
    assert f"its directory {run.path} is gone; if it was moved, name the directory" in said.err


# --- watched ------------------------------------------------------------------------------------


def test_watch_prints_each_change_until_all_evaluations_have_ended(
    run: Made, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.done("to_do")
    lease = run["at_it"].private / "lease"

    def finish() -> None:
        run.done("at_it")
        lease.unlink()

    monkeypatch.setattr("snakeval.watch.view._WATCH_SECONDS", 0.1)
    monkeypatch.setattr("snakeval.watch.view.time", between_looks(finish))
    said = snakeval(capsys, "status", "--watch")
    assert said.exit_code == 0
    told = [line.split(maxsplit=1)[1] for line in said.out.splitlines()]
    assert [line for line in told if "at_it" in line] == [
        "0123abcd/m/at_it running: 18 / 40 requests",
        "0123abcd/m/at_it done: v 0.2500 ± 0.1000",
    ]
    assert said.out.splitlines()[-1] == "Run 0123abcd: 3 of 4 done, 1 failed"


def test_ctrl_c_ends_the_watching(
    run: Made, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("snakeval.watch.view.time.sleep", interrupt)
    assert snakeval(capsys, "status", "-w").exit_code == cli.INTERRUPTED


def test_a_program_cannot_watch(run: Made, capsys: Capture) -> None:
    assert snakeval(capsys, "status", "--json", "--watch").exit_code == 2


# --- ls runs ------------------------------------------------------------------------------------


def listed(*options: str) -> None:
    ls_runs.main([*options], standalone_mode=False)


def test_runs_are_listed_with_what_is_done(run: Made, tmp_path: Path, capsys: Capture) -> None:
    broken = Made(tmp_path, "b", name="2026-01-03-00-00-00-00000000")
    (broken.path / ".snakeval/plan.json").unlink()
    enter(run.directory, ["snakemake"])
    capsys.readouterr()
    listed("--json")
    newest, told = json.loads(capsys.readouterr().out)
    assert (newest["id"], newest["evaluations"]) == ("00000000", "its plan cannot be read")
    assert told == {
        "id": "0123abcd", "name": "named",
        "started": datetime(2026, 1, 2, 3, 4, 5).astimezone().isoformat(),
        "evaluations": "1 × 4", "models": 1, "benchmarks": 4, "done": 1, "failed": 1, "total": 4,
        "live": True, "hosts": [socket.gethostname()], "directory": str(run.path),
    }  # fmt: skip
    assert str(run.path) not in snakeval(capsys, "ls", "runs").out
    assert str(run.path) in snakeval(capsys, "ls", "runs", "-v").out


def test_runs_fit_into_80_columns(run: Made, tmp_path: Path, capsys: Capture) -> None:
    long = Made(tmp_path, "b", name="2026-01-03-00-00-00-00000000")
    remember(replace(long.entry, name="a name of more words than a table can have"))
    head, *lines = snakeval(capsys, "ls", "runs").out.splitlines()
    assert (len(lines), max(map(len, [head, *lines])) <= 80) == (2, True)
    assert "days ago" in lines[0]


def test_a_head_on_another_host_may_be_live(run: Made, capsys: Capture) -> None:
    other = run.directory.head_file("elsewhere", 1)
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_text(
        json.dumps({"host": "elsewhere", "pid": 1, "start": "1", "command": "snakemake"})
    )
    (row,) = json.loads(snakeval(capsys, "ls", "runs", "--json").out)
    assert (row["live"], row["hosts"]) == (None, ["elsewhere"])
    assert snakeval(capsys, "ls", "runs").out.splitlines()[-1].endswith("perhaps")


def test_only_those_begun_lately_may_be_asked_for(run: Made, capsys: Capture) -> None:
    listed("--since", "2h")
    assert capsys.readouterr().out == ""
    listed("--since", "999999w")
    assert "0123abcd" in capsys.readouterr().out
