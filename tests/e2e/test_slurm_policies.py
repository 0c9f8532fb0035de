"""Some of the site policies of site_policies.py, which plays all of them by hand.

Those that change slurm.conf, or that take a minute, are left to the script.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.site_policies import CASES, play

pytestmark = pytest.mark.slurm


@pytest.mark.parametrize(
    "name",
    [
        "association MaxSubmitJobs=1",
        "QOS MaxSubmitJobsPerUser=0",
        "partition AllowAccounts",
        "held, then released",
        "missing gres",
    ],
)
def test_a_run_ends_or_says_why_not(name: str, tmp_path: Path) -> None:
    (case,) = [case for case in CASES if case.name == name]
    outcome = play(case, tmp_path)
    assert not outcome.problem, outcome.problem
