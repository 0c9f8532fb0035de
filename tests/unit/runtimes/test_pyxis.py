"""Tests the pyxis runtime: steps of a real Slurm, with a stand-in for pyxis."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from snakeval.errors import EvaluationError
from snakeval.runtimes import choose, connect
from snakeval.runtimes.pyxis import Pyxis, uri
from snakeval.runtimes.spec import ContainerSpec, Mount
from support import standins

BUSYBOX = "snakeval-testbed/busybox:latest"


def spec(*argv: str, **more: Any) -> ContainerSpec:
    fields = {"image": BUSYBOX, "workdir": "/tmp", "grace": 1} | more
    return ContainerSpec(name=f"snakeval-test-{os.getpid()}", argv=argv, **fields)


@pytest.mark.docker
@pytest.mark.root
@pytest.mark.slurm
@pytest.mark.usefixtures("in_a_job")
def test_a_container_is_a_step_on_this_node_without_the_jobs_environment(
    tmp_path: Path, commands: Path, job: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_JOB", "x")
    pyxis = connect("pyxis")
    text = "echo $SLURMD_NODENAME $SLURM_STEP_NUM_TASKS ${OF_THE_JOB-none} $MINE; ls -d /work"
    what = spec("sh", "-c", text, env={"MINE": "a 'b' $c"})
    pyxis.prepare(what, print)
    with (tmp_path / "log").open("w+b") as log:
        assert pyxis.run(what, log, Event()).exit_code == 1  # of `ls`
        log.seek(0)
        said = log.read().decode()
    assert f"{job['SLURMD_NODENAME']} 1 none a 'b' $c\n" in said
    assert "ls: /work: No such file" in said
    assert standins.recorded(commands)[-1][1:5] == [
        "--quiet", "--overlap", "--nodes=1", "--ntasks=1",
    ]  # fmt: skip


@pytest.mark.docker
@pytest.mark.root
@pytest.mark.slurm
@pytest.mark.usefixtures("in_a_job", "commands")
def test_the_images_entry_point_receives_the_arguments(
    tmp_path: Path, with_entry_point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "it's $HOME")
    pyxis = connect("pyxis")
    what = spec(image=with_entry_point, entry_point=True, secrets={"KEY": "CANARY"})
    pyxis.prepare(what, print)
    for argv, said in (((), "its own command"), (("a  b", "$c"), "a  b $c")):
        with (tmp_path / "log").open("w+b") as log:
            pyxis.run(replace(what, argv=argv), log, Event())
            log.seek(0)
            assert log.read().decode() == f"it's $HOME {said}\n"


@pytest.mark.docker
@pytest.mark.root
@pytest.mark.usefixtures("commands")
def test_outside_a_job_pyxis_is_an_error_and_auto_does_not_choose_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    refused = r"requires a Slurm job \(\$SLURM_JOB_ID is not set\); use --profile slurm"
    with (tmp_path / "log").open("wb") as log, pytest.raises(EvaluationError, match=refused):
        connect("pyxis").run(spec("true"), log, Event())
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    monkeypatch.setenv("PATH", os.pathsep.join(standins.path().split(os.pathsep)[:2]))
    assert choose("auto", BUSYBOX, installable=False)[0].name == "apptainer"


def test_uri_returns_enroots_name_of_an_image() -> None:
    assert uri("nvcr.io/nvidia/pytorch:25.06-py3") == "docker://nvcr.io#nvidia/pytorch:25.06-py3"
    assert uri("localhost:5000/x:1") == "docker://localhost:5000#x:1"
    assert uri("vllm/vllm-openai:v0.31.0") == "docker://vllm/vllm-openai:v0.31.0"
    assert uri("ubuntu:24.04") == "docker://ubuntu:24.04"
    assert uri("nvcr.io#nvidia/x:1") == "docker://nvcr.io#nvidia/x:1"
    assert uri("dockerd://x:1") == "dockerd://x:1"


def test_a_container_sees_the_selected_gpus_of_the_job() -> None:
    assert "export CUDA_VISIBLE_DEVICES=1,3" in Pyxis().shell(spec("true", gpu_ids=("1", "3")))
    assert "CUDA_VISIBLE_DEVICES" not in Pyxis().shell(spec("true"))


@pytest.mark.parametrize("path", ["/a:b", "/a,b", '/a"b', "/a$b", "/a`b"])
def test_the_error_of_an_unmountable_path_names_it(path: str) -> None:
    with pytest.raises(
        EvaluationError, match=r"pyxis cannot mount /a.b, because of its characters"
    ):
        Pyxis().shell(spec("true", mounts=(Mount(path, "/data"),)))


def test_a_slurm_without_pyxis_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\necho '  --overlap'\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EvaluationError, match="srun has no --container-image here; install pyxis"):
        connect("pyxis")
