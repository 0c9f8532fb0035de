"""Files by way of the log, of a volume, and of a bucket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from snakemake_executor_plugin_lepton.service import Service
from snakemake_executor_plugin_lepton.transport import Place
from snakemake_executor_plugin_lepton.transport.log import LogTransport
from standin import Fault, StandIn
from workflows import HUNG, Workflow, until

CHAIN = """
rule all:
    input: "c.txt", "d"
rule a:
    output: "a.txt", "sub/b.txt"
    log: "logs/a.log"
    shell: "echo a >{output[0]}; echo b >{output[1]}; echo told >{log}"
rule c:
    input: "a.txt", "sub/b.txt"
    output: "c.txt"
    shell: "cat {input} >{output}"
rule d:
    input: "sub/b.txt"
    output: directory("d")
    shell: "mkdir {output}; cp {input} '{output}/with blank'"
"""
FAILS = """
rule one:
    output: "one.txt"
    log: "one.log"
    resources: lepton_outputs="cache=/tmp/@dir@/cache", lepton_inputs="cache=/tmp/@dir@/cache"
    shell:
        "mkdir -p /tmp/@dir@/cache; echo told >{log}; ls /tmp/@dir@/cache | wc -l >{output};"
        " touch /tmp/@dir@/cache/$(ls /tmp/@dir@/cache | wc -l); [ $(cat {output}) = 2 ]"
"""


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    env = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "s3cr3t",
        "AWS_DEFAULT_REGION": "us-east-1",
        "URL": f"http://127.0.0.1:{port}",
    }
    try:
        until(lambda: _listens(port), "the S3 server")
        _client(env).create_bucket(Bucket="bucket")
        yield env
    finally:
        server.terminate()
        server.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _client(env: dict[str, str]):  # type: ignore[no-untyped-def]
    return boto3.client(
        "s3", endpoint_url=env["URL"], region_name="us-east-1",
        aws_access_key_id="key", aws_secret_access_key="s3cr3t",
    )  # fmt: skip


@pytest.fixture(params=["log", "mount", "s3"])
def way(request: pytest.FixtureRequest, workflow: Workflow, s3: dict[str, str]) -> list[str]:
    if request.param == "log":
        return []
    if request.param == "s3":
        workflow.env = s3
        return [
            "--lepton-s3-prefix",
            "s3://bucket/some/where",
            "--lepton-s3-endpoint-url",
            s3["URL"],
        ]
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount")
    here = workflow.lepton.workspace.volume("node-nfs:shared") / "ex"
    here.mkdir()
    there = f"/tmp/{uuid.uuid4().hex}"
    return ["--lepton-mount", f"node-nfs:shared/ex={there}", "--lepton-mount-local", str(here)]


def test_inputs_outputs_logs_and_directories_are_transported(
    workflow: Workflow, way: list[str]
) -> None:
    run = workflow.write(CHAIN).run(*way)
    assert run.code == 0, run.output
    assert workflow.read("c.txt") == "a\nb\n"
    assert workflow.read("d/with blank") == "b\n"
    assert workflow.read("logs/a.log") == "told\n"


def test_the_files_of_a_failed_attempt_let_the_next_one_resume(
    workflow: Workflow, way: list[str]
) -> None:
    name = uuid.uuid4().hex
    run = workflow.write(FAILS.replace("@dir@", name)).run(*way, "--retries", "3")
    assert run.code == 0, run.output
    assert workflow.read("one.txt") == "2\n"
    assert len(workflow.lepton.jobs) == 3
    assert workflow.read("one.log") == "told\n"
    subprocess.run(["rm", "-rf", f"/tmp/{name}"], check=True)


def test_a_job_gets_signed_urls_without_credentials_and_leaves_no_files_in_transit(
    workflow: Workflow, s3: dict[str, str]
) -> None:
    workflow.env = s3
    options = ["--lepton-s3-prefix", "s3://bucket/empty", "--lepton-s3-endpoint-url", s3["URL"]]
    assert workflow.write(CHAIN).run(*options).code == 0
    assert all("s3cr3t" not in str(job.as_json()) for job in workflow.lepton.jobs)
    assert all("X-Amz-Signature" in str(job.spec["envs"]) for job in workflow.lepton.jobs)
    assert "Contents" not in _client(s3).list_objects_v2(Bucket="bucket", Prefix="empty")
    assert list(workflow.directory.glob(".snakemake/lepton/*box/*")) == []


def test_an_unwritable_s3_prefix_is_reported_before_the_first_job(
    workflow: Workflow, s3: dict[str, str]
) -> None:
    workflow.env = s3
    options = ["--lepton-s3-prefix", "s3://other/x", "--lepton-s3-endpoint-url", s3["URL"]]
    run = workflow.write(CHAIN).run(*options)
    assert run.code == 1
    assert "s3://other/x/ cannot be written" in run.output
    assert "Traceback" not in run.output
    assert workflow.lepton.jobs == []


def test_files_over_the_cap_of_the_log_are_reported(workflow: Workflow) -> None:
    rule = 'rule big:\n    output: "big"\n    shell: "head -c 3000 /dev/urandom >{output}"\n'
    run = workflow.write(rule).run("--lepton-log-cap", "2", "--lepton-patience", "1")
    assert run.code == 1
    assert "bytes packed, and a log takes 2048: use --lepton-s3-prefix" in run.output
    assert "Traceback" not in run.output


def test_inputs_over_the_cap_of_the_log_are_reported_before_the_job(workflow: Workflow) -> None:
    (workflow.directory / "in").write_bytes(os.urandom(600_000))
    rule = 'rule big:\n    input: "in"\n    output: "out"\n    shell: "cp {input} {output}"\n'
    run = workflow.write(rule).run()
    assert run.code == 1
    assert "input files have" in run.output
    assert workflow.lepton.jobs == []


def test_files_of_many_lines_come_back_by_the_log(workflow: Workflow) -> None:
    (workflow.directory / "in").write_bytes(content := os.urandom(400_000))
    rule = 'rule big:\n    input: "in"\n    output: "out"\n    shell: "cp {input} {output}"\n'
    run = workflow.write(rule).run()
    assert run.code == 0, run.output
    assert (workflow.directory / "out").read_bytes() == content


def test_lines_that_a_preempted_start_sent_do_not_count(
    service: Service, lepton: StandIn, tmp_path: Path
) -> None:
    lepton.workspace.capacity = 0
    job = lepton.workspace.jobs.create({"metadata": {"name": "smk-a"}})
    sent = ["1 QUFB", "2 QkJC", "3 Q0ND"]  # preempted; then another, with fewer lines
    sent += ["1 WFhY", "2 WVlZ", f"end exit=0 seconds=1 size=6 sha256={'0' * 64} lines=2"]
    job.past_lines = [(time.time_ns() + n, f"@@smk key {line}") for n, line in enumerate(sent)]
    transport, place = LogTransport(service, 1024), Place("key", job.id, time.time_ns())
    receipt = transport.receipt(place)
    assert receipt
    transport.fetch(place, receipt, tmp_path / "out.tgz")
    assert (tmp_path / "out.tgz").read_text() == "XXXYYY"


def test_a_lost_log_is_reported(workflow: Workflow) -> None:
    go = workflow.directory / "go"
    wait = f"while [ ! -e {go} ]; do sleep 0.1; done"
    rule = f'rule one:\n    output: "x"\n    shell: "{wait}; echo 1 >{{output}}"\n'
    head = workflow.write(rule).start("--lepton-patience", "1")
    until(lambda: bool(workflow.lepton.jobs), "a job")
    workflow.lepton.jobs[0].log_lost = True
    go.touch()
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 1
    assert "it completed, but its files did not come back" in output
    assert "Traceback" not in output


def test_the_plugin_waits_for_a_late_log(workflow: Workflow) -> None:
    rule = 'rule one:\n    output: "x"\n    shell: "echo 1 >{output}"\n'
    workflow.lepton.faults.add(Fault("GET /logs", status=200, body="{}", times=3))
    run = workflow.write(rule).run()
    assert run.code == 0, run.output
    assert workflow.read("x") == "1\n"
