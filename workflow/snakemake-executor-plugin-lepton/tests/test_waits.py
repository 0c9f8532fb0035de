"""Jobs that do not start: why, by both vocabularies of events, and for how long they may wait."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from snakemake_executor_plugin_lepton import failure, options
from snakemake_executor_plugin_lepton.errors import TaskError
from snakemake_executor_plugin_lepton.executor import Executor
from snakemake_executor_plugin_lepton.service import Service
from snakemake_executor_plugin_lepton.spec import Workspace, _fits
from snakemake_executor_plugin_lepton.task import Needs
from standin import Fault, StandIn
from workflows import HUNG, Workflow

ONE = 'rule one:\n    output: "x"\n    @\n'
SHELL = 'shell: "echo 1 >{output}"'


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("ErrImagePull", "its image cannot be pulled (ErrImagePull, 3 times)"),
        ("InspectFailed", "the name of its image is not valid (InspectFailed, 3 times)"),
        ("ImageInspectError", "its image cannot be pulled (ImageInspectError, 3 times)"),
        ("CreateContainerError", "its container cannot start (a secret or a volume is missing) ("),
        ("Failed", "its image cannot be pulled, or its container cannot be created (Failed, 3"),
        ("BackOff", "its image cannot be pulled, or its container cannot be created (BackOff, "),
        ("FailedScheduling", ""),
    ],
)
def test_reasons_of_both_vocabularies_are_known_and_a_few_may_pass(reason: str, says: str) -> None:
    found = failure.hopeless(failure.warnings([("Warning", reason, 3), ("Normal", "Pulled", 9)]))
    assert found is None if not says else says in str(found)
    assert failure.hopeless({reason: 2}) is None


def test_the_finer_vocabulary_explains_and_all_warnings_count() -> None:
    counts = failure.warnings([("Warning", "Failed", 5), ("Warning", "ErrImagePull", 1)])
    assert failure.hopeless(counts) == "its image cannot be pulled (ErrImagePull, 1 times)"


def test_the_kubelets_events_of_an_image_that_cannot_be_pulled_are_known(
    workflow: Workflow,
) -> None:
    workflow.lepton.workspace.vocabulary = "kubelet"
    run = workflow.write(ONE.replace("@", SHELL)).run(
        "--lepton-image", "missing/image", timeout=HUNG
    )
    assert run.code == 1
    assert re.search(r"or its container cannot be created \((Failed|BackOff), \d+", run.output)
    assert workflow.lepton.alive == []


@pytest.mark.parametrize(
    ("state", "option", "says"),
    [
        ("Starting", "--lepton-start-limit", "it has been starting for 1 s"),
        ("Queueing", "--lepton-queue-limit", "it has waited for a node for 1 s"),
    ],
)
def test_a_job_that_does_not_run_is_limited(
    workflow: Workflow, state: str, option: str, says: str
) -> None:
    workflow.lepton.workspace.jobs.show(state)
    run = workflow.write(ONE.replace("@", 'shell: "sleep 1800"')).run(option, "1")
    assert run.code == 1
    assert says in run.output
    assert workflow.lepton.alive == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("high", "high-7000"), ("High", "high-7000"), ("high-9", "high-9000"), ("5", "mid-5000"),
        ("medium", "mid-4000"), ("mid-4000", "mid-4000"), ("low", "low-1000"), (None, None),
    ],
)  # fmt: skip
def test_a_priority_becomes_the_services_own_word(text: str | None, word: str | None) -> None:
    assert options.priority(text, "x") == word


@pytest.mark.parametrize("text", ["urgent", "high-2", "0", "highest", "mid-40000", "-"])
def test_an_unknown_priority_is_an_error(text: str) -> None:
    with pytest.raises(TaskError, match="is no priority; choose low, mid, high"):
        options.priority(text, "x")


def test_a_trailing_slash_of_the_workspace_url_does_no_harm(
    lepton: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in lepton.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LEPTON_WORKSPACE_URL", lepton.url + "/")
    Service(backoff=()).check()
    assert not lepton.asked("//")


@pytest.mark.parametrize(
    ("more", "fits"),
    [
        ({}, True),
        ({"accelerator_fraction": 0.5}, False),
        ({"accelerator_fraction": 1.0}, True),
        ({"listable_in": ["deployment"]}, False),
        ({"listable_in": ["deployment", "job"]}, True),
    ],
)
def test_the_smallest_shape_is_a_whole_one_that_is_listed_for_jobs(
    service: Service, lepton: StandIn, more: dict[str, Any], fits: bool
) -> None:
    spec = {"name": "gpu.1", "cpu": 1, "memory_in_mb": 1000, "accelerator_num": 1, **more}
    shapes = [{"metadata": {"id": "gpu.1", "name": "gpu.1"}, "spec": spec}]
    lepton.faults.add(Fault("GET /shapes", status=200, body=json.dumps(shapes)))
    needs = Needs(gpu=1, gpu_model=None, threads=1, mem_mb=0)
    if fits:
        assert Workspace(service).shape(None, needs, None) == "gpu.1"
        return
    with pytest.raises(TaskError, match="no resource shape has 1 GPUs"):
        Workspace(service).shape(None, needs, None)


@pytest.mark.parametrize(
    ("dedicated", "group", "fits"),
    [(True, None, False), (True, "ng-1", True), (False, None, True), (None, None, True)],
)
def test_a_shape_of_dedicated_node_groups_only_needs_a_node_group(
    dedicated: bool | None, group: str | None, fits: bool
) -> None:
    # The library of 0.47.1 drops the service's field, and a later one may read it.
    spec = SimpleNamespace(accelerator_num=1, cpu=1, memory_in_mb=1, accelerator_type="")
    if dedicated is not None:
        spec.dedicated_node_group_only = dedicated
    needs = Needs(gpu=1, gpu_model=None, threads=1, mem_mb=0)
    assert _fits(SimpleNamespace(spec=spec), needs, group) is fits  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "memory", "says"),
    [(None, 32_000, "cpu.large"), ("cpu.small", 8192, "cpu.small"), ("cpu.small", 8193, "")],
)
def test_shared_memory_is_within_the_shape(
    workflow: Workflow, shape: str | None, memory: int, says: str
) -> None:
    more = f"resources: lepton_shared_memory_mb={memory}\n    "
    options = ["--lepton-resource-shape", shape] if shape else []
    run = workflow.write(ONE.replace("@", more + SHELL)).run(*options)
    if says:
        (job,) = workflow.lepton.workspace.jobs.all.values()
        assert (run.code, job.spec["resource_shape"]) == (0, says)
        assert job.spec["shared_memory_size"] == memory
        return
    assert run.code == 1
    assert "lepton_shared_memory_mb is 8193, and cpu.small has 8192 MB of memory" in run.output


def test_the_end_of_the_run_ends_the_pause_between_two_polls() -> None:
    settings = SimpleNamespace(seconds_between_status_checks=600)
    executor = object.__new__(Executor)
    executor.workflow = SimpleNamespace(remote_execution_settings=settings)
    executor._next_seconds_between_status_checks = None
    executor._over = threading.Event()
    pause = threading.Thread(target=lambda: asyncio.run(executor.sleep()), daemon=True)
    pause.start()
    pause.join(0.5)
    assert pause.is_alive()
    executor._over.set()
    pause.join(60)
    assert not pause.is_alive()
