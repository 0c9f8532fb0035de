"""Jobs that cannot start, with the reasons that squeue printed on Slurm 22.05."""

from __future__ import annotations

import pytest

from snakemake_executor_plugin_slurm_resume.states import Seen
from snakemake_executor_plugin_slurm_resume.waits import Waits, lines, to_do


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Job's account not permitted to use this partition (p allows a not b)", "another account"),
        ("AccountNotAllowed", "another account"),
        ("Job's QOS not permitted to use this partition (p denies a including a)", "another QOS"),
        ("InvalidQOS", "another QOS"),
        ("PartitionTimeLimit", "less time"),
        ("QOSMaxWallDurationPerJobLimit", "less time"),
        ("AssocMaxWallDurationPerJobLimit", "less time"),
        ("QOSMaxCpuPerJobLimit", "amounts of nodes"),
        ("QOSMaxGRESPerNode", "amounts of nodes"),
        ("QOSMinCpuNotSatisfied", "amounts of nodes"),
        ("PartitionNodeLimit", "amounts of nodes"),
        ("PartitionConfig", "amounts of nodes"),
        ("MaxMemPerLimit", "amounts of nodes"),
        ("BadConstraints", "correct the constraint"),
        ("PartitionDown", "wait until an administrator"),
        ("PartitionInactive", "wait until an administrator"),
        ("Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority "
         "partitions", "until the nodes return"),
        ("ReqNodeNotAvail, UnavailableNodes:n1", "until the nodes return"),
        ("JobHeldUser", "release with `scontrol release 7`"),
        ("JobHeldAdmin", "ask an administrator"),
        ("job requeued in held state", "`scontrol release 7`"),
        ("launch failed requeued held", "`scontrol release 7`"),
        ("DependencyNeverSatisfied", "`scancel 7`"),
    ],
)  # fmt: skip
def test_a_person_reads_what_to_do(reason: str, words: str) -> None:
    (line,) = lines({"7": ("PENDING", reason)})
    assert line.startswith(f"Slurm job 7 cannot start ({reason}): ")
    assert words in line


@pytest.mark.parametrize(
    "reason",
    [
        "Resources", "Priority", "None", "", "BeginTime", "Dependency", "Reservation", "Licenses",
        "QOSMaxJobsPerUserLimit", "QOSGrpCpuLimit", "AssocGrpCPUMinutesLimit", "AssocMaxJobsLimit",
        "QOSMaxCpuPerUserLimit", "JobArrayTaskLimit",
    ],
)  # fmt: skip
def test_a_reason_that_ends_with_other_jobs_is_none(reason: str) -> None:
    assert to_do("PENDING", reason) == ""


def test_held_states_need_no_reason_and_running_jobs_have_none() -> None:
    (deleted,) = lines({"7": ("RESV_DEL_HOLD", "Reservation r7 was deleted")})
    assert deleted.endswith("(Reservation r7 was deleted): stop the run, name another reservation "
                            "or none, and start it again")  # fmt: skip
    (held,) = lines({"7": ("REQUEUE_HOLD", "")})
    assert held.startswith("Slurm job 7 cannot start (REQUEUE_HOLD): correct the cause")
    assert lines({"7": ("RUNNING", "JobHeldUser"), "8": ("CANCELLED by 0", "JobHeldUser")}) == []


def test_all_jobs_alike_are_one_line() -> None:
    jobs = {"7": "PartitionDown", "8": "Priority", "9": "PartitionDown", "10": "JobHeldUser"}
    down, held = lines({number: ("PENDING", reason) for number, reason in jobs.items()})
    assert down.startswith("2 Slurm jobs cannot start (PartitionDown): ")
    assert down.endswith(". Jobs: 7, 9")
    assert "Slurm job 10 cannot start" in held


class Looks:
    """A head that looks at jobs again and again; each look takes some seconds."""

    def __init__(self) -> None:
        self.time = 0.0
        self.reports: list[str] = []
        self._waits = Waits(self.reports.append, lambda: self.time)

    def look(self, seconds: float, *jobs: str, running: bool = False) -> int:
        """Look at jobs that are pending for these reasons; return how much was reported."""
        before = len(self.reports)
        self.time += seconds
        seen = [Seen(str(n), "PENDING", reason=reason) for n, reason in enumerate(jobs)]
        self._waits.look([*seen, Seen("99", "RUNNING")] if running else seen)
        return len(self.reports) - before


def test_a_reason_is_reported_once_when_no_more_jobs_arrive() -> None:
    looks = Looks()
    assert looks.look(2, "PartitionDown") == 0
    assert looks.look(2, "PartitionDown", "PartitionDown") == 0
    assert looks.look(2, "PartitionDown", "PartitionDown") == 1
    assert looks.look(2, *["PartitionDown"] * 5) == 0
    assert looks.reports[0].startswith("2 Slurm jobs cannot start")


def test_a_reason_is_reported_in_time_although_jobs_arrive() -> None:
    looks = Looks()
    counts = [looks.look(10, *["PartitionDown"] * number) for number in range(1, 6)]
    assert counts == [0, 0, 0, 1, 0]


def test_a_reason_that_comes_back_is_reported_again() -> None:
    looks = Looks()
    assert [looks.look(2, "JobHeldUser") for _ in range(3)] == [0, 1, 0]
    assert looks.look(20, "Priority") == 0
    assert [looks.look(2, "JobHeldUser") for _ in range(3)] == [0, 0, 0]
    assert looks.look(100, "Priority") == 0
    assert [looks.look(2, "JobHeldUser") for _ in range(3)] == [0, 1, 0]


def test_a_limit_is_reported_only_if_no_job_of_the_run_runs() -> None:
    looks = Looks()
    assert [looks.look(50, "QOSGrpCpuLimit", running=True) for _ in range(3)] == [0, 0, 0]
    assert [looks.look(50, "QOSGrpCpuLimit", "Priority") for _ in range(4)] == [0, 0, 1, 0]
    assert looks.reports[0].startswith("Slurm job 0 waits although none of this run's jobs runs")
    assert [looks.look(50, "Priority", "Resources") for _ in range(4)] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("reason", "when"),
    [
        ("Reservation", "the reservation begins"),
        ("Licenses", "licenses are free"),
        ("QOSGrpCPUMinutesLimit", "the site frees minutes of the account or QOS"),
        ("QOSGrpCPURunMinutesLimit", "other jobs end, or never if a limit is smaller than a job"),
    ],
)
def test_a_person_reads_what_a_job_waits_for(reason: str, when: str) -> None:
    looks = Looks()
    assert [looks.look(50, reason) for _ in range(3)] == [0, 0, 1]
    assert f"({reason}). It starts when {when}. Jobs: 0" in looks.reports[0]
