"""Servers of several nodes: steps of a real Slurm job, whose nodes are all this machine."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from snakeval.errors import EvaluationError
from snakeval.runtimes.spec import ContainerSpec
from snakeval.serving import client, node_process
from snakeval.serving.deployment import Nodes
from support import standins
from support.limits import HUNG
from support.machine import SERVE, Machine, eventually, made


@pytest.fixture(scope="module")
def job() -> Iterator[dict[str, str]]:
    # Exclusive nodes: their GPUs are 0 and 1, whatever jobs other tests have.
    options = ("--partition=gpu", "--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=2")
    with standins.allocation("--exclusive", *options) as job:
        yield job


@pytest.fixture
def machine(
    job: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machine]:
    """This machine as the first node of a job, with two GPUs."""
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with made(tmp_path, monkeypatch) as machine:
        monkeypatch.setenv("SNAKEVAL_GPUS", "2")
        yield machine
    eventually(lambda: not sleepers(tmp_path), "a rank is left")


def ranks(directory: Path) -> str:
    """A server that tells what it was told; the head serves, the others only join."""
    return (
        "echo $SNAKEVAL_NODE_RANK of $SNAKEVAL_NODES, GPUs $CUDA_VISIBLE_DEVICES, "
        "{{ nodes }} x {{ gpus_per_node }}, ${TOKEN-no token}, "
        "{{ head }} $SNAKEVAL_HEAD_ADDRESS $SNAKEVAL_NODE_ADDRESS $SNAKEVAL_HEAD_PORT "
        f"> {directory}/rank-$SNAKEVAL_NODE_RANK; "
        f"[ $SNAKEVAL_NODE_RANK = 0 ] || exec tail -f {directory}/rank-1; {SERVE}"
    )


def sleepers(directory: Path) -> list[psutil.Process]:
    """The ranks that only join."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["cmdline"] == ["tail", "-f", f"{directory}/rank-1"]
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


@pytest.mark.slurm
def test_each_node_runs_its_part_and_the_head_answers(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "sk-'of-two-nodes'")
    machine.deploys(
        "careful",
        "careful/a",
        command=ranks(tmp_path),
        nodes=2,
        gpus=1,
        env={"TOKEN": "SECRET"},
    )
    with machine.serve("careful") as servers:
        with urllib.request.urlopen(
            servers["careful"].url.rpartition("/chat")[0] + "/models"
        ) as it:
            assert json.load(it)["data"][0]["id"] == "careful"
        eventually(lambda: (tmp_path / "rank-1").exists(), "the other node has not joined")
        head, other = ((tmp_path / f"rank-{rank}").read_text().split() for rank in (0, 1))
        port = head[-1]
        said = f"of 2, GPUs 0, 2 x 1, sk-'of-two-nodes', 127.0.0.1 127.0.0.1 127.0.0.1 {port}"
        assert (head, other) == (["0", *said.split()], ["1", *said.split()])
        lines = [" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])]
        assert not any("of-two-nodes" in line for line in lines)
    assert sleepers(tmp_path)
    assert client.leave(machine.head) == {"careful": 1}
    eventually(lambda: not sleepers(tmp_path), "a rank is left")


@pytest.mark.slurm
def test_the_death_of_one_node_is_that_of_the_server(machine: Machine, tmp_path: Path) -> None:
    machine.deploys("careful", "careful/a", command=ranks(tmp_path), nodes=2)
    with machine.serve("careful"):
        eventually(lambda: sleepers(tmp_path), "the other node has not joined")
        sleepers(tmp_path)[0].kill()
        eventually(lambda: machine.lost, "nobody says that it is lost")
    with machine.serve("careful"):
        eventually(lambda: sleepers(tmp_path), "it does not start again")


@pytest.mark.slurm
def test_kill_9_of_the_pool_leaves_nothing_on_any_node(machine: Machine, tmp_path: Path) -> None:
    machine.deploys("careful", "careful/a", command=ranks(tmp_path), nodes=2)
    with machine.serve("careful") as servers:
        eventually(lambda: sleepers(tmp_path), "the other node has not joined")
        (supervisor,) = (
            process
            for process in psutil.process_iter(["cmdline", "environ"])
            if "snakeval.serving.supervisor" in (process.info["cmdline"] or ())
            and (process.info["environ"] or {}).get("SNAKEVAL_HOME") == str(tmp_path / "home")
        )
        os.kill(supervisor.pid, signal.SIGKILL)
        eventually(lambda: machine.lost, "nobody says that it is lost")
        eventually(lambda: not sleepers(tmp_path), "a rank outlives the pool")
        url = servers["careful"].url

    def refuses() -> bool:
        try:
            urllib.request.urlopen(url, timeout=HUNG)
        except urllib.error.HTTPError:
            return False
        except OSError:
            return True
        return False

    eventually(refuses, "the head outlives the pool")


@pytest.mark.haproxy
@pytest.mark.slurm
def test_instances_that_do_not_fit_on_one_node_are_on_several(
    machine: Machine, tmp_path: Path
) -> None:
    note = f"echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES >> {tmp_path}/where; "
    machine.deploys("careful", "careful/a", command=note + SERVE, gpus=2, instances=2)
    with machine.serve("careful"):
        where = tmp_path / "where"
        eventually(lambda: len(where.read_text().splitlines()) == 2, "not two instances")
        nodes, gpus = zip(*map(str.split, where.read_text().splitlines()), strict=True)
        assert len({*nodes}) == 2, "not an instance on each node"
        assert gpus == ("0,1", "0,1")


@pytest.mark.slurm
def test_more_nodes_than_the_job_has_are_refused(machine: Machine) -> None:
    machine.deploys("careful", nodes=3)
    with (
        pytest.raises(EvaluationError, match="careful needs 3 nodes, and the Slurm job has 2; use"),
        machine.serve("careful"),
    ):
        pass


def test_a_part_counts_its_own_gpus() -> None:
    spec = ContainerSpec("n", "", ("true",), "/", gpu_ids=("4", "6"), withheld=("OTHER_KEY",))
    nodes = Nodes(("n1", "n2"), ("10.0.0.1", "10.0.0.2"), 20001)
    told = json.loads(node_process.message("process", spec, nodes, ("4", "5", "6")))
    here = node_process.part(told, "n2", {"CUDA_VISIBLE_DEVICES": "0,1,2"})
    assert (here.name, here.gpu_ids, here.withheld) == ("n-1", ("0", "2"), ("OTHER_KEY",))
    assert here.env == {"SNAKEVAL_NODE_RANK": "1", "SNAKEVAL_NODE_ADDRESS": "10.0.0.2"}
