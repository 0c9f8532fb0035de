"""What a rule has done on this machine, around its job."""

from __future__ import annotations

import os

from workflows import Workflow, ctrl_c, until

AROUND = """
rule one:
    output: "{x}.record"
    params: word="told"
    resources:
        lepton_before="test ! -e {wildcards.x}.made || {{ touch {output}; exit 100; }}; @before@",
        lepton_job="{wildcards.x}.json",
        lepton_then="cp {wildcards.x}.made {output}; echo $LEPTON_EXIT_CODE:$LEPTON_PROBLEM >end",
    shell: "not this"
"""
WRITES = """echo '{{\\"command\\": \\"cp /tmp/w-in /tmp/w-made; exit @code@\\",
 \\"image\\": \\"own/image\\", \\"inputs\\": {{\\"word\\": \\"/tmp/w-in\\"}},
 \\"outputs\\": {{\\"a.made\\": \\"/tmp/w-made\\"}}}}' >{wildcards.x}.json"""


def around(code: int = 0) -> str:
    return AROUND.replace("@before@", WRITES.replace("\n", "").replace("@code@", str(code)))


def test_lepton_before_writes_the_job_and_lepton_then_makes_the_output(
    workflow: Workflow,
) -> None:
    (workflow.directory / "word").write_text("hello")
    run = workflow.write(around()).run("a.record")
    assert run.code == 0, run.output
    assert workflow.read("a.record") == "hello"
    assert workflow.read("end") == "0:\n"
    assert workflow.lepton.jobs[0].spec["container"]["image"] == "own/image"


def test_existing_outputs_need_no_job(workflow: Workflow) -> None:
    (workflow.directory / "a.made").write_text("before")
    run = workflow.write(around()).run("a.record")
    assert run.code == 0, run.output
    assert workflow.lepton.jobs == []


def test_lepton_then_receives_a_failure(workflow: Workflow) -> None:
    (workflow.directory / "word").write_text("hello")
    run = workflow.write(around(7)).run("a.record")
    assert run.code == 1
    assert workflow.read("end") == "7:its command ended with exit code 7\n"


def test_a_command_before_that_fails_fails_the_job(workflow: Workflow) -> None:
    run = workflow.write(AROUND.replace("@before@", "echo no luck; exit 3")).run("a.record")
    assert run.code == 1
    assert "lepton_before exited with 3" in run.output
    assert "no luck" in run.output
    assert workflow.lepton.jobs == []


HERE = """
rule one:
    output: "x"
    resources: lepton_here=True
    shell: "@; echo $PPID >{output}"
"""


def test_a_job_can_run_on_this_machine(workflow: Workflow) -> None:
    run = workflow.write(HERE.replace("@", "true")).run()
    assert run.code == 0, run.output
    assert workflow.lepton.jobs == []
    run = workflow.write(HERE.replace("@", "echo broken; exit 4")).run("--forceall")
    assert run.code == 1
    assert "on this machine ended with exit code 4" in run.output


def test_ctrl_c_ends_a_job_on_this_machine(workflow: Workflow) -> None:
    place = workflow.directory / "pid"
    head = workflow.write(HERE.replace("@", f"echo $$ >{place}; sleep 1800")).start()
    until(lambda: place.exists() and place.read_text() != "", "the command")
    ctrl_c(head)
    assert not os.path.exists(f"/proc/{place.read_text().strip()}")  # noqa: PTH110


def test_commands_on_this_machine_learn_the_node_group_and_the_cap_of_inputs(
    workflow: Workflow,
) -> None:
    say = "echo $LEPTON_NODE_GROUP $LEPTON_INPUT_CAP"
    options = ("--lepton-node-group", "h100")
    assert workflow.write(HERE.replace("@", f"{say} >told")).run(*options).code == 0
    assert workflow.read("told") == f"h100 {512 * 1024}\n"
    run = workflow.write(AROUND.replace("@before@", f"{say} >before; exit 3")).run(
        "a.record", *options
    )
    assert run.code == 1
    assert workflow.read("before") == f"h100 {512 * 1024}\n"
