"""What returns by the log if a job has more files than the log takes."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import uuid
from pathlib import Path, PurePosixPath

import pytest

from snakemake_executor_plugin_lepton.errors import TransportError
from snakemake_executor_plugin_lepton.options import Choice
from snakemake_executor_plugin_lepton.receipt import Receipt
from snakemake_executor_plugin_lepton.script import render
from snakemake_executor_plugin_lepton.service import Service
from snakemake_executor_plugin_lepton.transport import Place
from snakemake_executor_plugin_lepton.transport.log import LogTransport
from workflows import Workflow


@pytest.fixture
def log_way(service: Service) -> LogTransport:
    return LogTransport(service, 3500)


@pytest.mark.parametrize("shell", [["sh"], ["bash"], ["busybox", "sh"]])
def test_of_too_many_files_scores_come_first_then_others_as_they_fit_and_no_caches(
    tmp_path: Path, log_way: LogTransport, shell: list[str]
) -> None:
    if not shutil.which(shell[0]):
        pytest.skip(f"no {shell[0]}")
    work = tmp_path / "work"
    command = (
        "mkdir -p 'out/a b' out/cache; echo 1 >'out/a b/score 1.json';"
        " head -c 900 /dev/urandom >out/small; head -c 1500 /dev/urandom >out/samples;"
        " head -c 9000 /dev/urandom >out/large; head -c 500 /dev/urandom >out/cache/x"
    )
    choice = Choice((f"{work}/out/*score 1.json",), (f"{work}/out/cache/*",))
    receipt, names = sent(shell, command, work, log_way, choice)
    assert names == ["out/a b/score 1.json", "out/samples", "out/small"]
    assert (receipt.exit, receipt.left) == (0, 1)
    receipt, names = sent(shell, f"{command}; exit 3", work, log_way, choice)
    # What a failed job resumes from comes last: it would be the first to lack room.
    assert names == ["out/a b/score 1.json", "out/samples", "out/small"]
    assert (receipt.exit, receipt.left) == (3, 2)


def test_scores_that_do_not_fit_fail_with_the_size_and_the_harness_exit_code(
    tmp_path: Path, log_way: LogTransport
) -> None:
    command = "mkdir out; head -c 9000 /dev/urandom >out/score"
    work = tmp_path / "work"
    receipt, names = sent(["sh"], command, work, log_way, Choice((f"{work}/out/score",)), code=1)
    assert names == []
    assert (receipt.exit, receipt.left) == (0, 0)
    assert receipt.size > 9000
    place = Place("key", "job", 1)
    with pytest.raises(TransportError, match="bytes packed, and a log takes 3500") as caught:
        log_way.fetch(place, receipt, tmp_path / "x")
    assert not caught.value.passes


def sent(
    shell: list[str],
    command: str,
    work: Path,
    transport: LogTransport,
    choice: Choice,
    code: int | None = None,
) -> tuple[Receipt, list[str]]:
    """Run a job's script; return its receipt, and the files that it sent."""
    shipment = transport.ship("key", None, choice)
    script = render(
        command=command, work=PurePosixPath(work), box=PurePosixPath(f"{work}.box"),
        fetch=shipment.fetch, send=shipment.send, outputs=[PurePosixPath(work / "out")],
        runtime=None,
    )  # fmt: skip
    done = subprocess.run([*shell, "-c", script], capture_output=True, text=True, check=False)
    lines = [line.split(" ", 3) for line in done.stdout.splitlines() if line.startswith("@@smk")]
    receipt = Receipt.parse(lines[-1][3])
    assert receipt is not None, done.stdout + done.stderr
    assert done.returncode == (receipt.exit if code is None else code)
    if len(lines) == 1:
        return receipt, []
    packed = base64.b64decode("".join(line[3] for line in lines[:-1]))
    assert (len(packed), hashlib.sha256(packed).hexdigest()) == (receipt.size, receipt.sha256)
    root = str(work).lstrip("/") + "/"
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return receipt, sorted(name.removeprefix(root) for name in archive.getnames())


def test_a_result_that_does_not_fit_is_not_computed_twice(workflow: Workflow) -> None:
    rule = 'rule big:\n    output: "big"\n    shell: "head -c 3000 /dev/urandom >{output}"\n'
    run = workflow.write(rule).run("--lepton-log-cap", "2", "--retries", "2")
    assert run.code == 1
    assert "files return through the jobs' logs, at most 2 KiB" in run.output.split("rule big")[0]
    assert "another attempt would fail like the last one: its files have" in run.output
    assert len(workflow.lepton.jobs) == 1


def test_a_resume_point_that_does_not_fit_is_left_out(workflow: Workflow) -> None:
    (workflow.directory / "cache").write_bytes(os.urandom(600_000))
    place = f"/tmp/{uuid.uuid4().hex}"
    rule = (
        f'rule one:\n    output: "x"\n    resources: lepton_inputs="cache={place}", '
        f'lepton_outputs="cache={place}"\n    shell: "test ! -e {place}; echo 1 >{{output}}"\n'
    )
    run = workflow.write(rule).run()
    assert run.code == 0, run.output
    assert "starts from the beginning: what it would resume from has 600" in run.output
