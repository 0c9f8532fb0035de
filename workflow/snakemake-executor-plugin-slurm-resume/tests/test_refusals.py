"""What sbatch prints when it rejects a job, as seen on Slurm 22.05."""

from __future__ import annotations

import pytest

from snakemake_executor_plugin_slurm_resume.refusals import is_busy, submit_limit, words

POLICY = (
    "Batch job submission failed: Job violates accounting/QOS policy "
    "(job submit limit, user's size and/or time limits)"
)


def test_the_words_of_sbatch_are_on_one_line() -> None:
    message = (
        "SLURM sbatch failed. The error message was 'sbatch: error: QOSMaxSubmitJobPerUserLimit\n"
        f"sbatch: error: {POLICY}'.\n    sbatch call:\n        sbatch --x\n"
    )
    assert words(message) == f"QOSMaxSubmitJobPerUserLimit {POLICY}"
    assert words("The error message was ''.\n") == "sbatch failed without a message"
    assert words("another error\n") == "another error"


@pytest.mark.parametrize(
    "code",
    [
        "QOSMaxSubmitJobPerUserLimit", "QOSMaxSubmitJobPerAccountLimit", "QOSGrpSubmitJobsLimit",
        "AssocMaxSubmitJobLimit", "AssocGrpSubmitJobsLimit",
    ],
)  # fmt: skip
def test_a_limit_on_submitted_jobs_is_known_by_its_code(code: str) -> None:
    assert submit_limit(f"{code} {POLICY}") == code


@pytest.mark.parametrize(
    "said",
    [
        POLICY, f"QOSMaxWallDurationPerJobLimit {POLICY}", f"QOSMaxCpuPerJobLimit {POLICY}",
        "Invalid generic resource (gres) specification",
        "Batch job submission failed: Invalid account or account/partition combination specified",
        "Batch job submission failed: Requested node configuration is not available",
    ],
)  # fmt: skip
def test_all_else_does_not_pass(said: str) -> None:
    assert submit_limit(said) == ""
    assert not is_busy(said)


@pytest.mark.parametrize(
    "said",
    [
        "Batch job submission failed: Socket timed out on send/recv operation",
        "Batch job submission failed: Unable to contact slurm controller (connect failure)",
        "Slurm temporarily unable to accept job, sleeping and retrying",
        "Batch job submission failed: Resource temporarily unavailable",
    ],
)
def test_a_busy_controller_says_nothing_of_the_job(said: str) -> None:
    assert is_busy(said)
