"""The progress of a run: what is counted, what is drawn, and how it shares a terminal.

Long because the tests of one plugin are in one file, and its parts are tested as one display.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import textwrap
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_snakeval import LogHandler
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Event, Journal
from snakeval.run.directory import RunDirectory
from snakeval.watch.display.display import reason
from snakeval.watch.display.picture import Picture
from snakeval.watch.display.tally import Tally
from support.limits import HUNG
from support.screen import Screen

RUN = RunDirectory("results/run")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def tally(clock: Clock, done: tuple[str, ...] = (), **options: object) -> Tally:
    names = [f"{model}/{benchmark}" for model, benchmark in product("ab", ("x", "y", "z"))]
    missing = [name for name in names if name not in done]
    return Tally(RUN, names, missing, clock=clock, **options)  # type: ignore[arg-type]


def drawn(tally: Tally, clock: Clock, columns: int = 80, rows: int = 20) -> list[str]:
    lines = Picture(tally, color=False, clock=clock).lines(columns, rows)
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]


# --- counting ---------------------------------------------------------------------------------


def test_each_model_is_counted_with_what_was_done_before(clock: Clock) -> None:
    run = tally(clock, done=("b/x", "b/y"))
    run.start(1, "a", "x")
    run.start(2, "a", "y")
    run.finish(1)
    assert (failed := run.fail(2))
    assert failed.id == "a/y"
    a, b = run.models()
    assert (a.name, a.total, a.done, a.failed, a.running) == ("a", 3, 1, 1, 0)
    assert (b.name, b.total, b.done, b.failed, b.running) == ("b", 3, 2, 0, 0)


def test_what_failed_may_run_again(clock: Clock) -> None:
    run = tally(clock)
    run.start(1, "a", "x")
    run.fail(1)
    run.start(1, "a", "x")
    assert (run.models()[0].failed, run.models()[0].running) == (0, 1)
    run.finish(1)
    assert (run.models()[0].done, run.models()[0].failed) == (1, 0)


def test_a_model_that_is_not_served_fails_what_has_not_begun(clock: Clock) -> None:
    run = tally(clock, done=("a/x",), deployments=2)
    run.start(1, "a", "deployment", deploys=True)
    assert [job.deploys for job in run.jobs()] == [True]
    assert (failed := run.fail(1))
    assert failed.id == "a/deployment"
    a = next(model for model in run.models() if model.name == "a")
    assert (a.done, a.failed) == (1, 2)


# --- the time that is left --------------------------------------------------------------------


def test_without_any_measurement_no_remaining_time_is_estimated(clock: Clock) -> None:
    run = tally(clock)
    run.start(1, "a", "x")
    clock.now = 10
    assert run.remaining() is None


def test_durations_of_earlier_runs_predict_the_remaining_time(clock: Clock) -> None:
    run = tally(clock, expect=lambda name: 60.0)
    for number, name in enumerate(("a/x", "b/x")):
        run.start(number, *name.split("/"))
    clock.now = 20
    # Two side by side: 40 s of these are left, and four more of 60 s.
    assert run.remaining() == pytest.approx((2 * 40 + 4 * 60) / 2)


def test_finished_evaluations_of_this_run_predict_it_and_the_same_benchmark_predicts_best(
    clock: Clock,
) -> None:
    run = tally(clock, done=("a/y", "a/z"))
    run.start(1, "a", "x")
    clock.now = 30
    run.finish(1)
    # One at a time, 30 s each: b/x as a/x did, b/y and b/z as anything did.
    assert run.remaining() == pytest.approx(3 * 30)


def test_the_pace_of_requests_predicts_better_than_any_average(clock: Clock) -> None:
    run = tally(clock, done=("a/y", "a/z", "b/x", "b/y", "b/z"), expect=lambda name: 1000.0)
    run.start(1, "a", "x")
    (job,) = run.jobs()
    for clock.now in range(0, 11, 2):
        job.look(clock.now, (5 * int(clock.now), 100), "")
    assert job.rate == pytest.approx(5)
    assert run.remaining() == pytest.approx(10)


def test_what_is_late_by_a_minute_is_given_another(clock: Clock) -> None:
    run = tally(clock, done=("a/y", "a/z", "b/x", "b/y", "b/z"), expect=lambda name: 60.0)
    run.start(1, "a", "x")
    clock.now = 120
    assert run.remaining() == pytest.approx(60)


def test_an_adopted_evaluation_predicts_nothing(clock: Clock, tmp_path: Path) -> None:
    run = Tally(RunDirectory(tmp_path), ["a/x", "a/y"], ["a/x", "a/y"], clock=clock)
    run.start(1, "a", "x")
    journal(tmp_path / "a" / "x").add(Event("adopted"))
    clock.now = 5
    run.finish(1)
    assert run.remaining() is None


def test_a_server_that_never_loaded_yet_leaves_the_time_open(clock: Clock) -> None:
    run = tally(clock, expect=lambda name: 60.0, deployments=2)
    run.start(1, "a", "deployment", deploys=True)
    clock.now = 30
    assert run.remaining() is None
    run.finish(1)
    assert run.remaining() == pytest.approx(30 + 6 * 60)


# --- drawing ----------------------------------------------------------------------------------


def test_the_picture_has_a_bar_a_model_and_a_line_a_job(clock: Clock) -> None:
    run = tally(clock, done=("a/x",), deployments=1)
    run.start(1, "b", "deployment", deploys=True)
    run.start(2, "a", "y")
    run.start(3, "a", "z")
    run.fail(3)
    server, job = run.jobs()
    server.look(0, None, "loading the weights")
    job.look(0, (10, 40), "")
    clock.now = 65
    job.look(65, (23, 40), "")
    assert drawn(run, clock) == [
        "1 of 6 evaluations done, 1 failed, 1 running  1:05",
        f"a  {'━' * 13}{'╳' * 13}{'─' * 14}  1/3  1 failed",
        f"b  {'─' * 40}  0/3",
        "  b (server)   1:05  loading the weights",
        "  a/y          1:05  23/40 requests  0.2/s",
    ]


def test_the_remaining_time_is_rounded(clock: Clock) -> None:
    run = tally(clock)
    picture = Picture(run, color=False, clock=clock)
    told = []
    for picture.remaining in (20.0, 150.0, 3_000.0, 9_000.0):
        (line, *_) = picture.lines(80, 20)
        told.append(line.rpartition("  ")[2])
    assert told == [
        "less than a minute left",
        "about 2 min left",
        "about 50 min left",
        "about 2 h 30 min left",
    ]


@pytest.mark.parametrize("columns", [200, 80, 40, 20, 10, 2])
@pytest.mark.parametrize("rows", [60, 24, 6, 3, 2, 1])
def test_it_fits_on_any_terminal(clock: Clock, columns: int, rows: int) -> None:
    names = [f"model-{i}-of-some-length/benchmark-{j}" for i in range(30) for j in range(30)]
    run = Tally(RUN, names, names, deployments=30, clock=clock)
    for jobid, name in enumerate(names[:50]):
        run.start(jobid, *name.split("/"))
    lines = drawn(run, clock, columns, rows)
    assert len(lines) <= max(1, rows - 1)
    assert all(len(line) < max(2, columns) for line in lines)


def test_what_does_not_fit_is_counted(clock: Clock) -> None:
    run = tally(clock)
    for jobid, name in enumerate(("a/x", "a/y", "a/z", "b/x", "b/y", "b/z")):
        run.start(jobid, *name.split("/"))
    assert drawn(run, clock, rows=7)[-2:] == ["  a/y   0:00  starts", "  and 4 more"]


def test_colours_are_left_out_on_request(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    run = tally(clock, done=("a/x",))

    def colours(color: bool = True) -> set[str]:
        lines = Picture(run, color=color, clock=clock).lines(80, 20)
        return set(re.findall(r"\x1b\[\d*;?(3\d)m", "".join(lines)))

    assert colours() == {"32"}
    assert colours(color=False) == set()
    monkeypatch.setenv("NO_COLOR", "1")
    assert colours() == set()


def test_where_the_terminal_has_no_such_characters_ascii_is_drawn(clock: Clock) -> None:
    run = tally(clock, done=("a/x",))
    lines = Picture(run, color=False, ascii_only=True, clock=clock).lines(25, 20)
    assert all(line.isascii() for line in lines)


def calls(work: Callable[[], object]) -> int:
    """Return how many functions are called by *work*."""
    count = 0

    def seen(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_10000_evaluations_make_no_event_dearer_and_a_picture_little() -> None:
    costs = []
    for size in (10, 100):
        names = [f"m{i}/b{j}" for i in range(size) for j in range(size)]
        run = Tally(RUN, names, names)
        picture = Picture(run)
        for jobid, name in enumerate(names[:-1]):
            run.start(jobid, *name.split("/"))
            run.finish(jobid)

        def event(run: Tally = run, last: int = len(names) - 1, name: str = names[-1]) -> None:
            run.start(last, *name.split("/"))
            run.finish(last)

        def drawn(run: Tally = run, picture: Picture = picture) -> None:
            picture.lines(100, 40)
            run.remaining()

        costs.append((calls(event), calls(drawn)))
    (few_event, few_drawn), (many_event, many_drawn) = costs
    assert many_event <= 2 * few_event
    assert many_drawn <= 20 * few_drawn, "100 times as many evaluations"


# --- the terminal -----------------------------------------------------------------------------

#: A process that shows two lines, and whose child prints as well.
SHARING = """
import subprocess, sys, time
from pathlib import Path
from snakeval.watch.display.terminal import Terminal

count = 0
def draw(columns, rows):
    global count
    count += 1
    return [f"shown in {columns} x {rows}", "second line"]

terminal = Terminal(draw)
print("by print")
print("an error", file=sys.stderr)
waits = "until [ -e go ]; do sleep 0.05; done"
subprocess.run(["sh", "-c", f"echo by a child; echo its error >&2; printf 'no end'; {waits}"])
{more}
terminal.close()
print("afterwards")
"""


def sharing(tmp_path: Path, more: str = "", *, waits: bool = False) -> Screen:
    """Start it; its child *waits* until the file `go` is there."""
    if not waits:
        (tmp_path / "go").touch()
    script = tmp_path / "sharing.py"
    script.write_text(SHARING.replace("{more}", textwrap.dedent(more)))
    return Screen([sys.executable, str(script)], cwd=tmp_path)


def test_any_other_output_scrolls_by_above_the_display(tmp_path: Path) -> None:
    screen = sharing(tmp_path, waits=True)
    seen = screen.until(lambda text: "its error" in text and "second line" in text)
    assert seen.endswith("its error\nshown in 100 x 30\nsecond line")
    (tmp_path / "go").touch()
    assert screen.end() == 0
    assert screen.text.splitlines() == [
        "by print",
        "an error",
        "by a child",
        "its error",
        "no endafterwards",
    ]


def test_a_terminal_that_gets_narrower_keeps_nothing_behind(tmp_path: Path) -> None:
    screen = sharing(tmp_path, "print('later')", waits=True)
    screen.until(lambda text: "shown in 100" in text)
    screen.resize(60, 20)
    screen.until(lambda text: "shown in 60 x 20" in text)
    (tmp_path / "go").touch()
    screen.end()
    assert "shown" not in screen.text


def test_a_terminal_that_goes_away_stops_nothing(tmp_path: Path) -> None:
    done = tmp_path / "done"
    screen = sharing(
        tmp_path,
        f"""
        import signal
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        print("ready", flush=True)
        time.sleep(1)
        for number in range(5000):
            print(number, "x" * 100, flush=True)
        Path({str(done)!r}).touch()
        """,
    )
    screen.until(lambda text: "ready" in text)
    screen.hang_up()
    screen.process.wait(timeout=HUNG)
    assert done.exists()


def test_a_process_that_ends_without_closing_it_loses_no_word(tmp_path: Path) -> None:
    screen = sharing(tmp_path, "sys.exit('the last word')")
    assert screen.end() == 1
    assert "the last word" in screen.text
    assert "second line" not in screen.text


def test_a_drawing_that_fails_is_no_failure(tmp_path: Path) -> None:
    screen = sharing(tmp_path, "count = None; time.sleep(1.2)")
    assert screen.end() == 0
    assert "afterwards" in screen.text


#: Snakemake's start, with a logger whose records are handled by another thread, much later.
AT_ONCE = """
import logging, logging.handlers, queue, subprocess
from types import SimpleNamespace
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_logger_plugin_snakeval import LogHandler
from snakeval.dag import open as dag_open
from snakeval.run.directory import RunDirectory

dag_open.opened = SimpleNamespace(
    invocation=SimpleNamespace(
        directory=RunDirectory("run"), selected={("m", "b"): SimpleNamespace(id="m/b")}
    ),
    reruns=SimpleNamespace(stale=(), missing=lambda: []),
)
settings = SimpleNamespace(quiet=None, dryrun=False, nocolor=False, printshellcmds=False)
handler = LogHandler(settings, None)
logger = logging.getLogger("snakemake.logging")
logger.setLevel(logging.INFO)
logger.addHandler(logging.handlers.QueueHandler(queue.Queue()))
logger.info("Job stats", extra={"event": LogEvent.RUN_INFO, "stats": {"evaluate": 1}})
wait = "until [ -e {} ]; do sleep 0.05; done"
subprocess.run(["sh", "-c", f"{wait.format('shown')}; echo by a job >&2; {wait.format('seen')}"])
handler.close()
"""


def test_the_first_job_already_prints_above_the_lines(tmp_path: Path) -> None:
    screen = Screen([sys.executable, "-c", AT_ONCE], cwd=tmp_path)
    screen.until(lambda text: "1 of 1 evaluations done" in text)
    (tmp_path / "shown").touch()
    seen = screen.until(lambda text: "by a job" in text and "evaluations done" in text)
    assert seen.splitlines()[0] == "by a job"
    assert "1 of 1 evaluations done" in seen
    (tmp_path / "seen").touch()
    assert screen.end() == 0
    assert screen.text.splitlines() == ["by a job"]


# --- Snakemake's words ------------------------------------------------------------------------


def journal(directory: Path) -> Journal:
    (directory / ".snakeval").mkdir(parents=True)
    return Journal(EvaluationDirectory(directory).events)


def test_the_reasons_of_other_machines_are_read_from_their_events(tmp_path: Path) -> None:
    run = Tally(RunDirectory(tmp_path), ["a/x"], ["a/x"])
    run.start(1, "a", "x")
    job = run.fail(1)
    assert job is not None
    assert reason(job, job.events) == ""
    told = journal(tmp_path / "a" / "x")
    told.add(Event("failed", detail="no GPU", host="elsewhere", head=os.getpid()))
    log = tmp_path / "a" / "x" / "logs" / "harness.log"
    assert reason(job, job.events) == f"a/x failed: no GPU [log: {log}]"
    told.add(Event("interrupted"))
    assert reason(job, job.events) == ""


def test_a_child_of_this_snakemake_has_printed_its_reason(tmp_path: Path) -> None:
    run = Tally(RunDirectory(tmp_path), ["a/x"], ["a/x"])
    run.start(1, "a", "x")
    told = journal(tmp_path / "a" / "x")
    told.add(Event("failed", detail="no GPU", host=socket.gethostname(), head=os.getpid()))
    job = run.fail(1)
    assert job is not None
    assert reason(job, job.events) == ""


def test_why_an_executor_did_not_take_a_job_is_printed_here(tmp_path: Path) -> None:
    run = Tally(RunDirectory(tmp_path), ["a/x"], ["a/x"])
    told = journal(tmp_path / "a" / "x")
    told.add(Event("refused", detail="no quota", host=socket.gethostname(), head=os.getpid()))
    run.start(1, "a", "x")
    (job,) = run.jobs()
    assert reason(job, job.events) == "a/x failed: no quota"


def test_the_use_of_a_server_is_no_word_of_the_job_that_deploys_it(tmp_path: Path) -> None:
    run = Tally(RunDirectory(tmp_path), ["a/x"], ["a/x"], deployments=1)
    run.start(1, "a", "deployment", deploys=True)
    (job,) = run.jobs()
    place = tmp_path / "a" / "deployment"
    place.mkdir(parents=True)
    told = Journal(place / "events.jsonl")
    told.add(Event("failed", detail="deployment failed: no GPU", host="elsewhere"))
    told.add(Event("ended", use="u", seconds=1))
    assert reason(job, job.events) == f"a/deployment failed: no GPU [log: {place}/server.log]"


class Settings:
    quiet = None
    dryrun = True  # no display
    nocolor = printshellcmds = False


def handled(
    capsys: pytest.CaptureFixture[str], *records: tuple[str | None, dict[str, object]]
) -> list[str]:
    """What the plugin prints of records: messages with their fields."""
    handler = LogHandler(Settings(), None)  # type: ignore[arg-type]
    for message, fields in records:
        record = logging.makeLogRecord({"msg": message, "levelno": logging.INFO, **fields})
        handler.emit(record)
    handler.close()
    return capsys.readouterr().err.splitlines()


def started(
    run: Path, jobid: int = 1, rule: str = "evaluate", **fields: object
) -> dict[str, object]:
    """The fields of Snakemake's record of a job that begins."""
    part, record = ("x", "evaluation") if rule == "evaluate" else ("deployment", "deployment")
    return {
        "event": LogEvent.JOB_INFO, "jobid": jobid, "rule_name": rule, "reason": "Code has changed",
        "wildcards": {"model": "a", "benchmark": part},
        "output": [f"{run}/a/{part}/{record}.json"],
        "shellcmd": f" run {run}/a/{part}/{record}.json --head $PPID ", **fields,
    }  # fmt: skip


def died(run: Path, how: str, part: str = "x/evaluation") -> tuple[str, dict[str, object]]:
    """Snakemake's record of a command that failed."""
    text = (
        'RuleException:\nCalledProcessError in file "rules/evaluate.smk", line 2:\n'
        f"Command 'set -euo pipefail;  run {run}/a/{part}.json --head $PPID ' {how}"
    )
    return text, {"event": LogEvent.ERROR, "levelno": logging.ERROR}


def test_jobs_are_named_by_the_fields_of_snakemake_s_records(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = handled(
        capsys,
        (None, {"event": LogEvent.RUN_INFO, "stats": {"evaluate": 1, "deploy": 1, "total": 2}}),
        (None, started(tmp_path)),
        (None, started(tmp_path, 2, "deploy")),
        (None, {"event": LogEvent.JOB_FINISHED, "job_id": 1}),
        (None, {"event": LogEvent.JOB_ERROR, "jobid": 2}),
    )
    assert said == [
        "To do: 1 evaluate, 1 deploy",
        "evaluate  a/x",
        "deploy  a",
        "evaluate  a/x  done, 1 of 1",
        "deploy  a  FAILED",
    ]


@pytest.mark.parametrize(
    ("phase", "told"), [("failed", False), ("interrupted", False), ("running", True)]
)
@pytest.mark.parametrize("rule", ["evaluate", "deploy"])
def test_the_log_reports_how_a_job_died_if_the_job_could_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, phase: str, told: bool, rule: str
) -> None:
    part = "x/evaluation" if rule == "evaluate" else "deployment/deployment"
    place = tmp_path / "a" / part.partition("/")[0]
    own = journal(place)
    events = own if rule == "evaluate" else Journal(place / "events.jsonl")
    events.add(Event("failed", "2020-01-01T00:00:00.000+00:00", detail="of an earlier job"))
    begin = started(tmp_path, 1, rule, created=time.time())
    events.add(Event(phase))
    how = "died with <Signals.SIGKILL: 9>."
    said = handled(capsys, (None, begin), died(tmp_path, how, part))
    name = f"a/{part.partition('/')[0]}"
    assert said[1:] == ([f"{name} failed: its job {how}"] if told else [])


@pytest.mark.parametrize(
    ("host", "phase", "line"),
    [
        (socket.gethostname(), "failed", None),  # it printed the reason itself
        ("elsewhere", "failed", "a/x failed: no GPU [log: {log}]"),
        ("elsewhere", "interrupted", "evaluate  a/x  FAILED"),
    ],
)
def test_a_failed_job_has_one_line_with_its_reason(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, host: str, phase: str, line: str | None
) -> None:
    begin = started(tmp_path, created=time.time())
    journal(tmp_path / "a/x").add(Event(phase, detail="no GPU", host=host, head=os.getpid()))
    error = {"event": LogEvent.JOB_ERROR, "jobid": 1}
    log = tmp_path / "a/x/logs/harness.log"
    said = handled(capsys, (None, begin), (None, error))
    assert said[1:] == ([line.format(log=log)] if line else [])


def test_a_failure_of_any_other_rule_is_reported_in_snakemake_s_words(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = handled(capsys, (None, started(tmp_path)), died(tmp_path, "failed", "y/evaluation"))
    assert said[1] == "RuleException:"


def test_advice_on_snakemake_s_metadata_is_not_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    advice = (
        "10 jobs have missing provenance/metadata so that it in part cannot be used to trigger "
        "re-runs.\nRules with missing metadata: evaluate"
    )
    assert handled(capsys, (advice, {}), ("Disk is full", {})) == ["Disk is full"]


def test_a_quiet_run_with_nothing_to_do_prints_its_table_and_alarms_and_no_note(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    end = SimpleNamespace(shown=lambda: "the table", alarm=lambda: print("an alarm"))
    matrix = SimpleNamespace(opened=SimpleNamespace(end=end))
    monkeypatch.setitem(sys.modules, "snakeval.dag.open", matrix)
    settings = SimpleNamespace(quiet={"all"}, dryrun=False, nocolor=True, printshellcmds=False)
    handler = LogHandler(settings, None)  # type: ignore[arg-type]
    text = "Nothing to be done (all requested files are present and up to date)."
    handler.emit(logging.makeLogRecord({"msg": text, "levelno": logging.INFO}))
    handler.close()
    assert capsys.readouterr() == ("\nthe table\nan alarm\n", "")


def test_snakemake_without_a_place_for_its_cache_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(SystemExit) as ended:
        LogHandler(Settings(), None)  # type: ignore[arg-type]
    assert str(ended.value) == (
        f"snakeval: XDG_CACHE_HOME: {tmp_path}/file/snakemake/snakemake/source-cache/"
        "snakemake-runtime-cache cannot be written (Not a directory); set another directory or "
        "correct its permissions"
    )
