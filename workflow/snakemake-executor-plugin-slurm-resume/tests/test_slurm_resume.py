"""The executor slurm-resume: names, notes, what states mean, and what follows from them.

Long because it has the unit tests of the whole plugin, each part under a heading.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import snakemake_executor_plugin_slurm as upstream
from snakemake_interface_common.exceptions import ApiError

import snakemake_executor_plugin_slurm_resume
from snakemake_executor_plugin_slurm_resume import ExecutorSettings, absent, official, slurm
from snakemake_executor_plugin_slurm_resume.earlier import Earlier
from snakemake_executor_plugin_slurm_resume.identity import Task, slurm_name
from snakemake_executor_plugin_slurm_resume.notes import Note, Notes, SlurmJob
from snakemake_executor_plugin_slurm_resume.pace import Pace
from snakemake_executor_plugin_slurm_resume.queries import Queries
from snakemake_executor_plugin_slurm_resume.script import render
from snakemake_executor_plugin_slurm_resume.states import (
    MAX_SUBMISSIONS,
    SIGNALLED,
    Meaning,
    Seen,
    closed_itself,
    meaning,
    signal_lead,
    spent,
)

HOUR = 3600


# --- names ------------------------------------------------------------------------------------


def test_a_name_describes_the_task_and_is_the_same_for_the_same_files() -> None:
    outputs = {"/run/m/b/evaluation.json": "x"}
    name = slurm_name("snakeval", "evaluate", ["m", "b"], outputs)
    assert name.startswith("snakeval_evaluate_m_b_")
    assert slurm_name("snakeval", "evaluate", ["m", "b"], dict(outputs)) == name
    assert slurm_name("snakeval", "evaluate", ["m", "b"], {"/other/evaluation.json": ""}) != name


def test_a_name_is_short_and_safe_in_a_shell_or_a_list_of_names() -> None:
    name = slurm_name("", "évaluate", ["a b,c/d$(e)" * 20], {"/x": ""})
    assert len(name) < 100
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


# --- states -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("COMPLETED", Meaning.DONE),
        ("TIMEOUT PREEMPTED NODE_FAIL BOOT_FAIL", Meaning.LOST),
        ("FAILED CANCELLED CANCELLED+ OUT_OF_MEMORY DEADLINE", Meaning.FAILED),
        ("PENDING RUNNING COMPLETING CONFIGURING SUSPENDED STOPPED RESIZING", Meaning.LIVE),
        ("REQUEUED REQUEUE_FED REQUEUE_HOLD SPECIAL_EXIT RESV_DEL_HOLD REVOKED", Meaning.LIVE),
    ],
)
def test_every_state_has_a_meaning(states: str, expected: Meaning) -> None:
    assert {meaning(state) for state in states.split()} == {expected}


def test_an_unknown_state_is_live_and_not_a_success() -> None:
    assert {meaning("TELEPORTED"), meaning("UNKNOWN"), meaning("")} == {Meaning.LIVE}


def test_a_state_with_its_canceller_still_means_cancelled() -> None:
    assert meaning("CANCELLED by 1000") is Meaning.FAILED


# --- the time limit ---------------------------------------------------------------------------


def test_the_signal_comes_in_the_last_quarter_of_a_limit_and_never_without_a_limit() -> None:
    assert signal_lead(120, HOUR) == 120
    assert signal_lead(120, 60) == 15
    assert (signal_lead(120, None), signal_lead(0, HOUR)) == (0, 0)


@pytest.mark.parametrize(
    ("elapsed", "again"), [(HOUR - 60, True), (HOUR - 184, True), (HOUR - 190, False), (5, False)]
)
def test_only_a_failure_after_the_signal_counts_as_closed(elapsed: int, again: bool) -> None:
    assert closed_itself(Seen("1", "FAILED", elapsed, HOUR), 120, direct=False) is again


def test_the_exit_code_of_a_direct_script_shows_the_signal() -> None:
    late = {"elapsed": HOUR - 60, "limit": HOUR}
    assert closed_itself(Seen("1", "FAILED", exit_code=SIGNALLED, **late), 120, direct=True)
    assert not closed_itself(Seen("1", "FAILED", exit_code=1, **late), 120, direct=True)
    assert closed_itself(Seen("1", "FAILED", exit_code=None, **late), 120, direct=True)


def test_other_ends_and_jobs_without_a_limit_or_a_signal_do_not_count_as_closed() -> None:
    assert not closed_itself(Seen("1", "OUT_OF_MEMORY", HOUR - 1, HOUR), 120, direct=False)
    assert not closed_itself(Seen("1", "FAILED", HOUR, None), 120, direct=False)
    assert not closed_itself(Seen("1", "FAILED", HOUR - 1, HOUR), 0, direct=False)


def test_a_job_is_resubmitted_until_its_total_runtime() -> None:
    assert spent(HOUR - 1, 500, HOUR) == ""
    assert "max_total_runtime is 1:00:00" in spent(HOUR, 3, HOUR)


def test_without_a_total_runtime_the_submissions_are_limited() -> None:
    assert spent(10**6, MAX_SUBMISSIONS - 1, 0) == ""
    assert "100 times" in spent(0, MAX_SUBMISSIONS, 0)


def test_only_consecutive_losses_since_the_last_real_end_count() -> None:
    states = ["TIMEOUT", "FAILED", "TIMEOUT", "CLOSED", "NODE_FAIL", "PREEMPTED"]
    jobs = tuple(SlurmJob(str(n), "", state, elapsed=10) for n, state in enumerate(states))
    assert [job.id for job in Note(made("/a"), jobs=jobs).series] == ["2", "3", "4", "5"]


# --- notes ------------------------------------------------------------------------------------


def made(*outputs: str, digest: str = "p") -> Task:
    return Task(
        slurm_name("", "g", (), dict.fromkeys(outputs)), "", "g", dict.fromkeys(outputs, digest)
    )


def test_a_note_survives_writing_and_reading(tmp_path: Path) -> None:
    note = Note(made("/a", "/b"), True, (SlurmJob("7", "t", "RUNNING", "n1", limit=60),))
    notes = Notes(tmp_path)
    notes.write(note)
    assert notes.read(note.task.name) == note
    assert list(notes) == [note]


def test_an_unreadable_note_counts_as_missing(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('{"name": "half"')
    (tmp_path / "other.json").write_text("[]")
    assert list(Notes(tmp_path)) == []
    assert Notes(tmp_path / "nowhere").read("x") is None


# --- what an earlier Snakemake left in the queue ----------------------------------------------


def earlier(tmp_path: Path, task: Task, state: str = "RUNNING", **seen: str) -> Earlier:
    notes = Notes(tmp_path)
    notes.write(Note(task))
    return Earlier([Seen("5", state, name=task.name, **seen)], notes)


def same(found: Earlier, wanted: Task) -> str:
    match = found.match(wanted)
    return match.same.id if match.same else ""


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUE_HOLD"])
def test_a_live_job_for_the_same_files_is_adopted(tmp_path: Path, state: str) -> None:
    assert same(earlier(tmp_path, made("/a", "/b"), state), made("/b", "/a")) == "5"


def test_a_group_that_also_makes_finished_files_is_adopted(tmp_path: Path) -> None:
    assert same(earlier(tmp_path, made("/deploy", "/a", "/b")), made("/deploy", "/b")) == "5"


def test_a_job_that_makes_some_of_the_files_is_awaited(tmp_path: Path) -> None:
    match = earlier(tmp_path, made("/a")).match(made("/a", "/b"))
    assert match.same is None
    assert [seen.id for seen in match.overlapping] == ["5"]


def test_a_job_with_other_params_is_outdated(tmp_path: Path) -> None:
    match = earlier(tmp_path, made("/a", "/b")).match(made("/b", digest="q"))
    assert match.same is None
    assert [seen.id for seen in match.outdated] == ["5"]


def test_a_job_without_its_note_is_found_by_its_name(tmp_path: Path) -> None:
    found = Earlier([Seen("5", "RUNNING", name=made("/a").name)], Notes(tmp_path))
    assert same(found, made("/a")) == "5"
    assert same(found, made("/b")) == ""


def test_an_ended_job_is_adopted_only_if_it_has_just_succeeded(tmp_path: Path) -> None:
    assert same(earlier(tmp_path, made("/a"), "FAILED"), made("/a")) == ""
    old = earlier(tmp_path, made("/a"), "COMPLETED", ended="2020-01-01T00:00:00")
    assert same(old, made("/a")) == ""
    new = earlier(tmp_path, made("/a"), "COMPLETED", ended="2999-01-01T00:00:00")
    assert same(new, made("/a")) == "5"


# --- the script of a direct job ---------------------------------------------------------------


def start(tmp_path: Path, command: str) -> subprocess.Popen[bytes]:
    script = tmp_path / "job.sh"
    script.write_text(
        render(f"set -euo pipefail; {command}", "/bin/bash", "t", tmp_path, {"A": "b c"})
    )
    return subprocess.Popen(["bash", str(script)], start_new_session=True)


def appears(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"no {path}")


def test_a_script_exits_as_its_command_does(tmp_path: Path) -> None:
    assert start(tmp_path, 'test "$A" = "b c"').wait(300) == 0
    assert start(tmp_path, "exit 7").wait(300) == 7
    assert start(tmp_path, "false | true").wait(300) == 1
    assert start(tmp_path, 'kill -9 "$BASHPID"').wait(300) == 128 + 9


def test_the_signal_reaches_every_process_and_all_can_close(tmp_path: Path) -> None:
    (tmp_path / "close.sh").write_text(
        'trap "sleep 0.5; touch $1.closed; exit 3" TERM; touch $1; while :; do sleep 0.1; done'
    )
    command = "bash close.sh a | bash close.sh b; touch never"
    process = start(tmp_path, command)
    appears(tmp_path / "a")
    appears(tmp_path / "b")
    process.send_signal(signal.SIGTERM)  # to the script alone, as sbatch --signal=B:TERM does
    assert process.wait(300) == SIGNALLED
    assert {p.name for p in tmp_path.iterdir()} >= {"a.closed", "b.closed"}
    assert not (tmp_path / "never").exists()


def test_a_command_that_succeeds_despite_the_signal_has_succeeded(tmp_path: Path) -> None:
    process = start(tmp_path, "trap : TERM; touch a; sleep 0.5 || true")
    appears(tmp_path / "a")
    process.send_signal(signal.SIGTERM)
    assert process.wait(300) == 0


# --- how often Slurm is asked -----------------------------------------------------------------


def waits(pace: Pace, clock: list[float]) -> float:
    began = clock[0]
    while not pace.is_due:
        clock[0] += 0.5
    return clock[0] - began


def test_polls_grow_rare_without_changes_and_come_soon_after_one() -> None:
    clock = [1000.0]
    pace = Pace(2, 10, lambda: clock[0])
    seen = []
    for _ in range(6):
        pace.looked()
        seen.append(waits(pace, clock))
    assert seen == [2, 3, 4.5, 7, 10, 10]
    pace.looked()
    pace.stir()
    assert waits(pace, clock) == 2


def test_repeated_events_do_not_postpone_the_next_poll() -> None:
    clock = [1000.0]
    pace = Pace(2, 10, lambda: clock[0])
    pace.stir()
    clock[0] += 1.5
    pace.stir()
    assert waits(pace, clock) == 0.5


# --- questions, to stand-ins that print what they are told -----------------------------------


class Logger:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    warning = error = info


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with squeue and sacct that print, or fail with, what its files say."""
    for name in ("squeue", "sacct"):
        program = tmp_path / name
        program.write_text(
            f"#!/bin/sh\ncd {tmp_path}\n"
            f"[ -e {name}.fails ] && cat {name}.fails >&2 && exit 1\ncat {name}.says\n"
        )
        program.chmod(0o755)
        (tmp_path / f"{name}.says").write_text("")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def looks(cluster: Path, outputs: list[str], count: int = 1) -> tuple[dict[str, Seen], list[str]]:
    logger = Logger()
    queries = Queries(logger, 0)
    queries._grace = 0
    found: dict[str, Seen] = {}
    for _ in range(count):
        found = queries.look({"5": outputs}, ())
    return found, logger.lines


def test_the_controller_reports_a_job(cluster: Path) -> None:
    (cluster / "squeue.says").write_text(
        "5|RUNNING|1:05|10:00|n1|N/A|None|name|/a|b\n6|PENDING|0:00|UNLIMITED|||||\n"
    )
    found, _ = looks(cluster, [])
    assert found["5"] == Seen(
        "5", "RUNNING", 65, 600, "n1", "None", "N/A", "name", total=65, place="/a|b"
    )
    assert set(found) == {"5"}


def test_a_silent_controller_decides_no_job_and_is_reported_once(
    cluster: Path,
) -> None:
    (cluster / "squeue.fails").write_text("slurm_load_jobs error: Unable to contact controller")
    found, lines = looks(cluster, [], count=3)
    assert found == {}
    assert len(lines) == 1
    assert "Unable to contact controller" in lines[0]


def test_the_accounting_reports_the_canceller_and_counts_time_before_a_requeue(
    cluster: Path,
) -> None:
    (cluster / "squeue.says").write_text("5|CANCELLED|0:30|10:00||2026|None|name|/w\n")
    (cluster / "sacct.says").write_text(
        "5|REQUEUED|100|10|n1|2026|0:0\n5|CANCELLED by 1000|30|10|n2|2026|0:15\n"
    )
    found, _ = looks(cluster, [])
    assert (found["5"].state, found["5"].node, found["5"].total) == ("CANCELLED by 1000", "n2", 130)


def test_a_forgotten_job_is_judged_by_the_accounting(cluster: Path) -> None:
    (cluster / "sacct.says").write_text("5|OUT_OF_MEMORY|30|10|n2|2026|0:125\n")
    assert looks(cluster, [])[0]["5"].state == "OUT_OF_MEMORY"


@pytest.mark.parametrize("accounting", ["", "Slurm accounting storage is disabled"])
def test_a_vanished_job_is_judged_by_its_outputs(cluster: Path, accounting: str) -> None:
    if accounting:
        (cluster / "sacct.fails").write_text(accounting)
    there = cluster / "output"
    assert meaning(looks(cluster, [str(there)])[0]["5"].state) is Meaning.FAILED
    there.touch()
    assert meaning(looks(cluster, [str(there)])[0]["5"].state) is Meaning.DONE


def test_the_plugin_waits_for_an_accounting_that_is_down(cluster: Path) -> None:
    (cluster / "sacct.fails").write_text("sacct: error: slurm_persist_conn_open: failed")
    found, lines = looks(cluster, ["/nowhere"], count=3)
    assert found == {}
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0:31", 31), ("1:02:03", 3723), ("1-00:00:00", 86400), ("UNLIMITED", None), ("", None)],
)
def test_slurms_times_are_read(text: str, expected: int | None) -> None:
    assert slurm.seconds(text) == expected


# --- without the official plugin --------------------------------------------------------------


@pytest.mark.parametrize(
    ("installed", "sentence"),
    [
        ({}, "which is not installed: pip install 'snakemake-executor-plugin-slurm>=2.8,<2.9'"),
        ({"snakeval": "0.1.0"}, "which is not installed: pip install 'snakeval[slurm]'"),
        (
            {"snakeval": "0.1.0", official.NAME: "2.9.1"},
            "and 2.9.1 is installed: pip install 'snakeval[slurm]'",
        ),
    ],
    ids=["alone", "in snakeval", "another version"],
)
def test_without_the_official_plugin_one_sentence_says_what_to_install(
    installed: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(official, "_version", lambda name: installed.get(name, ""))
    with pytest.raises(ApiError) as caught:
        absent.Executor(None, None)
    expected = f"The executor slurm-resume requires {official.NAME} 2.8, {sentence}"
    assert str(caught.value) == expected


def test_the_installed_official_plugin_has_a_supported_version() -> None:
    assert official.problem() == ""
    assert issubclass(snakemake_executor_plugin_slurm_resume.Executor, upstream.Executor)


def test_without_the_official_plugin_the_options_are_the_same() -> None:
    def options(settings: type) -> dict[str, bool]:
        return {field.name: field.type is bool for field in fields(settings)}

    assert options(absent.ExecutorSettings) == options(ExecutorSettings)


def test_the_versions_match_the_distribution() -> None:
    project = Path(__file__).parents[1] / "pyproject.toml"
    assert official.REQUIREMENT in tomllib.loads(project.read_text())["project"]["dependencies"]
