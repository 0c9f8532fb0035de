"""The allocations of a run, and the request for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snakeval.matrix.planned_jobs import planned
from support.allocations import SERVER, SIX, Opened, content, learned
from support.checkpoints import checkpoint
from support.configs import COMMAND, MODEL


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path_factory.mktemp("home")))


def test_a_served_model_and_its_evaluations_are_one_group(tmp_path: Path) -> None:
    allocations = Opened(tmp_path, content())
    assert allocations.groups() == {"m": list(SIX)}
    assert allocations.groups("e") == {"None": list(SIX)}
    assert allocations.servers(allocations["m/b0"]) == [("m", 1)]
    assert allocations.servers(allocations["e/b0"]) == []


def test_a_judge_runs_in_the_allocation_of_the_model_which_requests_its_gpus(
    tmp_path: Path,
) -> None:
    data = content(auxiliary={"judge": {"deployment": SERVER | {"gpus": 4}}})
    data["benchmarks"] = SIX | {"judged": COMMAND | {"task": "j", "auxiliary": ["judge"]}}
    allocations = Opened(tmp_path, data)
    assert allocations.servers(allocations["m/judged"]) == [("m", 1)]
    assert allocations.group(allocations["e/judged"]) == "judge"
    assert (allocations.gpus("m", 1), allocations.gpus("judge", 1)) == (2 + 4, 4)
    here = Opened(tmp_path, data, remote=False)
    assert here.servers(here["m/judged"]) == [("m", 1), ("judge", 1)]
    assert here.gpus("m", 1) == 2


def test_the_allocation_has_the_memory_of_its_server_and_its_evaluations(
    tmp_path: Path,
) -> None:
    data = content(resources={"mem_mb": 100, "gpus": 1})
    data["models"]["m"] = {"deployment": SERVER | {"mem_mb": 4000}}
    allocations = Opened(tmp_path, data, slots=3)
    assert allocations.mem_mb("m", 1) == 4000 + 3 * 100
    assert allocations.gpus("m", 1) == 2 + 3 * 1
    assert Opened(tmp_path, content({"mem_mb": 9}), slots=3).mem_mb("m", 1) == 9
    assert Opened(tmp_path, content()).mem_mb("m", 1) is None


def series(place: Path, **slurm: Any) -> dict[str, Any]:
    """A training's checkpoints, which share a server."""
    models = {}
    for step in (200, 100):
        path = checkpoint(place / f"step-{step}", b"weights %d" % step)
        server = {"kind": "vllm", "checkpoint_path": str(path), "served_model_name": "run7"}
        models[f"run7@{step}"] = {
            "deployment": server | {"swap": True, "gpus": 2, "mem_mb": 4000},
            "member": {"series": "run7", "values": {"step": str(step)}, "axis": "step"},
        }
    return content(slurm, models=models)


def test_checkpoints_that_share_a_server_wait_for_one_job_of_one_allocation(
    tmp_path: Path,
) -> None:
    allocations = Opened(tmp_path, series(tmp_path))
    chosen = {(e.model, e.benchmark): e for e in allocations.by_id.values()}
    groups = {allocations.group(each) for each in chosen.values()}
    assert groups == {"run7@100"} == {allocations.group_of("run7@200", 1)}
    assert allocations.servers(allocations["run7@200/b0"]) == [("run7@100", 1)]
    assert (allocations.gpus("run7@100", 1), allocations.mem_mb("run7@100", 1)) == (2, 4000)
    (job,) = planned(allocations, chosen, {}, lambda each: each.model == "run7@200")
    assert (job.name, job.loading, job.resources["gpu"]) == ("run7@100", "run7@100", 2)
    assert job.members == tuple(f"run7@200/{name}" for name in SIX)
    here = Opened(tmp_path, series(tmp_path / "here"), remote=False)
    assert here.servers(here["run7@100/b0"]) == [("run7@100", 1)]


def test_gres_replaces_the_request_for_gpus(tmp_path: Path) -> None:
    assert Opened(tmp_path, content({"gres": "gpu:8"})).gpus("m", 1) == 0
    assert Opened(tmp_path, content({"gres": "gpu:8"}), remote=False).gpus("m", 1) == 2


def test_a_server_of_several_nodes_has_a_task_and_its_gpus_on_each(tmp_path: Path) -> None:
    data = content()
    data["models"]["m"] = {"deployment": SERVER | {"nodes": 2, "gpus": 8}}
    allocations = Opened(tmp_path, data)
    asked = {"nodes": 2, "tasks_per_node": 1, "gres": "gpu:8"}
    assert allocations.requests.site_of_model("m") == asked
    assert allocations.requests.names == ("gres", "nodes", "tasks_per_node")
    assert allocations.gpus("m", 1) == 0
    assert "m" not in allocations.by_hand()
    data["models"]["m"] = {"deployment": SERVER | {"instances": 3}}
    beside = Opened(tmp_path, data)
    assert (beside.requests.site_of_model("m"), beside.gpus("m", 1)) == ({}, 6)


def test_in_a_group_the_texts_are_equal_and_only_the_first_job_has_the_numbers(
    tmp_path: Path,
) -> None:
    data = content({"account": "a", "partition": "gpu", "cpu_partition": "cpu", "cpus_per_task": 9})
    data["models"]["e"] = MODEL | {"execution": {"slurm": {"account": "other"}}}
    data["benchmarks"]["b1"] = SIX["b1"] | {"execution": {"slurm": {"cpu_partition": "long"}}}
    allocations = Opened(tmp_path, data)
    served = {"slurm_account": "a", "slurm_partition": "gpu"}
    assert allocations.requests.site_of_model("m") == served | {"cpus_per_task": 9}
    assert allocations.requests.site_of_evaluation(allocations["m/b1"]) == served
    asked = {"slurm_account": "other", "slurm_partition": "cpu", "cpus_per_task": 9}
    assert allocations.requests.site_of_evaluation(allocations["e/b0"]) == asked
    own = asked | {"slurm_partition": "long"}
    assert allocations.requests.site_of_evaluation(allocations["e/b1"]) == own
    assert allocations.requests.names == ("slurm_account", "slurm_partition", "cpus_per_task")
    assert Opened(tmp_path, content()).requests.names == ()


def test_packed_evaluations_fit_into_the_walltime_after_loading(
    tmp_path: Path,
) -> None:
    data = content({"max_walltime_per_allocation": "70"})
    learned(Opened(tmp_path, data), 60, 50, 40, 20, 10, 5)
    allocations = Opened(tmp_path, data)
    packed = allocations.packed["m"]
    assert len(packed.seconds) == 2
    assert sum(packed.seconds.values()) == 60 * (10 + 60 + 10 + 40)
    assert {*allocations.groups()} == {"m", "m.2"}
    assert allocations.servers(allocations["m/b0"]) == [("m", packed.numbers["m/b0"])]
    assert allocations.runtime("m") == 70


def test_only_missing_evaluations_are_packed(tmp_path: Path) -> None:
    data = content({"evaluations_per_allocation": 1})
    allocations = Opened(tmp_path, data, missing=lambda e: e.benchmark in ("b2", "b5"))
    assert allocations.packed["m"].numbers.keys() == {"m/b2", "m/b5"}
    assert allocations.servers(allocations["m/b0"]) == [("m", 1)], "finished: the first one's"


def test_jobs_on_other_hosts_read_the_packing_of_the_head(tmp_path: Path) -> None:
    data = content({"evaluations_per_allocation": 2})
    head = Opened(tmp_path, data)
    head.save()
    learned(head, 1, 100, 1, 100, 1, 100)
    assert Opened(tmp_path, data, head=False).groups() == head.groups()


def test_the_packing_stays_while_jobs_of_an_earlier_head_run(tmp_path: Path) -> None:
    data = content({"evaluations_per_allocation": 2})
    Opened(tmp_path, data).save()
    before = Opened(tmp_path, data, head=False).groups()
    learned(Opened(tmp_path, data), 1, 100, 1, 100, 1, 100)
    assert Opened(tmp_path, data, busy=lambda: True).groups() == before
    changed = content({"evaluations_per_allocation": 3})
    assert len(Opened(tmp_path, changed, busy=lambda: True).groups()) == 2


def test_a_damaged_packing_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "allocations.json").write_text('{"m": []}')
    assert len(Opened(tmp_path, content({"allocations_per_model": 2})).groups()) == 2
