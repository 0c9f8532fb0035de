"""The memory of a controller that does not answer."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from snakeval.executors.slurm import controller as module
from snakeval.executors.slurm.controller import Controller

REFUSES = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def write(body: str, name: str = "squeue") -> None:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    return write


def test_a_refused_contact_is_remembered_for_a_while(program: Callable[[str], None]) -> None:
    now = [100.0]
    controller = Controller(memory=10, clock=lambda: now[0])
    program(f"echo '{REFUSES}' >&2; exit 1")
    controller.call("squeue")
    assert controller.silent == f"squeue: {REFUSES}"
    now[0] = 112
    assert (controller.silent, controller.silent_seconds) == ("", 12)
    controller.call("squeue")
    assert (bool(controller.silent), controller.silent_seconds) == (True, 12)
    program("echo 1")
    controller.call("squeue")
    assert (controller.silent, controller.silent_seconds) == ("", 0)


def test_a_refusal_that_is_no_silence_is_not_remembered(program: Callable[[str], None]) -> None:
    controller = Controller()
    program("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    assert controller.call("squeue").returncode == 1
    assert controller.silent == ""


def test_after_a_call_without_an_answer_the_next_one_waits_only_briefly(
    program: Callable[[str], None],
) -> None:
    program("exec sleep 1800")
    program("exec sleep 1800", name="scancel")
    controller = Controller(seconds=0.3, brief=0.1)
    with pytest.raises(subprocess.TimeoutExpired) as first:
        controller.call("squeue")
    with pytest.raises(subprocess.TimeoutExpired) as second:
        controller.call("scancel", "1")
    assert (first.value.timeout, second.value.timeout) == (0.3, 0.1)
    assert controller.silent.startswith("scancel does not answer within")


def test_a_silent_accounting_is_remembered_and_a_hurried_call_is_brief(
    program: Callable[[str], None],
) -> None:
    program("exec sleep 1800", name="sacct")
    accounting = Controller(seconds=60, brief=0.1, commands=("sacct",))
    with pytest.raises(subprocess.TimeoutExpired):
        accounting.call("sacct", hurried=True)
    assert accounting.silent.startswith("sacct does not answer within")
    program(f"echo '{REFUSES}' >&2; exit 1", name="sacct")
    accounting.call("sacct")
    assert accounting.silent == "", "it answered, and says so each time"


def test_the_accounting_says_nothing_of_the_controller(program: Callable[[str], None]) -> None:
    controller = Controller()
    program(f"echo '{REFUSES}' >&2; exit 1")
    program("echo '1|RUNNING'", name="sacct")
    controller.call("squeue")
    controller.call("sacct")
    assert controller.silent


def test_another_cluster_is_asked(
    program: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = Controller()
    program(f"echo '{REFUSES}' >&2; exit 1")
    controller.call("squeue")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin")
    assert controller.silent == ""


def test_a_stop_waits_for_a_silent_service_for_some_seconds_in_all(
    program: Callable[[str], None],
) -> None:
    program("exec sleep 1800")
    program("exec sleep 1800", name="scancel")
    controller = Controller(seconds=30, brief=0.1)
    controller.within(0.3)
    waited = []
    for command in ("squeue", "scancel", "squeue"):
        with pytest.raises(subprocess.TimeoutExpired) as error:
            controller.call(command)
        waited.append(error.value.timeout)
    assert waited == [pytest.approx(0.2), pytest.approx(0.1), 0]
    assert (controller.is_spent, bool(controller.silent)) == (True, True)


def test_a_look_waits_a_few_seconds_in_all_and_a_stop_longer_for_the_first_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits: list[float] = []

    def silent(command: list[str], *, timeout: float, **_: object) -> None:
        limits.append(timeout)
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", silent)
    looks = module.services()
    for service, command in zip(looks, ("squeue", "sacct"), strict=True):
        with pytest.raises(subprocess.TimeoutExpired):
            service.call(command, hurried=command == "sacct")
        assert service.silent, "no one asks it again in this look"
    assert sum(limits) <= 7
    stops, _ = module.services()
    stops.within(15)
    with pytest.raises(subprocess.TimeoutExpired):
        stops.call("squeue")
    assert limits[-1] == 10


def test_slow_refusals_count_and_answers_do_not(program: Callable[[str], None]) -> None:
    now = [100.0]

    def clock() -> float:
        now[0] += 4
        return now[0]

    controller = Controller(clock=clock)
    controller.within(10)
    program("echo 1")
    for _ in range(9):
        controller.call("squeue")
    assert not controller.is_spent
    program(f"echo '{REFUSES}' >&2; exit 1")
    for _ in range(3):
        controller.call("squeue")
    assert controller.is_spent
