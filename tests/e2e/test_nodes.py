"""A model whose one server needs two nodes of a Slurm job, each running its part in a container."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import standins
from support.served import Served, wait_for

pytestmark = pytest.mark.slurm

RUNTIMES = [
    "process",
    pytest.param("apptainer", marks=[pytest.mark.docker, pytest.mark.root]),
    pytest.param("pyxis", marks=[pytest.mark.docker, pytest.mark.root]),
]


@pytest.fixture(params=RUNTIMES)
def served(
    request: pytest.FixtureRequest, test_bed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    """A model of two nodes with a GPU each; its harness is a process."""
    # Exclusive nodes: the GPU of each is 0, whatever jobs other tests have.
    options = ("--partition=gpu", "--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=1")
    with standins.allocation("--exclusive", *options) as job:
        yield _served(request.param, job, tmp_path, monkeypatch)


def _served(
    runtime: str, job: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Served:
    for name, value in {**job, "CUDA_VISIBLE_DEVICES": "0", "PATH": standins.path()}.items():
        monkeypatch.setenv(name, value)
    served = Served(tmp_path, "process", "careful", nodes=2, gpus=1)
    served.deployment |= {"runtime": runtime, "image": "snakeval-testbed/python:3.11-slim"}
    joins = f"[ $SNAKEVAL_NODE_RANK = 0 ] || exec tail -f {served.shared}/rank-1; "
    note = f"echo $CUDA_VISIBLE_DEVICES > {served.shared}/rank-$SNAKEVAL_NODE_RANK; "
    served.deployment["command"] = note + joins + served.deployment["command"]
    served.asks("b", seed=1)
    return served


def test_it_is_evaluated_like_any_other_and_nothing_is_left_on_any_node(served: Served) -> None:
    done = served.work.snakemake()
    assert done.exit_code == 0, done.output
    assert served.scores() == {"careful/b": 1}
    assert {(served.shared / f"rank-{rank}").read_text() for rank in (0, 1)} == {"0\n"}
    wait_for(lambda: not served.named("tail"), "a rank is left")
    served.nothing_is_left()
