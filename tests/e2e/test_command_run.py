"""`snakeval run` and `snakeval resume` with Snakemake behind them.

Long because each case needs a run, and all cases share the fixtures that make one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
from pathlib import Path

import psutil
import pytest
import yaml

from snakeval.config.load import load
from snakeval.demo.server import serve
from snakeval.matrix.expand import expand
from support import forks
from support.command import FAILS, evaluated, printed_command, says, snakeval, started, workspace
from support.limits import HUNG
from support.served import wait_for
from support.workspace import REPOSITORY, Workspace

RUN = ("run", "--config", "config.yaml")


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """What the benchmarks of a test wait for."""
    return tmp_path / "go"


def is_at_it(work: Workspace) -> bool:
    """Whether the evaluation that waits is at its harness."""
    return any(work.directory.glob("results/*/m/slow/logs/harness.log"))


# --- run ----------------------------------------------------------------------------------


def test_a_run_prints_a_command_that_works_when_it_is_pasted(tmp_path: Path) -> None:
    work = workspace(tmp_path, one=says(1), two=says(2))
    done = snakeval(work, *RUN)
    assert done.returncode == 0, done.stderr
    assert evaluated(done.stderr) == {"m/one", "m/two"}
    assert "| m       | two         | v        | 2.0000" in done.stdout
    words = printed_command(done.stderr)
    pasted = forks.finished(words, cwd=work.directory, env=work.environment, timeout=HUNG)
    assert pasted.returncode == 0, pasted.stderr
    assert "Nothing to be done" in pasted.stderr


def test_a_failed_evaluation_is_exit_1_and_the_same_command_does_what_is_missing(
    tmp_path: Path,
) -> None:
    work = workspace(tmp_path, good=says(1), bad=FAILS)
    assert snakeval(work, *RUN).returncode == 1
    work.config["benchmarks"]["bad"] = says(2)
    again = snakeval(work, *RUN, "--resume")
    assert again.returncode == 0, again.stderr
    assert evaluated(again.stderr) == {"m/bad"}
    assert "--resume is the default" in again.stderr


@pytest.mark.parametrize("first", ["snakeval", "snakemake"])
def test_the_command_and_snakemake_continue_each_others_runs(tmp_path: Path, first: str) -> None:
    work = workspace(tmp_path, one=says(1))
    work.config["params"] = {"temperature": None, "max_retries": 5}
    if first == "snakeval":
        assert snakeval(work, *RUN).returncode == 0
        assert work.snakemake("-n").nothing_to_do
    else:
        assert work.snakemake().exit_code == 0
        assert "Nothing to be done" in snakeval(work, *RUN).stderr
    assert len(work.runs) == 1


def test_a_dry_run_prints_the_whole_configuration_and_the_plan(tmp_path: Path) -> None:
    work = workspace(tmp_path, one=says(1), two=says(2))
    plan = snakeval(work, *RUN, "-n", "-o", "+params.limit_samples=10", "-o", "~benchmarks.two")
    assert plan.returncode == 0, plan.stderr
    shown = tmp_path / "shown.yaml"
    shown.write_text(plan.stdout)
    config, _, _ = load([shown])
    assert config.params.limit_samples == 10
    assert {e.id for e in expand(config)} == evaluated(plan.stderr) == {"m/one"}
    assert not work.runs


def test_options_after_the_dashes_are_snakemakes(tmp_path: Path) -> None:
    work = workspace(tmp_path, one=says(1), two=says(2))
    plan = snakeval(work, *RUN, "-n", "--", "--config", "benchmarks=two", "--cores", "1")
    assert evaluated(plan.stderr) == {"m/two"}


# --- the seed's commands ------------------------------------------------------------------


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A directory with `examples` in it, as the seed's commands have it."""
    for name in ("API_KEY", "HF_TOKEN", "HF_TOKEN_FOR_GPQA_DIAMOND", "NVIDIA_API_KEY"):
        monkeypatch.setenv(name, "unused")
    work = Workspace.below(tmp_path)
    (work.directory / "examples").symlink_to(REPOSITORY / "config" / "examples")
    return work


LOCAL = "run --config-dir examples --config-name local_llama_3_1_8b_instruct"
TASKS = {"ifeval", "gpqa_diamond", "mbpp-chat"}


@pytest.mark.parametrize(
    ("command", "limit"),
    [(f"{LOCAL} --dry-run", None), (f"{LOCAL} --dry-run -o +config.params.limit_samples=10", 10)],
)
def test_the_seeds_commands_work_word_for_word(
    examples: Workspace, command: str, limit: int | None
) -> None:
    plan = snakeval(examples, *shlex.split(command))
    assert plan.returncode == 0, plan.stderr
    assert evaluated(plan.stderr) == {f"meta-llama-3.1-8b-instruct/{task}" for task in TASKS}
    assert yaml.safe_load(plan.stdout)["params"].get("limit_samples") == limit


@pytest.mark.parametrize(
    ("name", "model", "tasks", "deploys"),
    [
        ("slurm_llama_3_1_8b_instruct", "meta-llama-Llama-3.1-8B-Instruct",
         {"ifeval", "gpqa_diamond"}, 1),
        ("slurm_endpoint", "meta-llama-3.1-8b-instruct", {"ifeval", "mbpp-chat"}, 0),
        ("lepton_llama_3_1_8b_instruct", "meta-llama-Llama-3.1-8B-Instruct",
         {"ifeval", "gpqa_diamond"}, 1),
        ("lepton_endpoint", "meta-llama-3.1-8b-instruct", {"ifeval", "mbpp-chat"}, 0),
    ],
)  # fmt: skip
def test_the_seeds_configurations_for_slurm_and_lepton_plan(
    examples: Workspace, name: str, model: str, tasks: set[str], deploys: int
) -> None:
    command = f"run --config-dir examples --config-name {name} --dry-run"
    plan = snakeval(examples, *shlex.split(command))
    assert plan.returncode == 0, plan.stderr
    assert evaluated(plan.stderr) == {f"{model}/{task}" for task in tasks}
    assert plan.stderr.count("\ndeploy  ") == deploys
    # Its own, or by the name that `snakeval profiles install` makes known.
    assert re.search(rf"--profile (\S+/)?{name.partition('_')[0]} ", plan.stderr)


def test_the_example_of_a_deployment_plans_its_servers(examples: Workspace) -> None:
    plan = snakeval(examples, "run", "--config", "examples/launcher_deployment.yaml", "-n")
    assert plan.returncode == 0, plan.stderr
    served = "microsoft-Phi-4-mini-instruct"
    assert evaluated(plan.stderr) == {
        "hosted/ifeval",
        f"{served}/ifeval",
        f"{served}-completions/lm-evaluation-harness.gsm8k",
    }


def test_a_configuration_of_the_launchers_shape_runs(tmp_path: Path) -> None:
    work = Workspace.below(tmp_path)
    question = work.ask("sum", "What is 2 + 3?")
    with serve(models=["careful"]) as server:
        endpoint = {"url": f"{server.url}/v1/chat/completions", "model_id": "careful"}
        content = {
            "defaults": [{"execution": "local"}, {"deployment": "none"}, "_self_"],
            "execution": {"output_dir": "results"},
            "target": {"api_endpoint": endpoint},
            "evaluation": {"overrides": {"config.params.request_timeout": 60}},
            "runtime": "process",
            "benchmarks": {"sum": question | {"command": "echo '{\"number\": 5}' > "
                                              "{{ results }}/answer.json"}},
        }  # fmt: skip
        (work.directory / "mine.yaml").write_text(yaml.safe_dump(content))
        done = snakeval(work, "run", "--config", "mine.yaml")
    assert done.returncode == 0, done.stderr
    assert work.table().loc["careful/sum", "value"] == 5.0


# --- interrupted --------------------------------------------------------------------------


@pytest.mark.parametrize("whom", ["the group, as a terminal does", "the command alone"])
def test_ctrl_c_ends_all_of_it_with_130_and_the_same_command_resumes(
    tmp_path: Path, go: Path, whom: str
) -> None:
    work = workspace(tmp_path, quick=says(1), slow=says(2, waits_for=go))
    group = whom.startswith("the group")
    with forks.real_processes() if group else contextlib.nullcontext():
        process = started(work, *RUN)
    wait_for(lambda: [*work.directory.glob("results/*/m/quick/evaluation.json")], "quick is not")
    wait_for(lambda: is_at_it(work), "no evaluation started")
    if group:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=HUNG)
    assert process.returncode == 130, error
    assert "Traceback" not in error, error
    wait_for(lambda: not work.processes(), "something is left running")
    go.touch()
    assert snakeval(work, *RUN).returncode == 0
    assert set(work.table()["status"]) == {"done"}


# --- in the background --------------------------------------------------------------------


def test_a_detached_run_holds_no_pipe_and_continues(tmp_path: Path, go: Path) -> None:
    work = workspace(tmp_path, slow=says(1, waits_for=go))
    done = snakeval(work, *RUN, "--detach")  # reads for ever, if the run held the pipe
    assert done.returncode == 0, done.stderr
    assert not go.exists()
    follow = next(row for row in done.stdout.splitlines() if "  follow " in row)
    status = snakeval(work, *follow.removesuffix(" --watch").split()[2:])
    assert status.returncode == 0, status.stderr
    log = next(Path(row.split()[1]) for row in done.stdout.splitlines() if "  log " in row)
    assert log.is_relative_to(work.home / "logs")
    wait_for(lambda: is_at_it(work), "no evaluation started")
    assert log.name.startswith(work.run.name[-8:])
    second = snakeval(work, *RUN)
    assert second.returncode == 2
    assert "already works at it; follow it with `snakeval status" in second.stderr
    go.touch()
    wait_for(lambda: not work.processes(), "it does not end")
    assert "m/slow  done, 1 of 1" in log.read_text()
    assert set(work.table()["status"]) == {"done"}


def test_a_detached_run_that_fails_at_its_start_says_so(tmp_path: Path) -> None:
    work = workspace(tmp_path, one=says(1))
    failed = snakeval(work, *RUN, "--detach", "--", "--cores", "none")
    assert failed.returncode == 1
    assert "goes on" not in failed.stdout
    assert "none" in failed.stderr
    assert "has ended already" in failed.stderr


# --- resume -------------------------------------------------------------------------------


def test_resume_after_kill_9_from_another_directory(tmp_path: Path, go: Path) -> None:
    work = workspace(tmp_path, quick=says(1), slow=says(2, waits_for=go))
    work.config["lease"] = {"heartbeat": 0.5, "stale": 2}
    process = started(work, *RUN, "--", "--cores", "2", "--config", "benchmarks=quick,slow")
    wait_for(lambda: [*work.directory.glob("results/*/m/quick/evaluation.json")], "quick is not")
    wait_for(lambda: is_at_it(work), "no evaluation started")
    for each in work.processes():
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended with one that was killed
            if "snakeval.jobs.evaluate" not in " ".join(each.cmdline()):
                each.kill()
    process.communicate(timeout=HUNG)
    record = next(work.directory.glob("results/*/m/quick/evaluation.json"))
    finished = record.read_bytes()
    go.touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    again = snakeval(work, "resume", work.run.name[-8:-4], cwd=elsewhere)
    assert again.returncode == 0, again.stderr
    # Snakemake may have died before it noted the end of the finished one, whose job then adopts it.
    # The job then publishes the same record again.
    assert record.read_bytes() == finished
    assert set(work.table()["status"]) == {"done"}
    cd, place, _, *words = printed_command(again.stderr)
    assert (cd, Path(place)) == ("cd", work.directory)
    assert words[words.index("--cores") + 1] == "2"
    assert not [*elsewhere.iterdir()]


def test_resume_of_a_finished_run_does_nothing(tmp_path: Path) -> None:
    work = workspace(tmp_path, one=says(1))
    work.config["params"] = {"temperature": None}
    assert work.snakemake("--config", "run=new").exit_code == 0
    again = snakeval(work, "resume", str(work.run), "--", "--cores", "3", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "Nothing to be done" in again.stderr
    assert printed_command(again.stderr)[-4:] == ["--cores", "3", "--config", _run(work)]
    assert len(work.runs) == 1


def _run(work: Workspace) -> str:
    return f"run={work.run.name}"


def test_resume_where_run_and_working_directory_were_moved(tmp_path: Path) -> None:
    work = workspace(tmp_path, one=says(1), two=FAILS)
    assert snakeval(work, *RUN).returncode == 1
    name = work.run.name
    (tmp_path / "a place").mkdir()
    shutil.move(work.run, tmp_path / "a place")
    shutil.rmtree(work.directory)
    work.config = {}
    gone = snakeval(work, "resume", name, cwd=tmp_path)
    assert gone.returncode == 2
    assert "is gone; if it was moved, name the directory" in gone.stderr
    moved = snakeval(work, "resume", f"a place/{name}", "-n", cwd=tmp_path)
    assert moved.returncode == 0, moved.stderr
    assert evaluated(moved.stderr) == {"m/two"}
