"""The settings, as options ``--slurm-resume-NAME`` and keys ``slurm-resume-NAME`` of a profile."""

# Not `X | None` nor postponed: Snakemake makes options of the annotations themselves.
from dataclasses import dataclass, field
from typing import Optional

import snakemake_executor_plugin_slurm as official


@dataclass
class ExecutorSettings(official.ExecutorSettings):
    """Settings of the official Slurm plugin, with other defaults for three, and five more."""

    init_seconds_before_status_checks: int = field(
        default=3,
        metadata={
            "help": "How many seconds after a job was submitted or has ended Slurm is asked for "
            "the states of all jobs, in one call. While nothing changes the time between two "
            "calls grows, up to max-seconds-between-status-checks."
        },
    )
    status_command: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={"help": "Not used: squeue is asked first, and sacct for what it does not know."},
    )
    status_attempts: int = field(
        default=5,
        metadata={"help": "Not used: a query that fails is repeated until Slurm answers."},
    )
    max_seconds_between_status_checks: int = field(
        default=30,
        metadata={"help": "The longest time between two looks at the queue, in seconds."},
    )
    signal_seconds: int = field(
        default=120,
        metadata={
            "help": "A job gets SIGTERM so many seconds before its time limit (sbatch --signal), "
            "but no earlier than after three quarters of it. 0: no signal. A job whose "
            "slurm_extra has a --signal keeps that."
        },
    )
    max_total_runtime: int = field(
        default=0,
        metadata={
            "help": "A job that ended with TIMEOUT, PREEMPTED, NODE_FAIL or BOOT_FAIL, or that "
            "closed itself on the signal before its time limit, is submitted again until its "
            "Slurm jobs have run for so many minutes in all. 0: no limit, but at most 100 jobs. "
            "The resource max_total_runtime says it for a rule."
        },
    )
    direct: bool = field(
        default=False,
        metadata={
            "help": "Run the shell command of a job that is no group and needs no deployment of "
            "software as the Slurm job itself, without a Snakemake in it."
        },
    )
