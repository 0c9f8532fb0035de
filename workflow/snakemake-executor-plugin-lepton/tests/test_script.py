"""The script around a job's command, run by the shells that images have."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from snakemake_executor_plugin_lepton.archive import pack
from snakemake_executor_plugin_lepton.options import Mount, Transfer
from snakemake_executor_plugin_lepton.receipt import Receipt
from snakemake_executor_plugin_lepton.script import render
from snakemake_executor_plugin_lepton.transport import Place
from snakemake_executor_plugin_lepton.transport.mount import MountTransport
from workflows import HUNG

SHELLS = [
    ["sh"],
    ["bash"],
    pytest.param(
        ["busybox", "sh"], marks=pytest.mark.skipif(not shutil.which("busybox"), reason="busybox")
    ),
]


class Job:
    """A script with its files by way of a directory that is the same here and there."""

    def __init__(self, directory: Path) -> None:
        self.work = directory / "work"
        volume = directory / "volume"
        volume.mkdir()
        self.transport = MountTransport(Mount("node-local", "/", str(volume)), volume)
        self.archive = directory / "back.tgz"

    def script(self, command: str, runtime: int | None = None) -> str:
        shipment = self.transport.ship("key", None)
        return render(
            command=command,
            work=PurePosixPath(self.work),
            box=PurePosixPath(f"{self.work}.box"),
            fetch=shipment.fetch,
            send=shipment.send,
            outputs=[PurePosixPath(self.work / name) for name in ("out.txt", "sub/dir")],
            runtime=runtime,
        )

    def receipt(self) -> Receipt:
        place = Place("key", "job", 0)
        receipt = self.transport.receipt(place)
        assert receipt is not None
        if receipt.size:
            self.transport.fetch(place, receipt, self.archive)
        return receipt

    def names(self) -> list[str]:
        root = str(self.work).lstrip("/") + "/"
        with tarfile.open(self.archive) as archive:
            return [name.removeprefix(root) for name in archive.getnames()]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_command_runs_in_a_directory_of_its_own_and_its_files_are_sent(
    job: Job, shell: list[str]
) -> None:
    command = "pwd >out.txt; mkdir -p 'sub/dir'; echo \"it's $((1 + 1))\" >sub/dir/2"
    done = subprocess.run([*shell, "-c", job.script(command)], timeout=HUNG, check=False)
    assert done.returncode == 0
    assert job.receipt().exit == 0
    assert job.names() == ["out.txt", "sub/dir", "sub/dir/2"]
    assert not job.work.exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_files_of_a_failed_command_are_sent(job: Job, shell: list[str]) -> None:
    done = subprocess.run([*shell, "-c", job.script("echo 1 >out.txt; exit 3")], check=False)
    assert done.returncode == 3
    assert job.receipt().exit == 3
    assert job.names() == ["out.txt"]


@pytest.mark.parametrize("command", ["false; echo late >out.txt", "echo $unset >out.txt"])
def test_a_command_is_run_strictly_as_snakemake_does(job: Job, command: str) -> None:
    done = subprocess.run(["sh", "-c", job.script(command)], check=False, capture_output=True)
    assert done.returncode != 0
    assert job.receipt().exit == done.returncode


@pytest.mark.parametrize("shell", SHELLS)
def test_a_command_that_outlives_its_runtime_is_ended_and_its_files_are_sent(
    job: Job, shell: list[str]
) -> None:
    script = job.script("echo 1 >out.txt; sleep 1800", runtime=1)
    done = subprocess.run([*shell, "-c", script], timeout=HUNG, check=False)
    assert done.returncode == 124
    assert job.receipt().exit == 124
    assert job.names() == ["out.txt"]


def test_a_stopped_job_ends_its_command_and_still_sends_its_files(job: Job) -> None:
    process = subprocess.Popen(["sh", "-c", job.script("echo 1 >out.txt; sleep 1800")])
    while not (job.work / "out.txt").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(300) != 0
    assert job.receipt().exit != 0
    assert job.names() == ["out.txt"]


def test_without_a_file_to_send_there_is_a_receipt_alone(job: Job) -> None:
    subprocess.run(["sh", "-c", job.script("true")], check=True)
    receipt = job.receipt()
    assert (receipt.exit, receipt.size, receipt.sha256) == (0, 0, "-")


def test_inputs_that_cannot_be_unpacked_have_a_receipt_and_the_command_does_not_run(
    job: Job,
) -> None:
    script = job.script("echo 1 >out.txt").replace(
        "unpacked=1", "unpacked=1\nif ! tar -C /proc -xzf /dev/null; then unpacked=0; fi", 1
    )
    done = subprocess.run(["sh", "-c", script], timeout=HUNG, check=False)
    assert done.returncode == 1
    assert (job.receipt().exit, job.receipt().size) == (1, 0)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that any user may write to, as /tmp in an image."""
    with tempfile.TemporaryDirectory(prefix="lepton-") as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


@pytest.mark.parametrize(
    ("there", "code", "text"), [("@/in/f", 0, "hello"), ("/no-such-place/f", 1, "")]
)
def test_an_image_without_root_gets_inputs_in_a_writable_place_or_leaves_a_receipt(
    shared: Path, tmp_path: Path, there: str, code: int, text: str
) -> None:
    job = Job(shared)
    (tmp_path / "f").write_text("hello")
    remote = PurePosixPath(there.replace("@", str(shared)))
    pack([Transfer(tmp_path / "f", remote)], tmp_path / "in.tgz")
    shipment = job.transport.ship("key", tmp_path / "in.tgz")
    script = render(
        command=f"cat {remote} >out.txt",
        work=PurePosixPath(job.work),
        box=PurePosixPath(f"{job.work}.box"),
        fetch=shipment.fetch,
        send=shipment.send,
        outputs=[PurePosixPath(job.work / "out.txt")],
        runtime=None,
    )
    nobody: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []}
    user = nobody if os.geteuid() == 0 else {}
    done = subprocess.run(["sh", "-c", script], timeout=HUNG, check=False, cwd="/", **user)
    assert done.returncode == code
    assert job.receipt().exit == code
    if text:
        with tarfile.open(job.archive) as archive:
            assert archive.extractfile(archive.getnames()[0]).read().decode() == text  # type: ignore[union-attr]
