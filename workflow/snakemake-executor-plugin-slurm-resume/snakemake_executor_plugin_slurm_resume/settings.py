"""The settings: options ``--slurm-resume-NAME``, and keys ``slurm-resume-NAME`` of a profile."""

# Not `X | None` and not postponed: Snakemake derives options from the annotations themselves.
from dataclasses import dataclass, field
from typing import Optional

import snakemake_executor_plugin_slurm as official


@dataclass
class ExecutorSettings(official.ExecutorSettings):
    """The settings of the official Slurm plugin, with three other defaults, and six more."""

    init_seconds_before_status_checks: int = field(
        default=3,
        metadata={
            "help": "Seconds between the start or end of a job and the next poll of all jobs, "
            "which is one call. Without changes the time between two polls grows up to "
            "max-seconds-between-status-checks."
        },
    )
    status_command: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={"help": "Not used: the plugin asks squeue, and sacct for forgotten jobs."},
    )
    status_attempts: int = field(
        default=5,
        metadata={"help": "Not used: the plugin repeats a failed query until Slurm answers."},
    )
    max_seconds_between_status_checks: int = field(
        default=30,
        metadata={"help": "The longest time between two polls of the queue, in seconds."},
    )
    signal_seconds: int = field(
        default=120,
        metadata={
            "help": "Seconds between SIGTERM and a job's time limit (sbatch --signal). The signal "
            "never comes before three quarters of the limit. 0: no signal. A --signal in a job's "
            "slurm_extra has priority."
        },
    )
    max_total_runtime: int = field(
        default=0,
        metadata={
            "help": "Minutes that the Slurm jobs of one job may run in total. Until then the "
            "plugin submits a job again that ended with TIMEOUT, PREEMPTED, NODE_FAIL or "
            "BOOT_FAIL, or that closed itself on the signal. 0: no limit, but at most 100 jobs. "
            "A rule's resource max_total_runtime has priority."
        },
    )
    direct: bool = field(
        default=False,
        metadata={
            "help": "Run a job's shell command as the Slurm job itself, without a Snakemake in it. "
            "Groups and jobs with a software deployment keep their Snakemake."
        },
    )
    before: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "Shell commands at the beginning of each Slurm job, such as `module load`. "
            "bash runs them. If the last one fails, the job fails."
        },
    )
