"""Tests the apptainer runtime with a stand-in that checks options and really runs the image."""

from __future__ import annotations

import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from snakeval.errors import EvaluationError
from snakeval.runtimes import choose, connect
from snakeval.runtimes.apptainer import Apptainer
from snakeval.runtimes.spec import ContainerSpec, Mount
from support import standins

BUSYBOX = "snakeval-testbed/busybox:latest"
real = [pytest.mark.docker, pytest.mark.root, pytest.mark.usefixtures("commands")]


def spec(*argv: str, **more: Any) -> ContainerSpec:
    fields = {"image": BUSYBOX, "workdir": "/tmp", "grace": 1} | more
    return ContainerSpec(name=f"snakeval-test-{os.getpid()}", argv=argv, **fields)


def run(what: ContainerSpec, log: Path) -> str:
    apptainer = connect("apptainer")
    apptainer.prepare(what, print)
    with log.open("w+b") as file:
        outcome = apptainer.run(what, file, Event())
        file.seek(0)
        text = file.read().decode()
    assert outcome.exit_code == 0, text
    return text


def words(what: ContainerSpec) -> str:
    return Apptainer("apptainer").shell(what)


class TestForReal:
    pytestmark = real

    def test_two_processes_convert_an_image_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commands: Path
    ) -> None:
        monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
        told: list[str] = []
        apptainer = connect("apptainer")
        assert not apptainer.has(spec("true"))
        threads = [
            threading.Thread(target=apptainer.prepare, args=(spec("true"), told.append))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [line[1:2] for line in standins.recorded(commands)] == [["pull"]]
        assert apptainer.has(spec("true"))
        (sif,) = (tmp_path / "home/cache/apptainer").glob("*.sif")
        assert sif.name.startswith("busybox-latest-")
        assert sif.suffix == ".sif"
        assert any(text.endswith("Converting OCI blobs to SIF format") for text in told)

    def test_a_failed_conversion_is_one_sentence_and_leaves_no_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
        with pytest.raises(EvaluationError, match="is not on this machine and cannot be converted"):
            connect("apptainer").prepare(spec("true", image="no/such:1"), print)
        assert not list((tmp_path / "home/cache/apptainer").iterdir())

    def test_a_file_starts_without_conversion(self, tmp_path: Path, converted: Path) -> None:
        connect("apptainer").prepare(spec("true"), print)
        own = tmp_path / "own.sif"
        own.hardlink_to(next(converted.glob("cache/apptainer/busybox*.sif")))
        assert run(spec("echo", "hello", image=str(own)), tmp_path / "log") == "hello\n"
        with pytest.raises(EvaluationError, match=r"there is no image /no/such\.sif"):
            connect("apptainer").prepare(spec("true", image="/no/such.sif"), print)

    def test_a_container_sees_only_mounts_of_this_machine(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LD_LIBRARY_PATH", "/of/the/host")
        data = tmp_path / "data"
        data.mkdir()
        text = (
            "echo ${LD_LIBRARY_PATH-unset}; ls -d /work /data; touch /data/f || echo read only; "
            "touch /new /tmp/new && echo written"
        )
        what = spec("sh", "-c", text, mounts=(Mount(str(data), "/data"),))
        said = run(what, tmp_path / "log")
        assert said.splitlines()[0] == "unset"
        assert "ls: /work: No such file" in said
        assert "read only" in said
        assert said.endswith("written\n")

    def test_the_images_entry_point_receives_the_arguments(
        self, tmp_path: Path, with_entry_point: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CANARY", "it's $HOME")
        what = spec(image=with_entry_point, entry_point=True, secrets={"KEY": "CANARY"})
        for argv, said in (((), "its own command"), (("a  b", "$c"), "a  b $c")):
            assert run(replace(what, argv=argv), tmp_path / "log") == f"it's $HOME {said}\n"

    def test_the_shell_text_converts_the_image_and_reads_secrets(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "a home"))
        text = connect("apptainer").shell(spec("sh", "-c", "echo $KEY", secrets={"KEY": "CANARY"}))
        for _ in range(2):
            command = ["bash", "-ec", f"echo \"export KEY='a b'\" | {text}"]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.stdout.splitlines()[-1:] == ["a b"], done.stderr

    def test_auto_chooses_apptainer_without_another_engine(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
        monkeypatch.setenv("PATH", os.pathsep.join(standins.path().split(os.pathsep)[:2]))
        assert choose("auto", BUSYBOX, installable=False)[0].name == "apptainer"


def test_images_outside_a_registry_convert_from_their_source() -> None:
    apptainer = Apptainer("singularity")
    for image, verb, source in (
        ("nvcr.io/nim/x@sha256:1", "pull", "docker://nvcr.io/nim/x@sha256:1"),
        ("oras://registry/x:1", "pull", "oras://registry/x:1"),
        ("docker-archive:/images/x.tar", "build", "docker-archive:/images/x.tar"),
        ("docker-daemon:x:1", "build", "docker-daemon:x:1"),
    ):
        assert f"singularity {verb} /" in apptainer.shell(spec("true", image=image))
        assert f" {source} </dev/null" in apptainer.shell(spec("true", image=image))


def test_a_container_sees_the_selected_gpus_or_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--nv" not in words(spec("true"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    few = words(spec("true", gpus=2))
    assert "--nv" in few
    assert "export CUDA_VISIBLE_DEVICES=4,5" in few
    assert "export CUDA_VISIBLE_DEVICES=3,GPU-5c3d" in words(
        spec("true", gpu_ids=("3", "GPU-5c3d"))
    )


def test_an_old_version_is_an_error_that_names_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "singularity"
    old.write_text("#!/bin/sh\necho '  --containall'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EvaluationError, match="singularity is too old"):
        connect("apptainer")
