"""Slurm jobs that wait in the queue while their configuration is edited."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support.limits import HUNG
from support.served import Served, wait_for
from support.slurm import queue, slurm
from support.workspace import REPOSITORY

pytestmark = pytest.mark.slurm


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A deployed model on two benchmarks."""
    made = Served(tmp_path, "process", "careful")
    for number, name in enumerate("bd"):
        made.asks(name, seed=number)
    yield made
    if left := queue(made.work.directory):
        slurm("scancel", *left)


def test_an_allocation_evaluates_what_its_command_planned(served: Served) -> None:
    work = served.work
    work.config["execution"] = {"slurm": {"account": "evals", "partition": "cpu"}}
    head = work.start(
        *("--profile", str(REPOSITORY / "profiles" / "slurm"), "--latency-wait", "5"),
        *("--default-resources", "slurm_account=evals", "slurm_partition=cpu"),
        "slurm_extra='--begin=now+12'",
    )
    wait_for(lambda: queue(work.directory) or head.poll() is not None, "nothing is submitted")
    assert queue(work.directory), head.communicate()[0]
    # The next experiment is typed into the same file.
    file = work.directory / "config.yaml"
    content = yaml.safe_load(file.read_text())
    del content["benchmarks"]["d"]
    content["benchmarks"]["b"]["params"] = {"temperature": 0.5}
    file.write_text(yaml.safe_dump(content))
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output
    assert served.scores() == {"careful/b": 1, "careful/d": 1}
    assert served.recorded.loads == {"careful": 1}
    served.nothing_is_left()
