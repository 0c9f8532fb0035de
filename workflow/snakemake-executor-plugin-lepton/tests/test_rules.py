"""The ten rules of the service's contract, each with what it is good for.

Long because the ten rules are one contract.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

import pytest
from leptonai.api.v2.types.common import Metadata
from leptonai.api.v2.types.deployment import LeptonContainer
from leptonai.api.v2.types.job import LeptonJob, LeptonJobUserSpec

from snakemake_executor_plugin_lepton import identity
from snakemake_executor_plugin_lepton.errors import ServiceError
from snakemake_executor_plugin_lepton.service import Service
from snakemake_executor_plugin_lepton.spec import Workspace
from standin import Fault, StandIn
from workflows import HUNG, Workflow, until

ONE = """
rule one:
    output: "one.txt"
    shell: "echo 1 > {output}"
"""


def sleepers(number: int, seconds: int) -> str:
    return f"""
rule all:
    input: expand("{{n}}.txt", n=range({number}))
rule sleeper:
    output: "{{n}}.txt"
    shell: "sleep {seconds}; echo {{wildcards.n}} > {{output}}"
"""


def waiting(number: int, workflow: Workflow) -> str:
    """Jobs that end as soon as the file `done` is in the workflow's directory."""
    until_done = f"until [ -e {workflow.directory}/done ]; do sleep 0.2; done"
    return sleepers(number, 0).replace("sleep 0", until_done)


def a_job(name: str = "smk-a-0123456789", key: str = "k", run: str = "r") -> LeptonJob:
    spec = LeptonJobUserSpec(
        resource_shape="cpu.small",
        container=LeptonContainer(image="any/image", command=["sleep", "60"]),
    )
    return LeptonJob(
        metadata=Metadata(name=name, labels=identity.labels(run, key, 1, "a")), spec=spec
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workflow]:
    """A workflow of one job that has ended well."""
    with StandIn("process") as lepton:
        workflow = Workflow(tmp_path_factory.mktemp("done"), lepton).write(ONE)
        assert workflow.run().code == 0
        yield workflow


# 1. Names and labels


@pytest.mark.parametrize("rule", ["a", "Evaluate_Model", "x" * 80, "9lives", "trailing-"])
def test_rule_1_names_are_lower_case_and_at_most_36_long(rule: str) -> None:
    name = identity.job_name("smk", rule, "run", "job", 1)
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,34}[a-z0-9]", name)
    assert name != identity.job_name("smk", rule, "run", "job", 2)


def test_rule_1_a_job_has_its_run_and_its_hash_as_labels(done: Workflow) -> None:
    (job,) = done.lepton.jobs
    assert job.metadata["name"].startswith("smk-one-")
    assert job.metadata["labels"][identity.RUN] == done.read(".snakemake/lepton/run-id").strip()
    assert len(job.metadata["labels"][identity.JOB]) == 32
    assert job.metadata["labels"][identity.ATTEMPT] == "1"


# 2. Nothing is created twice


@pytest.mark.parametrize("when", ["drop", "after", "before"])
def test_rule_2_a_create_with_a_lost_answer_is_looked_up_before_the_next(
    service: Service, lepton: StandIn, when: str
) -> None:
    lepton.faults.add(Fault("POST /jobs", when=when))
    made = service.create(a_job(), identity.selector("r", "k"))
    assert [job.id for job in lepton.alive] == [made.metadata.id_]
    order = [request.split("?")[0] for request in lepton.asked("/jobs")]
    assert order[:2] == ["POST /jobs", "GET /jobs"]
    assert order.count("POST /jobs") == (2 if when == "before" else 1)


def test_rule_2_a_duplicate_of_a_late_request_is_deleted(workflow: Workflow) -> None:
    workflow.lepton.workspace.capacity = 1
    head = workflow.write(waiting(1, workflow)).start()
    until(lambda: len(workflow.lepton.alive) == 1, "the job")
    (job,) = workflow.lepton.alive
    double = workflow.lepton.workspace.jobs.create(
        {"metadata": dict(job.metadata), "spec": job.spec}
    )
    until(lambda: double.archived, "the end of the duplicate")
    (workflow.directory / "done").touch()
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output
    assert double.archived
    assert "a duplicate of" in output
    assert workflow.lepton.alive == []


# 3. A lost head


def test_rule_3_the_next_head_continues_with_eight_live_jobs(workflow: Workflow) -> None:
    head = workflow.write(waiting(8, workflow)).start()
    until(lambda: sum(job.starts for job in workflow.lepton.jobs) == 8, "eight running jobs")
    os.killpg(head.pid, signal.SIGKILL)
    head.communicate()
    workflow.unlock()
    head = workflow.start()
    # One empty page for each job of the first head, and a page and an empty one of the second.
    until(lambda: len(workflow.lepton.asked(identity.TARGET)) >= 24, "a look for each job")
    looks = len(workflow.lepton.asked(r"GET /jobs\?"))
    until(lambda: len(workflow.lepton.asked(r"GET /jobs\?")) > looks, "the next head's poll")
    (workflow.directory / "done").touch()
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output
    assert output.count("continues with smk-sleeper-") == 8
    assert [job.starts for job in workflow.lepton.jobs] == [1] * 8
    assert workflow.lepton.alive == []


def test_rule_3_the_next_head_collects_what_finished_without_it(workflow: Workflow) -> None:
    head = workflow.write(waiting(2, workflow)).start()
    until(lambda: sum(job.starts for job in workflow.lepton.jobs) == 2, "two running jobs")
    os.killpg(head.pid, signal.SIGKILL)
    head.communicate()
    (workflow.directory / "done").touch()
    until(lambda: all(job.state == "Completed" for job in workflow.lepton.jobs), "their end")
    workflow.unlock()
    run = workflow.run()
    assert run.code == 0, run.output
    assert run.output.count("collects smk-sleeper-") == 2
    assert len(workflow.lepton.jobs) == 2
    assert workflow.read("1.txt") == "1\n"


def test_rule_3_a_job_of_another_definition_is_not_adopted(workflow: Workflow) -> None:
    head = workflow.write(sleepers(1, 60)).start()
    until(lambda: any(job.starts for job in workflow.lepton.jobs), "a running job")
    os.killpg(head.pid, signal.SIGKILL)
    head.communicate()
    workflow.unlock()
    workflow.write(sleepers(1, 0))
    run = workflow.run()
    assert run.code == 0, run.output
    assert len(workflow.lepton.jobs) == 2
    assert workflow.lepton.alive == []  # the old one, that nothing asks for, among them


# 4. Polling


def test_rule_4_a_poll_is_one_list_for_all_jobs(workflow: Workflow) -> None:
    run = workflow.write(sleepers(8, 1)).run()
    assert run.code == 0, run.output
    lists = workflow.lepton.asked(r"GET /jobs\?")
    assert all("job_query_mode=alive_and_archive" in request for request in lists)
    assert all(f"query={identity.RUN}%3D" in request for request in lists)
    assert workflow.lepton.asked(r"GET /jobs/[^/?]+(\?|$)") == []


def test_rule_4_more_than_a_page_of_jobs_is_read_by_pages(
    service: Service, lepton: StandIn
) -> None:
    lepton.workspace.capacity = 0
    for number in range(501):
        lepton.workspace.jobs.create(
            {"metadata": {"name": f"n{number}", "labels": {identity.RUN: "r"}}, "spec": {}}
        )
    assert len(service.jobs(identity.selector("r"))) == 501
    assert len(lepton.asked("GET /jobs")) == 3
    lepton.workspace.page_cap = 200  # less than the client asks for
    assert len(service.jobs(identity.selector("r"))) == 501


@pytest.mark.parametrize(("status", "headers"), [(429, {"Retry-After": "7"}), (503, {})])
def test_rule_4_a_rejected_poll_is_retried_later(
    lepton: StandIn, monkeypatch: pytest.MonkeyPatch, status: int, headers: dict[str, str]
) -> None:
    for name, value in lepton.environment.items():
        monkeypatch.setenv(name, value)
    slept: list[float] = []
    service = Service(sleep=slept.append)
    lepton.faults.add(Fault("GET /jobs", status=status, headers=headers, times=2))
    assert service.jobs(identity.selector("r")) == []
    assert len(slept) == 2
    assert (min(slept) >= 7) == (status == 429)


def test_rule_4_an_outage_of_the_service_fails_no_job(workflow: Workflow) -> None:
    head = workflow.write(waiting(1, workflow)).start()
    until(lambda: any(job.starts for job in workflow.lepton.jobs), "a running job")
    workflow.lepton.faults.add(outage := Fault("GET ", status=503, times=2))
    until(lambda: outage.times == 0, "two requests without an answer")
    (workflow.directory / "done").touch()
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output


def test_rule_4_a_job_in_an_unknown_state_stays_live(workflow: Workflow) -> None:
    head = workflow.write(waiting(1, workflow)).start()
    until(lambda: bool(workflow.lepton.jobs), "a job")
    (job,) = workflow.lepton.jobs
    job.shown = "Pondering"
    looks = len(workflow.lepton.asked(r"GET /jobs\?"))
    until(lambda: len(workflow.lepton.asked(r"GET /jobs\?")) > looks + 1, "two polls")
    (workflow.directory / "done").touch()
    until(lambda: job.state == "Completed", "its end")
    job.shown = None
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output


def test_rule_4_a_job_in_an_unknown_state_that_has_sent_its_files_is_done(
    workflow: Workflow,
) -> None:
    workflow.lepton.workspace.jobs.show("Pondering")
    run = workflow.write(ONE).run("--lepton-unknown-grace", "1")
    assert run.code == 0, run.output
    assert workflow.lepton.alive == []


def test_rule_4_a_state_that_stays_unknown_fails_the_job(workflow: Workflow) -> None:
    head = workflow.write(sleepers(1, 60)).start("--lepton-unknown-grace", "1")
    until(lambda: bool(workflow.lepton.jobs), "a job")
    workflow.lepton.jobs[0].shown = ""
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 1
    assert "a state that this plugin does not know" in output
    assert workflow.lepton.alive == []


def test_rule_4_a_job_that_one_list_leaves_out_is_looked_up_itself(workflow: Workflow) -> None:
    head = workflow.write(waiting(1, workflow)).start()
    until(lambda: any(job.starts for job in workflow.lepton.jobs), "a running job")
    workflow.lepton.faults.add(Fault(r"GET /jobs\?", status=200, body='{"jobs":[]}', times=2))
    until(lambda: len(workflow.lepton.asked(r"GET /jobs/[^/?]+\?")) == 2, "two looks at the job")
    (workflow.directory / "done").touch()
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output
    assert len(workflow.lepton.asked(r"GET /jobs/[^/?]+\?")) == 2


def test_rule_4_a_job_that_is_gone_twice_has_failed(workflow: Workflow) -> None:
    head = workflow.write(sleepers(1, 6)).start("--lepton-patience", "1")
    until(lambda: any(job.starts for job in workflow.lepton.jobs), "a running job")
    workflow.lepton.workspace.jobs.vanish(workflow.lepton.jobs[0])
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 1
    assert "Its last state was gone" in output


# 5. Keeping and deleting


def test_rule_5_a_finished_job_is_kept_for_three_days_and_deleted_when_collected(
    done: Workflow,
) -> None:
    (job,) = done.lepton.jobs
    assert job.spec["ttl_seconds_after_finished"] == 259200
    assert job.archived
    assert done.lepton.asked("DELETE /jobs/") == [
        f"DELETE /jobs/{job.id}?job_query_mode=alive_only"
    ]


def test_rule_5_an_expired_job_is_judged_by_its_successful_parts(workflow: Workflow) -> None:
    workflow.lepton.workspace.ttl_scale = 0
    run = workflow.write(ONE).run()
    assert run.code == 0, run.output


# 6. Retries


def test_rule_6_snakemake_alone_decides_about_retries(workflow: Workflow) -> None:
    run = workflow.write('rule one:\n    output: "x"\n    shell: "exit 3"\n').run("--retries", "1")
    assert run.code == 1
    assert [job.starts for job in workflow.lepton.jobs] == [1, 1]
    assert {job.spec["max_failure_retry"] for job in workflow.lepton.jobs} == {0}
    assert {job.spec["max_job_failure_retry"] for job in workflow.lepton.jobs} == {0}
    assert [job.metadata["labels"][identity.ATTEMPT] for job in workflow.lepton.jobs] == ["1", "2"]


def test_rule_6_a_preempted_job_has_not_failed(workflow: Workflow) -> None:
    head = workflow.write(waiting(1, workflow)).start()
    until(lambda: any(job.state == "Running" for job in workflow.lepton.jobs), "a running job")
    workflow.lepton.workspace.jobs.preempt(workflow.lepton.jobs[0])
    until(lambda: workflow.lepton.jobs[0].starts == 2, "its second start")
    (workflow.directory / "done").touch()
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output
    assert [job.starts for job in workflow.lepton.jobs] == [2]


# 7. Failures


def test_rule_7_a_failure_has_state_exit_code_log_events_and_where_to_look(
    workflow: Workflow,
) -> None:
    command = "for i in $(seq 99); do echo line $i; done; exit 7"
    run = workflow.write(f'rule one:\n    output: "x"\n    shell: "{command}"\n').run()
    assert run.code == 1
    assert "its command ended with exit code 7. Its last state was Failed" in run.output
    assert "/compute/jobs/detail/smk-one-" in run.output
    shown = re.findall(r"^ +line (\d+)$", run.output, re.MULTILINE)
    assert shown[-1] == "99"
    assert 45 <= len(shown) <= 50
    logs = list(workflow.directory.glob(".snakemake/lepton/logs/one/*.log"))
    assert "line 1\n" in logs[0].read_text()


# 8. Endpoints


def test_rule_8_endpoints_stay_untouched(done: Workflow) -> None:
    assert done.lepton.asked("/(endpoints|deployments)") == []


# 9. Node groups


@pytest.mark.parametrize("named", ["h100", "ng-0a1b2c"])
def test_rule_9_the_name_of_a_node_group_is_sent_as_its_id_without_nodes(
    workflow: Workflow, named: str
) -> None:
    assert workflow.write(ONE).run("--lepton-node-group", named).code == 0
    assert workflow.lepton.jobs[0].spec["affinity"] == {
        "allowed_dedicated_node_groups": ["ng-0a1b2c"]
    }


def test_rule_9_an_unknown_node_group_is_an_error(workflow: Workflow) -> None:
    run = workflow.write(ONE).run("--lepton-node-group", "h200")
    assert run.code == 1
    assert "there is no node group 'h200'; there are: cpu, h100" in run.output
    assert workflow.lepton.jobs == []


# 10. Secrets


def test_rule_10_secrets_are_references_and_never_values(workflow: Workflow) -> None:
    workflow.lepton.workspace.secrets["hub"] = "s3cr3t"
    snakefile = 'rule one:\n    output: "x"\n    shell: "echo ${{#TOKEN}} > {output}"\n'
    run = workflow.write(snakefile).run("--lepton-secrets", "TOKEN=hub")
    assert run.code == 0, run.output
    assert workflow.read("x") == "6\n"
    (job,) = workflow.lepton.jobs
    assert {"name": "TOKEN", "value_from": {"secret_name_ref": "hub"}} in job.spec["envs"]
    everything = [run.output, str(job.as_json())]
    everything += [
        p.read_text(errors="replace") for p in workflow.directory.rglob("*") if p.is_file()
    ]
    for told in everything:
        assert "s3cr3t" not in told
        assert workflow.lepton.workspace.token not in told


def test_rule_10_a_declared_variable_must_be_a_secret(workflow: Workflow) -> None:
    workflow.env["TOKEN"] = "s3cr3t"
    run = workflow.write('envvars: "TOKEN"\n' + ONE).run()
    assert run.code == 1
    assert "name it in --lepton-secrets TOKEN" in run.output
    assert "s3cr3t" not in run.output


def test_rule_10_an_unknown_secret_is_an_error(service: Service, workflow: Workflow) -> None:
    run = workflow.write(ONE).run("--lepton-secrets", "TOKEN")
    assert run.code == 1
    assert "there is no secret 'TOKEN' in the workspace; create it: `lep secret" in run.output


def test_rule_10_a_secret_created_during_the_run_is_found(
    service: Service, lepton: StandIn
) -> None:
    workspace = Workspace(service)
    for name in ("first", "second"):
        lepton.workspace.secrets[name] = "value"
        workspace.check_secrets(["first", name])
    assert len(lepton.asked("GET /usersecrets")) == 2


def test_a_wrong_token_is_reported_without_a_retry(lepton: StandIn) -> None:
    lepton.workspace.token = "another"
    service = Service("standin:wrong-token", lepton.url)
    with pytest.raises(ServiceError, match="the token is wrong or has expired") as caught:
        service.check()
    assert caught.value.denied
    assert len(lepton.requests) == 1
