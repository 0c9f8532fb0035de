"""Jobs that wait for a limit on submitted jobs, with a sbatch and a sacctmgr of the tests."""

from __future__ import annotations

import getpass
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support.limits import HUNG

from snakemake_executor_plugin_slurm_resume.limits import Place, SubmitLimits, place

PER_USER, PER_ASSOCIATION = "QOSMaxSubmitJobPerUserLimit", "AssocMaxSubmitJobLimit"
SHORT = Place("evals", "short", "")
USER = getpass.getuser()


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put Slurm's commands on PATH: sacctmgr prints the table that it is asked for."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def say(fails: bool = False, partition: str = "N/A", queue: str = "", **tables: str) -> None:
        for name, text in tables.items():
            (tmp_path / f"{name}.table").write_text(text)
        programs = {
            "sacctmgr": "exit 1" if fails else f'cat "{tmp_path}/$4.table"',
            "scontrol": f"echo 'PartitionName=gpu QoS={partition} State=UP'",
            "squeue": f"echo '{queue}'",
        }
        for name, line in programs.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
            (tmp_path / name).chmod(0o755)

    return say


class Submits:
    """A sbatch that accepts the job at the attempt *accepted*."""

    def __init__(self, code: str, accepted: int = 0) -> None:
        self.code, self.accepted, self.attempts = code, accepted, 0
        self.reports: list[str] = []

    def __call__(self) -> str:
        self.attempts += 1
        return "" if self.attempts == self.accepted else f"{self.code} violates"

    def run(self, limits: SubmitLimits, where: Place = SHORT) -> str:
        return limits.submit_when_possible(self, f"{self.code} violates", where, self.report)

    def report(self, text: str) -> None:
        self.reports.append(text)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> SubmitLimits:
    """Limits whose clock moves a minute at each look, so that no test waits."""
    time = iter(range(0, 10**6, 60))
    return SubmitLimits(lambda: False, lambda: next(time))


def test_a_limit_is_waited_for_and_reported_once(
    limits: SubmitLimits, says: Callable[..., None]
) -> None:
    says(qos="normal|||\nshort|2||\n")
    first, second = Submits(PER_USER, accepted=4), Submits(PER_USER, accepted=1)
    assert first.run(limits) == ""
    assert second.run(limits) == ""
    assert (first.attempts, second.attempts) == (4, 1)
    (report,) = first.reports + second.reports
    assert f"{PER_USER} violates" in report


@pytest.mark.parametrize(
    ("code", "where", "tables", "zero"),
    [
        (PER_USER, SHORT, {"qos": "normal|||\nshort|0||\n"}, "QOS short"),
        (PER_USER, SHORT, {"qos": "normal|0||\nshort|2||\n"}, ""),
        ("QOSMaxSubmitJobPerAccountLimit", SHORT, {"qos": "short|2|0|\n"}, "QOS short"),
        ("QOSGrpSubmitJobsLimit", SHORT, {"qos": "short|2||0\n"}, "QOS short"),
        (
            PER_USER, Place("evals", "", ""),
            {"qos": "night|0||\n", "assoc": f"evals|{USER}|night\nother|{USER}|\n"}, "QOS night",
        ),
        (PER_USER, Place("evals", "short", "gpu"), {"qos": "inside|0||\n"}, "QOS inside"),
        (PER_ASSOCIATION, SHORT, {"assoc": f"root||||\nevals||root||\nevals|{USER}||0|\n"},
         "account evals"),
        (PER_ASSOCIATION, SHORT, {"assoc": f"evals||root||\nevals|{USER}||2|\nevals|x||0|\n"}, ""),
        ("AssocGrpSubmitJobsLimit", Place("", "", ""),
         {"assoc": f"lab||root||0\nevals||lab||\nevals|{USER}|||\n", "user": "evals\n"},
         "account lab"),
    ],
)  # fmt: skip
def test_a_limit_of_0_does_not_pass(
    limits: SubmitLimits, says: Callable[..., None], code: str, where: Place,
    tables: dict[str, str], zero: str,
) -> None:  # fmt: skip
    says(**tables, partition="inside")
    submits = Submits(code, accepted=2)
    said = submits.run(limits, where)
    if zero:
        assert said == f"{code} violates; the limit is 0 for {zero}, so Slurm never accepts the job"
        assert (submits.attempts, submits.reports) == (0, [])
    else:
        assert (said, submits.attempts) == ("", 2)


def test_without_an_accounting_a_user_without_jobs_waits_for_some_minutes_only(
    limits: SubmitLimits, says: Callable[..., None]
) -> None:
    says(fails=True)
    assert Submits(PER_USER).run(limits) == (f"{PER_USER} violates; you have no job that could end")
    says(fails=True, queue="5|RUNNING|1:05|10:00|n1|N/A|None|name|/w")
    assert Submits(PER_USER, accepted=50).run(limits) == ""


def test_other_codes_are_returned_at_once(limits: SubmitLimits, says: Callable[..., None]) -> None:
    says(qos="short|2||\n")
    answers = iter([f"{PER_USER} violates", "Invalid qos specification"])
    said = limits.submit_when_possible(lambda: next(answers), PER_USER, SHORT, lambda text: None)
    assert said == "Invalid qos specification"


def test_one_job_of_a_place_tries_at_a_time_and_an_end_wakes_it(says: Callable[..., None]) -> None:
    says(qos="short|2||\n")
    limits = SubmitLimits(lambda: False)
    is_free, tried = threading.Event(), threading.Semaphore(0)
    trying: list[int] = []

    def submit(number: int) -> str:
        trying.append(number)
        tried.release()
        return "" if is_free.is_set() else f"{PER_USER} violates"

    threads = [
        threading.Thread(
            target=limits.submit_when_possible,
            args=(lambda number=number: submit(number), PER_USER, SHORT, lambda text: None),
        )
        for number in range(5)
    ]
    for thread in threads:
        thread.start()
    assert tried.acquire(timeout=HUNG)
    assert len(set(trying)) == 1
    is_free.set()
    limits.wake()
    for thread in threads:
        thread.join(20)
    assert set(trying) == set(range(5))


def test_a_stop_ends_the_waiting(says: Callable[..., None]) -> None:
    says(qos="short|2||\n")
    stopped = threading.Event()
    limits = SubmitLimits(stopped.is_set)
    submits = Submits(PER_USER)
    thread = threading.Thread(target=submits.run, args=(limits,))
    thread.start()
    stopped.set()
    limits.wake()
    thread.join(20)
    assert not thread.is_alive()


def test_the_place_of_a_job_is_its_account_qos_and_first_partition() -> None:
    class Job:
        def __init__(self, **resources: str) -> None:
            self.resources = resources

    asked = Job(qos="short", slurm_partition="gpu,cpu")
    assert place(asked, " -A evals") == Place("evals", "short", "gpu")
    assert place(asked, " -A 'a b'").account == "a"
    assert place(Job(), "") == Place("", "", "")
