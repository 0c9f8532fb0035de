"""The command and the Snakemake that it starts choose one executor.

The command decides without Snakemake, whose import is slow, so there are two ways to find it.
"""

from __future__ import annotations

import pytest

from snakeval import executors
from snakeval.cli.launch.plugin import Plugin
from snakeval.dag import planning
from support.workspace import REPOSITORY


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--executor", "local"],
        ["-e", "slurm"],
        ["--executor=lepton"],
        ["--exec", "local", "-n"],
    ],
)
@pytest.mark.parametrize("profile", ["local", "slurm", "lepton"])
def test_both_ways_find_one_executor(profile: str, options: list[str]) -> None:
    place = str(REPOSITORY / "profiles" / profile)
    found = executors.of_plugin(Plugin.of(place, options).name)
    assert type(found) is type(planning.executor_of(["--profile", place, *options]))
