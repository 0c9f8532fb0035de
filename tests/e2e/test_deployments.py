"""Models that we serve: loaded as seldom as can be, and gone afterwards, whatever was killed."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import docker
import psutil
import pytest

from support.limits import HUNG
from support.served import Served, kill_9, wait_for

RUNTIMES = [pytest.param("docker", marks=pytest.mark.images), "process"]


def two_models(
    directory: Path, stays_at: int = -1, benchmarks: int = 2, **deployment: object
) -> Served:
    """Two models with so many benchmarks each."""
    served = Served(directory, "process", "careful", "sloppy", **deployment)
    for number in range(benchmarks):
        served.asks(f"b{number}", seed=number, stays_at=stays_at)
    return served


def test_two_models_on_one_gpu_are_loaded_once_and_not_for_finished_evaluations(
    tmp_path: Path,
) -> None:
    served = two_models(tmp_path, gpus=1)
    done = served.work.snakemake("--cores", "4", "--resources", "gpu=1")
    assert done.exit_code == 0, done.output
    assert served.recorded.loads == {"careful": 1, "sloppy": 1}
    assert "Model loads: 2 (careful 1, sloppy 1)" in done.output
    assert served.scores()["careful/b0"] == 1
    served.nothing_is_left()
    before = served.recorded
    for options in (["--forceall"], ["--rerun-triggers", "code", "mtime"]):
        done = served.work.snakemake(*options)
        assert done.exit_code == 0, done.output
    subprocess.run(["rm", "-r", served.work.directory / ".snakemake"], check=True)
    assert served.work.snakemake().nothing_to_do
    assert served.recorded == before


def test_with_two_gpus_they_run_side_by_side(tmp_path: Path) -> None:
    served = two_models(tmp_path, gpus=1, stays_at=2, benchmarks=1)
    head = served.work.start("--cores", "4", "--resources", "gpu=2")
    wait_for(lambda: len({m for m, _ in served.recorded.answers}) == 2, "one of them waits")
    served.go()
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output
    assert served.recorded.loads == {"careful": 1, "sloppy": 1}
    assert "waits for" not in output


def test_a_model_that_does_not_get_ready_fails_only_its_own_evaluations(
    tmp_path: Path,
) -> None:
    served = two_models(tmp_path, benchmarks=1)
    broken = {**served.deployment, "command": "echo 'RuntimeError: no kernel image' >&2; exit 1"}
    served.work.config["models"]["broken"] = {"deployment": broken}
    done = served.work.snakemake()
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    assert "CalledProcessError" not in done.output, "the reason is told, not the machinery"
    table = served.work.table()
    assert set(table["status"][table["model"] != "broken"]) == {"done"}
    reason = (
        "deployment failed: the server ended with exit code 1 before it was ready: RuntimeError: "
        "no kernel image"
    )
    assert set(table["reason"][table["model"] == "broken"]) == {reason}
    served.nothing_is_left()
    # Mended, the same command does what is missing and loads nothing else.
    served.work.config["models"]["broken"] = {"deployment": served.deployment}
    served.deployment["command"] = served.deployment["command"].replace(
        "{{ served_model_name }}", "x/careful"
    )
    served.work.config["models"]["broken"]["deployment"]["served_model_name"] = "x/careful"
    for name in ("careful", "sloppy"):
        del served.work.config["models"][name]
    again = served.work.snakemake()
    assert again.exit_code == 0, again.output
    assert again.evaluated == {"broken/b0"}


def test_a_server_that_dies_again_and_again_fails_its_model_alone(tmp_path: Path) -> None:
    served = Served(tmp_path, "process", "careful", "sloppy", max_restarts=1)
    served.asks("long", seed=1, count=6)
    dying = {**served.deployment}
    dying["command"] = f"{dying['command']} --die-after 2"
    served.work.config["models"]["sloppy"] = {"deployment": dying}
    done = served.work.snakemake()
    assert done.exit_code == 1
    table = served.work.table()
    assert table["status"]["careful/long"] == "done"
    assert (
        "deployment failed: the server died 2 times; at last: the server ended with exit code"
        in (table["reason"]["sloppy/long"])
    )
    assert served.recorded.loads == {"careful": 1, "sloppy": 2}
    served.nothing_is_left()


def test_a_server_that_dies_once_costs_only_time(tmp_path: Path) -> None:
    served = Served(tmp_path, "process", "careful")
    served.asks("long", seed=1, count=30, stays_at=5)
    head = served.work.start()
    wait_for(lambda: len(served.recorded.answers) > 3, "no answers")
    kill_9(served.server)
    served.go()
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output
    assert served.scores() == {"careful/long": 1}
    assert served.work.table()["attempt"]["careful/long"] == 1
    assert served.recorded.loads == {"careful": 2}
    # The harness's cache kept what was answered, but for what was under way.
    assert sum(served.recorded.answers.values()) <= 31


QUICK = "results/*/careful/quick/evaluation.json"
VICTIMS: dict[str, Callable[[Served], list[psutil.Process]]] = {
    "snakemake": lambda served: served.named("--snakefile")[:1],
    "supervisor": lambda served: served.named("snakeval.serving.supervisor"),
    "evaluation": lambda served: served.named("snakeval.jobs.evaluate", "evaluation.json")[-1:],
}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("victim", [*VICTIMS, "server", "ctrl-c"])
def test_whatever_is_killed_nothing_is_left_and_the_same_command_finishes(
    tmp_path: Path, runtime: str, victim: str
) -> None:
    served = Served(tmp_path, runtime, "careful")
    served.asks("quick", seed=1, count=2)
    served.asks("slow", seed=2, count=40, stays_at=8)
    head = served.work.start()
    wait_for(lambda: len(served.recorded.answers) > 6, "no answers")
    wait_for(lambda: [*served.work.directory.glob(QUICK)], "the quick one is not done")
    wait_for(lambda: not served.named("quick/evaluation.json"), "the quick one does not end")
    if victim == "ctrl-c":
        os.killpg(head.pid, signal.SIGINT)
    elif victim == "server" and runtime == "docker":
        (container,) = (c for c in served.containers() if "snakeval.server" in c["Labels"])
        subprocess.run(["docker", "kill", container["Id"]], check=True, capture_output=True)
    elif victim == "server":
        kill_9(served.server)
    else:
        for process in VICTIMS[victim](served):
            kill_9(process)
    served.go()
    output, _ = head.communicate(timeout=HUNG)
    assert "Traceback" not in output
    assert (head.returncode == 0) == (victim in ("server", "supervisor")), output
    served.nothing_is_left()
    if head.returncode != 0:
        again = served.work.snakemake()
        assert again.exit_code == 0, again.output
        served.nothing_is_left()
    assert not served.leases()
    assert served.scores() == {"careful/quick": 1, "careful/slow": 1}
    # 42 questions; of an interrupted harness at most the one under way was asked twice.
    assert 42 <= sum(served.recorded.answers.values()) <= 43


@pytest.mark.images
def test_servers_and_harnesses_report_an_image_without_a_shell(tmp_path: Path) -> None:
    image = "snakeval-test/no-shell:1"
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("file"), io.BytesIO())
    engine = docker.from_env()
    engine.api.import_image_from_data(empty.getvalue(), *image.split(":"))
    try:
        served = Served(tmp_path, "docker", "careful", "sloppy")
        served.asks("fine", seed=1)
        served.asks("bare", seed=2)
        served.work.config["benchmarks"]["bare"]["image"] = image
        bare = {**served.deployment, "image": image}
        served.work.config["models"]["sloppy"] = {"deployment": bare}
        done = served.work.snakemake()
        assert done.exit_code == 1
        table = served.work.table()
    finally:
        engine.images.remove(image)
    sentence = f"image {image} has no `sh`, which snakeval requires; add a shell to the image, or"
    assert table["status"]["careful/fine"] == "done"
    assert table["reason"]["careful/bare"].startswith(sentence)
    assert table["reason"]["sloppy/fine"].startswith(f"deployment failed: {sentence}")


@pytest.mark.images
def test_the_reason_states_that_the_kernel_killed_a_server_out_of_memory(tmp_path: Path) -> None:
    hungry = "python3 -c 'bytearray(10**9)'; echo not reached"
    served = Served(tmp_path, "docker", "careful", command=hungry, mem_mb=64)
    served.asks("b", seed=1)
    assert served.work.snakemake().exit_code == 1
    assert served.work.table()["reason"]["careful/b"] == (
        "deployment failed: out of memory: the kernel killed the server; raise deployment.mem_mb "
        "(now 64)"
    )


def evaluates(head: int) -> bool:
    """Whether a head has started an evaluation's job."""
    with contextlib.suppress(psutil.Error):  # a child may end just now
        for each in psutil.Process(head).children(recursive=True):
            if each.cmdline()[1:3] == ["-m", "snakeval.jobs.evaluate"]:
                return True
    return False


def test_two_heads_share_one_server_and_do_each_evaluation_once(tmp_path: Path) -> None:
    served = Served(tmp_path, "process", "careful")
    for number in range(3):
        served.asks(f"b{number}", seed=number, count=10, stays_at=5)
    first = served.work.start()
    wait_for(lambda: served.recorded.answers, "no answers")
    second = served.work.start()
    wait_for(lambda: evaluates(second.pid), "the second one does nothing")
    served.go()
    outputs = [head.communicate(timeout=HUNG)[0] for head in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), "\n".join(outputs)
    assert served.recorded.loads == {"careful": 1}
    assert sum(served.recorded.answers.values()) == 30
    served.nothing_is_left()


def test_the_dry_run_shows_one_deploy_a_model_and_none_for_endpoints(tmp_path: Path) -> None:
    served = two_models(tmp_path)
    served.work.config["models"]["hosted"] = {
        "endpoint": {"url": "http://127.0.0.1:1/v1", "model_id": "m"}
    }
    output = served.work.snakemake("--dry-run").output
    assert "To do: 2 deploy, 6 evaluate, 1 table, 1 report" in output
