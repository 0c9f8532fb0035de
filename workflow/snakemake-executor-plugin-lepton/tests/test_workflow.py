"""An ordinary workflow, in containers: several inputs and outputs, directories, a failing rule."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from standin import StandIn
from workflows import HUNG, Workflow

#: Any with a shell and tar, and any with Python.
BUSYBOX = os.environ.get("LEPTON_TEST_BUSYBOX", "snakeval-testbed/busybox:latest")
PYTHON = os.environ.get("LEPTON_TEST_PYTHON", "snakeval-testbed/python:3.11-slim")

SNAKEFILE = f"""
samples = ["a", "b"]
rule all:
    input: "report.txt", expand("plots/{{sample}}", sample=samples)
rule split:
    input: "in/{{sample}}.txt"
    output: odd="split/{{sample}}.odd", even="split/{{sample}}.even"
    log: "logs/split/{{sample}}.log"
    container: "docker://{PYTHON}"
    threads: 2
    resources: mem_mb=500, runtime=5, lepton_env="GREETING='good day'"
    shell:
        \"\"\"
        python3 -c 'import sys
for n, line in enumerate(open(sys.argv[1])):
    open(sys.argv[2 + n % 2], "a").write(line)' {{input}} {{output.even}} {{output.odd}} 2>{{log}}
        echo "$GREETING, {{wildcards.sample}}: {{threads}} threads" >>{{log}}
        \"\"\"
rule plot:
    input: rules.split.output
    output: directory("plots/{{sample}}")
    container: "{BUSYBOX}"
    shell: "mkdir {{output}}; for i in {{input}}; do wc -l <$i >{{output}}/$(basename $i); done"
rule report:
    input: expand("split/{{sample}}.{{kind}}", sample=samples, kind=["odd", "even"])
    output: "report.txt"
    resources: lepton_image="{BUSYBOX}", lepton_command="ls split | wc -l >report.txt"
    shell: "not this one"
rule fails:
    output: "never.txt"
    log: "logs/fails.log"
    container: "{BUSYBOX}"
    shell: "echo told >{{log}}; echo half >{{output}}; exit 3"
"""


def _has_images() -> bool:
    if not shutil.which("docker"):
        return False
    asked = ["docker", "image", "inspect", BUSYBOX, PYTHON]
    return subprocess.run(asked, capture_output=True, timeout=HUNG, check=False).returncode == 0


pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not _has_images(), reason="needs a Docker engine and the testbed's images"),
]


@pytest.fixture
def lepton() -> Iterator[StandIn]:
    with StandIn("docker") as standin:
        yield standin


def test_an_ordinary_workflow_runs_in_its_containers(workflow: Workflow) -> None:
    inputs = Path(workflow.directory / "in")
    inputs.mkdir()
    for sample in "ab":
        (inputs / f"{sample}.txt").write_text("1\n2\n3\n")
    run = workflow.write(SNAKEFILE).run()
    assert run.code == 0, run.output
    assert workflow.read("report.txt").strip() == "4"
    assert workflow.read("split/a.odd") == "2\n"
    assert workflow.read("plots/b/b.even") == "2\n"
    assert workflow.read("logs/split/a.log") == "good day, a: 2 threads\n"
    shapes = {job.metadata["labels"]["snakemake-rule"]: job.spec["resource_shape"]
              for job in workflow.lepton.jobs}  # fmt: skip
    assert shapes == {"split": "cpu.small", "plot": "cpu.small", "report": "cpu.small"}
    assert "Nothing to be done" in workflow.run().output
    assert workflow.lepton.alive == []


def test_a_failing_rule_loses_its_output_and_keeps_its_log(workflow: Workflow) -> None:
    run = workflow.write(SNAKEFILE).run("never.txt")
    assert run.code == 1
    assert "its command ended with exit code 3" in run.output
    assert workflow.read("logs/fails.log") == "told\n"
    assert not (workflow.directory / "never.txt").exists()


def test_a_missing_image_is_reported(workflow: Workflow) -> None:
    rule = (
        'rule one:\n    output: "x"\n    container: "no/such:image"\n    shell: "touch {output}"\n'
    )
    run = workflow.write(rule).run()
    assert run.code == 1
    assert re.search(r"its image cannot be pulled \(ErrImagePull, \d+ times\)", run.output)
