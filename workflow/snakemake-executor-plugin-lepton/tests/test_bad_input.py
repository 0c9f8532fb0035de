"""Bad input: a sentence each, before a job where that is possible, and never a traceback."""

from __future__ import annotations

import re

import pytest

from workflows import HUNG, Workflow, until

ONE = 'rule one:\n    output: "x"\n    @\n'
SHELL = 'shell: "echo 1 >{output}"'


def refused(workflow: Workflow, rule: str, *options: str) -> str:
    workflow.write(ONE.replace("@", rule.replace("\n", "\n    ")))
    # The head does not wait for the next poll before it ends.
    run = workflow.run(*options, "--seconds-between-status-checks", "300")
    assert run.code == 1
    assert "Traceback" not in run.output
    assert workflow.lepton.asked("POST /jobs") == []
    return run.output


BAD = {
    'run: print("x")': "`run:` requires Snakemake in the container",
    'script: "x.py"': "`script:` requires Snakemake in the container",
    'shadow: "full"': "`shadow:` is not supported",
    'benchmark: "b.tsv"': "`benchmark:` is not supported",
    'resources: lepton_env="A B"': "lepton_env: 'A' is not NAME=value",
    'resources: lepton_mounts="shared=/x"': "is not SOURCE[/sub/path]=/mount/path",
    'resources: lepton_mounts="node-nfs:no=/x"': "there is no volume 'node-nfs:no'",
    'resources: lepton_mounts="node-local=/usr"': "is reserved by Lepton",
    'resources: lepton_outputs="x=y"': "is not PATH=/container/path",
    'resources: lepton_resource_shape="gpu.9"': "no resource shape 'gpu.9'",
    "resources: gpu=16": "no resource shape has 16 GPUs",
    'resources: lepton_env="A=1", lepton_secrets="A"': "in its environment and in",
}


def test_rules_that_cannot_run_have_a_reason_and_do_not_stop_the_others(workflow: Workflow) -> None:
    (workflow.directory / "x.py").touch()
    rules = [f'rule all:\n    input: "good", expand("{{n}}", n=range({len(BAD)}))']
    rules.append(f'rule good:\n    output: "good"\n    {SHELL}')
    for number, lines in enumerate(BAD):
        command = "" if lines.startswith(("run:", "script:")) else SHELL
        rules.append(f'rule bad{number}:\n    output: "{number}"\n    {lines}\n    {command}')
    run = workflow.write("\n".join(rules)).run("--keep-going")
    assert run.code == 1
    assert "Traceback" not in run.output
    assert workflow.read("good") == "1\n"
    assert len(workflow.lepton.jobs) == 1
    told = re.findall(r"Error in rule bad(\d+):\n +message: Lepton: (.*)", run.output)
    assert sorted(int(number) for number, _ in told) == [*range(len(BAD))]
    assert [text for n, text in told if [*BAD.values()][int(n)] not in text] == []


def test_a_missing_input_is_reported(workflow: Workflow) -> None:
    assert "Missing input files" in refused(workflow, f'input: "lacking"\n{SHELL}')


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--lepton-image", ""], "it has no container image"),
        (["--lepton-transport", "pigeon"], "it is one of auto, s3, mount, log"),
        (["--lepton-workspace", "other"], "no workspace other"),
    ],
)  # fmt: skip
def test_an_invalid_setting_is_reported(workflow: Workflow, options: list[str], says: str) -> None:
    if "other" in options:
        workflow.env["LEPTON_WORKSPACE_URL"] = workflow.lepton.url.replace("standin", "other")
    assert says in refused(workflow, SHELL, *options)


#: In a Snakefile: this machine has no login.
NO_LOGIN = """\
from pathlib import Path
from leptonai.api.v2 import workspace_record
record = workspace_record.WorkspaceRecord
record.WORKSPACE_FILE = Path("absent")
record._singleton_record = workspace_record._LocalWorkspaceRecord()
"""


def test_without_credentials_it_says_how_to_log_in(workflow: Workflow) -> None:
    def said() -> str:
        run = workflow.write(NO_LOGIN + ONE.replace("@", SHELL)).run()
        assert run.code == 1
        assert "Traceback" not in run.output
        return run.output

    workflow.env["LEPTON_WORKSPACE_TOKEN"] = ""
    assert "There is no token for" in said()
    workflow.env["LEPTON_WORKSPACE_ID"] = ""
    assert "No Lepton workspace is known. Log in with `lep login" in said()
    assert workflow.lepton.requests == []


def test_an_expired_token_is_reported_before_the_first_job(workflow: Workflow) -> None:
    workflow.env["LEPTON_WORKSPACE_TOKEN"] = "expired"
    assert "the token is wrong or has expired" in refused(workflow, SHELL)


def test_a_token_that_expires_while_jobs_run_loses_none(workflow: Workflow) -> None:
    done = workflow.directory / "done"
    wait = f"until [ -e {done} ]; do sleep 0.1; done"
    workflow.write(ONE.replace("@", f'shell: "{wait}; echo 1 >{{output}}"'))
    head = workflow.start()
    until(lambda: any(job.starts for job in workflow.lepton.jobs), "a running job")
    token, workflow.lepton.workspace.token = workflow.lepton.workspace.token, "new"
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 1
    assert "Run the same command to continue with them" in output
    workflow.lepton.workspace.token = token
    done.touch()
    run = workflow.run()
    assert run.code == 0, run.output
    assert [job.starts for job in workflow.lepton.jobs] == [1]


def test_a_paused_workspace_is_reported(workflow: Workflow) -> None:
    workflow.lepton.workspace.state = "paused"
    assert "The workspace standin is paused" in refused(workflow, SHELL)


def test_an_image_that_cannot_be_pulled_is_detected_by_the_events(workflow: Workflow) -> None:
    run = workflow.write(ONE.replace("@", SHELL)).run(
        "--lepton-image", "missing/image", timeout=HUNG
    )
    assert run.code == 1
    assert "its image cannot be pulled (ErrImagePull" in run.output
    assert workflow.lepton.alive == []


def test_a_job_that_outlives_its_runtime_without_ending_is_stopped_from_outside(
    workflow: Workflow,
) -> None:
    rule = "resources: runtime=1\n    shell: \"trap '' TERM; sleep 1800\""
    workflow.lepton.workspace.stop_grace = 1
    run = workflow.write(ONE.replace("@", rule)).run("--lepton-runtime-grace=-59")
    assert run.code == 1
    assert "it ran longer than its runtime of 1 minutes" in run.output
    assert workflow.lepton.alive == []


def test_settings_that_the_workspace_refuses_are_the_reason_of_each_job_and_nothing_starts(
    workflow: Workflow,
) -> None:
    rules = (
        'rule all:\n    input: "1", "2"\n'
        'rule first:\n    output: "0"\n    resources: lepton_here=1\n    shell: "touch {output}"\n'
        'rule second:\n    input: "0"\n    output: "1"\n    shell: "echo 1 >{output}"\n'
        'rule third:\n    output: "2"\n    shell: "echo 2 >{output}"\n'
    )
    run = workflow.write(rules).run("--keep-going", "--lepton-node-group", "h200")
    assert run.code == 1
    told = re.findall(r"Error in rule (\w+):\n +message: Lepton: (.*?)\. ", run.output)
    assert sorted(name for name, _ in told) == ["first", "third"]
    assert {text for _, text in told} == {"there is no node group 'h200'; there are: cpu, h100"}
    assert not (workflow.directory / "0").exists()
    assert workflow.lepton.asked("POST") == []
