"""Two live heads that want the same files: one submits, and the other waits for it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

from snakemake_executor_plugin_lepton.heads import Heads
from snakemake_executor_plugin_lepton.leases import Leases
from snakemake_executor_plugin_lepton.resources import output_id
from workflows import HUNG, Workflow, ctrl_c, until

WAITS = """
rule one:
    output: "one.txt"
    resources:
        lepton_before="test ! -e kept || {{ cp kept {output}; exit 100; }}",
        lepton_then="cp {output} kept"
    shell: "until [ -e @done@ ]; do sleep 0.2; done; echo 1 >{output}"
"""


def waits(workflow: Workflow) -> Path:
    done = workflow.directory / "done"
    workflow.write(WAITS.replace("@done@", str(done)))
    return done


ELSEWHERE = """
rule one:
    output: "@place@/one.txt"
    resources: lepton_lease="{output}.lease"
    shell: "until [ -e @place@/done ]; do sleep 0.2; done; echo 1 >{output}"
rule all:
    default_target: True
    input: "@place@/one.txt"
"""


def elsewhere(workflow: Workflow) -> tuple[Workflow, Workflow, Path]:
    """Two working directories of a workflow with the same absolute output, and its directory."""
    place = workflow.directory / "outputs"
    place.mkdir()
    found = []
    for name in ("first", "second"):
        (workflow.directory / name).mkdir()
        each = Workflow(workflow.directory / name, workflow.lepton)
        found.append(each.write(ELSEWHERE.replace("@place@", str(place))))
    return found[0], found[1], place


def killed(workflow: Workflow) -> None:
    """Start a head, and kill it when its job runs."""
    head = workflow.start()
    until(lambda: sum(job.starts for job in workflow.lepton.jobs) == 1, "a running job")
    os.killpg(head.pid, signal.SIGKILL)
    head.communicate()


def taken_over(workflow: Workflow) -> tuple[subprocess.Popen[str], Path, Path]:
    """Kill a head; return the one that continues with its job, its log, and the job's directory."""
    first, second, place = elsewhere(workflow)
    killed(first)
    log = workflow.directory / "second.log"
    with log.open("w") as output:
        head = second.start(output=output)
        until(lambda: "continues with smk-one-" in log.read_text(), "the takeover")
    return head, log, place


def test_a_head_of_another_directory_continues_with_the_job_of_a_killed_one(
    workflow: Workflow,
) -> None:
    head, log, place = taken_over(workflow)
    (place / "done").touch()
    assert head.wait(300) == 0, log.read_text()
    assert [job.starts for job in workflow.lepton.jobs] == [1]
    assert (place / "one.txt").read_text() == "1\n"
    assert workflow.lepton.alive == []


def test_ctrl_c_deletes_a_job_that_was_taken_over_from_another_directory(
    workflow: Workflow,
) -> None:
    head, _, _ = taken_over(workflow)
    ctrl_c(head)
    assert workflow.lepton.alive == []


def test_a_head_knows_the_jobs_that_it_took_over_before_snakemake_tracks_them(
    tmp_path: Path,
) -> None:
    first, second = (Heads(tmp_path / "heads") for _ in range(2))
    assert first.adopted() == []
    first.adopt("job-1")
    second.adopt("job-2")
    assert (first.adopted(), second.adopted()) == (["job-1"], ["job-2"])
    first.forget("job-1")
    assert first.adopted() == []


def test_an_id_belongs_to_a_place_and_a_copy_has_another(tmp_path: Path) -> None:
    def found(directory: str) -> tuple[str, bool]:
        lease = str(tmp_path / directory / "x.lease")
        job = SimpleNamespace(
            is_group=lambda: False, resources={"lepton_lease": lease}, format_wildcards=str
        )
        return output_id(job)

    first, is_new = found("a")
    assert is_new
    assert found("a") == (first, False)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    copied, is_new = found("b")
    assert not is_new
    assert copied != first


def looks(workflow: Workflow) -> int:
    return len(workflow.lepton.asked(r"GET /workspace"))


def test_a_second_head_waits_for_the_job_of_a_live_one(workflow: Workflow) -> None:
    done = waits(workflow)
    first = workflow.start("--nolock")
    until(lambda: sum(job.starts for job in workflow.lepton.jobs) == 1, "a running job")
    log = workflow.directory / "second.log"
    with log.open("w") as output:
        second = workflow.start("--nolock", output=output)
        until(lambda: "waits for process" in log.read_text(), "the second head's wait")
    assert f"waits for process {first.pid} on" in log.read_text()
    done.touch()
    output_of_first, _ = first.communicate(timeout=HUNG)
    assert (first.returncode, second.wait(300)) == (0, 0), output_of_first + log.read_text()
    assert len(workflow.lepton.jobs) == 1
    assert workflow.read("one.txt") == "1\n"


def test_a_waiting_head_takes_over_the_job_of_a_killed_one(workflow: Workflow) -> None:
    done = waits(workflow)
    first = workflow.start("--nolock")
    until(lambda: sum(job.starts for job in workflow.lepton.jobs) == 1, "a running job")
    log = workflow.directory / "second.log"
    with log.open("w") as output:
        second = workflow.start("--nolock", output=output)
        until(lambda: "waits for process" in log.read_text(), "the second head's wait")
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
        until(lambda: "continues with smk-one-" in log.read_text(), "the takeover")
    done.touch()
    assert second.wait(300) == 0, log.read_text()
    assert [job.starts for job in workflow.lepton.jobs] == [1]
    assert workflow.lepton.alive == []


def test_ctrl_c_of_a_waiting_head_leaves_the_job_that_another_took_over(
    workflow: Workflow,
) -> None:
    done = waits(workflow)
    killed = workflow.start("--nolock")
    until(lambda: sum(job.starts for job in workflow.lepton.jobs) == 1, "a running job")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    log, more = workflow.directory / "owner.log", workflow.directory / "waiting.log"
    with log.open("w") as output, more.open("w") as second:
        owner = workflow.start("--nolock", output=output)
        until(lambda: "continues with smk-one-" in log.read_text(), "the takeover")
        waiting = workflow.start("--nolock", output=second)
        until(lambda: f"waits for process {owner.pid}" in more.read_text(), "the wait")
        ctrl_c(waiting)
    done.touch()
    assert owner.wait(300) == 0, log.read_text()
    assert [job.starts for job in workflow.lepton.jobs] == [1]


def test_a_lease_of_a_dead_process_is_taken_over_and_one_of_a_live_process_is_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "sub" / "lease"
    mine, other = Leases(), Leases()
    assert mine.take(path) == ""
    assert mine.take(path) == ""
    assert other.take(path) == f"process {os.getpid()} on {os.uname().nodename}"
    text = path.read_text().replace(f'"pid": {os.getpid()}', '"pid": 999999999')
    path.write_text(text)
    assert other.take(path) == ""
    assert not mine.holds(path)
    mine.release(path)
    assert other.holds(path)
    other.release(path)
    assert not path.exists()


def test_a_holder_that_cannot_be_seen_is_waited_for_until_it_is_silent(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    now = [0.0]
    hidden, mine = Leases(beat=3600), Leases(silent=60, clock=lambda: now[0])
    assert hidden.take(path) == ""
    path.write_text(path.read_text().replace('"boot": "', '"boot": "of another machine'))
    for seconds in (0, 30, 59):
        now[0] = seconds
        assert mine.take(path)
    os.utime(path, (time.time() + 5, time.time() + 5))  # a sign of life
    for seconds in (60, 100, 119):
        now[0] = seconds
        assert mine.take(path)
    now[0] = 121
    assert mine.take(path) == ""


def test_a_damaged_lease_is_taken_over_when_it_is_silent(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    path.write_text("not a lease")
    now = [0.0]
    mine = Leases(silent=60, clock=lambda: now[0])
    assert mine.take(path) == "another head"
    now[0] = 61
    assert mine.take(path) == ""
