"""The command `snakeval` on Slurm: packed allocations, status, kill, logs, a head that is a job."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.command import says, snakeval, started
from support.limits import HUNG
from support.served import Served, wait_for
from support.slurm import ended, queue, slurm
from support.workspace import REPOSITORY, Workspace

pytestmark = pytest.mark.slurm

SLURM = {"account": "evals", "partition": "gpu", "cpu_partition": "cpu", "walltime": "00:10:00"}
RUN = ("run", "--config", "config.yaml", "--profile", str(REPOSITORY / "profiles" / "slurm"))


@pytest.fixture
def go(tmp_path: Path) -> Path:
    return tmp_path / "go"


@pytest.fixture
def work(tmp_path: Path, go: Path) -> Iterator[Workspace]:
    """The endpoint `m` on a benchmark that ends at once and on one that waits for `go`."""
    work = Workspace.below(
        tmp_path,
        name="t",
        runtime="process",
        models={"m": {"endpoint": {"url": "http://127.0.0.1:9/v1", "model_id": "m"}}},
        benchmarks={"quick": says(1), "slow": says(2, waits_for=go)},
        execution={"slurm": SLURM},
    )
    yield work
    if left := queue(work.directory):
        slurm("scancel", *left)


def state_of(work: Workspace, name: str) -> dict[str, Any]:
    """The state of a benchmark; empty if the run has no plan yet."""
    said = snakeval(work, "status", "--json")
    if said.returncode == 2 and "it starts just now" in said.stderr:
        return {"state": ""}
    found = (state for run in json.loads(said.stdout) for state in run["evaluations"])
    return next(state for state in found if name == state["benchmark"])


def test_evaluations_are_packed_and_the_end_compares_time_spent_with_time_expected(
    tmp_path: Path,
) -> None:
    made = Served(tmp_path, "process", "careful", gpus=1)
    for number in range(4):
        made.asks(f"b{number}", seed=number)
    made.work.config["execution"] = {"slurm": SLURM | {"evaluations_per_allocation": 2}}
    plan = snakeval(made.work, *RUN, "--dry-run")
    assert "Allocations: careful in 2 allocations, about " in plan.stderr
    assert re.search(r"^  careful\.2: .* min: b\d, b\d$", plan.stderr, re.MULTILINE)
    request = "account evals, partition gpu, QOS default, walltime 00:10:00, GPUs 1, memory default"
    listed = re.escape(request) + r", nodes 1: b\d, b\d$"
    assert len(re.findall(rf"^  careful(?:\.2)?: {listed}", plan.stderr, re.MULTILINE)) == 2
    done = snakeval(made.work, *RUN)
    assert done.returncode == 0, done.stderr
    assert re.search(r"careful took .* in 2 Slurm jobs, .* expected", done.stdout + done.stderr)
    assert made.recorded.loads == {"careful": 2}
    assert [job.gpus for job in ended(made.work.directory, 2)] == [1, 1]
    assert set(made.recorded.answers.values()) == {1}
    made.nothing_is_left()


@pytest.mark.docker
@pytest.mark.images
def test_on_the_nodes_a_model_is_served_and_evaluated_in_containers(tmp_path: Path) -> None:
    made = Served(tmp_path, "docker", "careful")
    made.asks("b", seed=1)
    made.work.config["execution"] = {"slurm": SLURM}
    done = snakeval(made.work, *RUN)
    assert done.returncode == 0, done.stderr
    record = json.loads((made.work.run / "careful/b/evaluation.json").read_text())
    assert record["runtime"] == "docker"
    assert record["image_digest"].startswith("sha256:")
    assert "lm-eval" in record["versions"]["server careful"]
    assert made.scores() == {"careful/b": 1}
    made.nothing_is_left()


def test_a_server_of_two_nodes_gets_them_from_its_profile(tmp_path: Path) -> None:
    made = Served(tmp_path, "process", "careful", nodes=2, gpus=1)
    made.deployment["command"] = (
        f"echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES > {made.shared}/rank-$SNAKEVAL_NODE_RANK; "
        "[ $SNAKEVAL_NODE_RANK = 0 ] || exec sleep 1800; " + made.deployment["command"]
    )
    made.asks("b", seed=1)
    made.work.config["execution"] = {"slurm": SLURM}
    done = snakeval(made.work, *RUN)
    assert done.returncode == 0, done.stderr
    assert made.scores() == {"careful/b": 1}
    ranks = [(made.shared / f"rank-{rank}").read_text().split() for rank in (0, 1)]
    assert all(gpus.isdigit() for _, gpus in ranks), "not one GPU for each"
    assert len({node for node, _ in ranks}) == 2
    assert [job.gpus for job in ended(made.work.directory, 1)] == [2]
    made.nothing_is_left()


def test_by_hand_the_batch_script_of_a_model_gives_the_same_artifacts(tmp_path: Path) -> None:
    made = Served(tmp_path, "process", "careful", gpus=1)
    made.asks("b0", seed=0)
    made.work.config["models"]["e"] = {
        "endpoint": {"url": "http://127.0.0.1:9/v1", "model_id": "m"}
    }
    made.work.config["benchmarks"]["own"] = says(3)
    made.work.config["execution"] = {"slurm": SLURM}
    made.work.config["include"] = ["careful/b0", "e/own"]
    done = snakeval(made.work, *RUN)
    assert done.returncode == 0, done.stderr
    artifacts = [
        made.work.run / "careful/b0/artifacts/score.json",
        made.work.run / "e/own/artifacts/f.json",
    ]
    before = [path.read_text() for path in artifacts]
    of_hand = [path.parent.parent / "by-hand" / path.name for path in artifacts]
    # Without a container a server is what PATH finds.
    here = str(Path(sys.executable).parent)
    environment = {**made.work.environment, "PATH": f"{here}:{os.environ['PATH']}"}
    for model in ("careful", "e"):
        script = made.work.run / f"sbatch_{model}.sh"
        checked = subprocess.run(["shellcheck", script], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout
        command = ["sbatch", "--wait", str(script)]
        subprocess.run(command, check=True, cwd="/", env=environment, timeout=HUNG)
    assert [path.read_text() for path in of_hand] == before
    made.nothing_is_left()


def test_status_names_the_job_and_kill_cancels_it(work: Workspace, go: Path) -> None:
    work.config["benchmarks"]["waits"] = says(3) | {
        "execution": {"slurm": {"extra_flags": "--begin=now+1hour"}}
    }
    head = started(work, *RUN)
    wait_for(lambda: work.runs and state_of(work, "slow")["state"] == "running", "it does not run")
    wait_for(lambda: state_of(work, "quick")["state"] == "done", "it does not end")
    slow, waits = state_of(work, "slow"), state_of(work, "waits")
    assert {slow["job"], waits["job"]} <= {*queue(work.directory)}
    assert waits["state"] == "waiting"
    assert re.match(r"Slurm job \d+ waits \(BeginTime\), expected to start 2", waits["reason"])
    logs = snakeval(work, "logs", f"{work.run}/m/slow")
    assert f"{slow['job']}.log" in logs.stderr

    killed = snakeval(work, "kill", str(work.run))
    assert killed.returncode == 0, killed.stdout + killed.stderr
    head.communicate(timeout=HUNG)
    assert queue(work.directory) == []
    assert state_of(work, "slow")["state"] == "interrupted"
    assert state_of(work, "quick")["state"] == "done"


def test_kill_after_a_lost_head_cancels_the_jobs_that_it_left(work: Workspace) -> None:
    head = started(work, *RUN)
    wait_for(lambda: work.runs and state_of(work, "slow")["state"] == "running", "it does not run")
    os.killpg(head.pid, signal.SIGKILL)
    for process in subprocess.run(
        ["pgrep", "-f", f"snakemake.*{work.home}"], capture_output=True, text=True
    ).stdout.split():
        with contextlib.suppress(ProcessLookupError):  # it ended with the command
            os.kill(int(process), signal.SIGKILL)
    head.communicate(timeout=HUNG)
    assert state_of(work, "slow")["state"] == "running", "its job is Slurm's"
    killed = snakeval(work, "kill", str(work.run))
    assert killed.returncode == 0, killed.stderr
    assert "Ends Slurm job" in killed.stdout
    assert queue(work.directory) == []


def test_a_head_that_is_a_job_resumes_after_a_kill_and_after_its_walltime(
    work: Workspace, go: Path
) -> None:
    begun = snakeval(work, *RUN, "--head-on-cluster")
    assert begun.returncode == 0, begun.stderr
    (number,) = re.findall(r"is Slurm job (\d+)", begun.stdout)
    log = Path(re.findall(r"log +(\S+)", begun.stdout)[0])
    wait_for(lambda: work.runs and state_of(work, "slow")["state"] == "running", "it does not run")
    (head,) = json.loads(snakeval(work, "status", "--json").stdout)[0]["heads"]
    os.kill(head["pid"], signal.SIGKILL)
    wait_for(lambda: "try 2" in log.read_text(), "it is not started again")
    # What Slurm sends it before its walltime.
    wait_for(lambda: "Adopting it" in log.read_text(), "nothing is adopted")
    slurm("scancel", "--signal=USR1", "--batch", number)
    wait_for(lambda: "PENDING" in slurm("squeue", "-h", "-j", number, "-o", "%T"), "no requeue")
    wait_for(lambda: log.read_text().count("try 1") == 2, "it is not started again")
    go.touch()
    wait_for(lambda: "Results: " in log.read_text(), "it does not end")
    assert set(work.table()["status"]) == {"done"}
    comments = [job.comment for job in ended(work.directory, 2)]
    assert comments.count("rule_evaluate_wildcards_m_slow") == 1, "submitted once"


def test_a_second_plain_snakemake_fails_and_sigterm_leaves_the_job(
    work: Workspace, go: Path, tmp_path: Path
) -> None:
    work.config["output_dir"] = str(work.directory / "results")
    profile = ("--profile", str(REPOSITORY / "profiles" / "slurm"))
    first = work.start(*profile)
    wait_for(lambda: work.runs and state_of(work, "slow")["state"] == "running", "it does not run")
    (tmp_path / "other").mkdir()
    other = Workspace.below(tmp_path / "other", **work.config)
    other.home = work.home
    for place in (work, other):
        second = place.snakemake(*profile)
        assert second.exit_code == 1, second.output
        assert f"process {first.pid} on" in second.output
        assert "already works at m/quick, m/slow" in second.output
    wait_for(lambda: len(queue(work.directory)) == 1, "the quick job does not end")
    (job,) = queue(work.directory)
    first.terminate()
    output, _ = first.communicate(timeout=HUNG)
    # The head may not know yet that the other job ended.
    (line,) = (line for line in output.splitlines() if "SIGTERM: Slurm job" in line)
    assert job in line.partition(" continue")[0].replace(",", "").split()
    assert queue(work.directory) == [job]
    go.touch()
    done = work.snakemake(*profile)
    assert done.exit_code == 0, done.output
    assert {job.state for job in ended(work.directory, 2)} == {"COMPLETED"}


def test_a_check_says_before_a_run_what_the_site_will_refuse(work: Workspace) -> None:
    work.config["benchmarks"]["slow"]["execution"] = {"slurm": {"qos": "short"}}
    work.config["models"]["m"]["execution"] = {"slurm": {"walltime": "04:00:00"}}
    checked = snakeval(work, *RUN, "--dry-run", "--check")
    assert checked.returncode == 1
    assert "refused: m/slow: walltime 04:00:00 is above the limit of QOS short, 00:30:00" in (
        checked.stderr
    )
    assert "m/quick: walltime" not in checked.stderr
    work.config["benchmarks"]["slow"]["execution"] = {"slurm": {"account": "nobody"}}
    checked = snakeval(work, "doctor", "--config", "config.yaml")
    assert "m/slow: Invalid account or account/partition combination" in checked.stdout
    assert snakeval(work, *RUN, "--dry-run").returncode == 0


def test_wishes_of_sites_reach_the_job(work: Workspace, go: Path) -> None:
    go.touch()
    work.config["models"]["m"]["execution"] = {"slurm": {"account": "other"}}
    flags = "--exclude=n1,n2 --mail-type=END,FAIL --mail-user=me@example.org"
    work.config["execution"] = {"slurm": SLURM | {"extra_flags": flags}}
    before = f"export TMPDIR={go.parent}/scratch-$SLURM_JOB_ID && mkdir $TMPDIR"
    done = snakeval(work, *RUN, "--", "--slurm-resume-before", before)
    assert done.returncode == 0, done.stderr
    numbers = {job.number for job in ended(work.directory, 2)}
    assert {path.name for path in go.parent.glob("scratch-*")} == {f"scratch-{n}" for n in numbers}
    fields = ("sacct", "-X", "-n", "-P", "-j", ",".join(numbers), "-o", "Account,NodeList,JobName")
    rows = sorted(line.split("|") for line in slurm(*fields).splitlines())
    assert {account for account, _, _ in rows} == {"other"}
    assert {node for _, node, _ in rows} <= {"n3", "n4"}
    names = ["snakeval_evaluate_m_quick", "snakeval_evaluate_m_slow"]
    assert sorted(name.rpartition("_")[0] for _, _, name in rows) == names
