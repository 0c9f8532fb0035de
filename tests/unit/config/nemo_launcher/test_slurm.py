"""Tests the launcher's keys for Slurm, beside those that config/test_nemo_launcher.py has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import ConfigError
from support.launcher import TARGET, TASKS, made, plain, read

SLURM = "execution=slurm/default"


def content(**execution: Any) -> dict[str, Any]:
    return {"target": TARGET, "evaluation": TASKS, "execution": {"type": "slurm", **execution}}


def test_flags_with_a_key_of_their_own_become_it(tmp_path: Path) -> None:
    flags = {"exclusive": True, "qos": "high", "cpus-per-task": 4, "nice": 5}
    slurm = plain(tmp_path, content(sbatch_extra_flags=flags)).execution.slurm
    assert (slurm.exclusive, slurm.qos, slurm.cpus_per_task) == (True, "high", 4)
    assert slurm.extra_flags == "--nice=5"


@pytest.mark.parametrize(
    ("key", "value", "note"),
    [
        ("hostname", "login.cluster", "snakeval submits from this machine; for another one, run"),
        ("username", "someone-else", "snakeval submits as the current user, not as someone-else"),
        ("subproject", "s", "snakeval names jobs by the run and the model; write sbatch_comment"),
        ("proxy", {"type": "haproxy"}, "snakeval starts its own HAProxy for several instances"),
    ],
)
def test_keys_that_only_describe_the_launchers_way_are_reported(
    tmp_path: Path, key: str, value: object, note: str
) -> None:
    made_of_it = read(tmp_path, content(**{key: value}))
    assert any(each.startswith(f"execution.{key}: {note}") for each in made_of_it.notes)


@pytest.mark.parametrize(
    ("execution", "sentence"),
    [
        ({"proxy": {"type": "nginx"}}, "execution.proxy.type: several instances share HAProxy"),
        ({"evaluation_gpu_visible": True}, "execution.evaluation_gpu_visible: is not supported; w"),
        ({"num_nodes": 2, "deployment": {"n_tasks": 4}}, "n_tasks: a server runs one task on eac"),
        (
            {"num_nodes_per_instance": 2, "num_instances": {"a": 1}},
            "{'a': 1} instances cannot share",
        ),
        ({"ntasks_per_node": 2}, "execution.ntasks_per_node: is not supported, since each job"),
        ({"heartbeat": {"interval": 60}}, "execution.heartbeat: unknown key 'heartbeat'"),
    ],
)
def test_keys_without_a_meaning_are_errors(
    tmp_path: Path, execution: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        plain(tmp_path, content(**execution))
    assert sentence in str(caught.value)


def test_one_task_on_each_node_is_how_snakeval_starts_a_server(tmp_path: Path) -> None:
    execution = {"num_nodes": 2, "deployment": {"n_tasks": "${execution.num_nodes}"}}
    server = {"type": "generic", "command": "serve", "image": "i", "served_model_name": "m"}
    data = {"execution": execution, "deployment": server, "evaluation": TASKS}
    (model,) = made(tmp_path, data, SLURM, "deployment=generic").models.values()
    assert model.deployment is not None
    assert model.deployment.nodes == 2


def test_nodes_of_each_instance(tmp_path: Path) -> None:
    execution = {"num_nodes_per_instance": 2, "num_instances": 3}
    server = {"type": "generic", "command": "serve", "image": "i", "served_model_name": "m"}
    data = {"execution": execution, "deployment": server, "evaluation": TASKS}
    (model,) = made(tmp_path, data, SLURM, "deployment=generic").models.values()
    assert model.deployment is not None
    assert (model.deployment.nodes, model.deployment.instances) == (2, 3)


def test_the_home_is_mounted_if_the_file_says_so(tmp_path: Path) -> None:
    (mount,) = plain(tmp_path, content(mounts={"mount_home": True})).benchmarks["ifeval"].mounts
    assert (mount.source, mount.target) == (str(Path.home().resolve()), str(Path.home()))
    assert not mount.read_only
    note = "execution.mounts.mount_home: the launcher mounts the home by default"
    silent = read(tmp_path, content())
    assert any(each.startswith(note) for each in silent.notes)
    explicit = read(tmp_path, content(mounts={"mount_home": False}))
    assert not any(each.startswith(note) for each in explicit.notes)


def test_defaults_of_the_launcher_that_do_not_apply_are_reported(tmp_path: Path) -> None:
    execution = {"walltime": "02:00:00", "gpus_per_node": 8}
    (note,) = (
        each
        for each in read(tmp_path, content(**execution)).notes
        if each.startswith("execution: ")
    )
    assert "partition (batch), max_walltime (120:00:00), sbatch_extra_flags (exclus" in note
    assert "walltime (01" not in note
    assert "gres" not in note


def test_a_walltime_that_all_tasks_of_a_model_share_is_reported(tmp_path: Path) -> None:
    def notes(tasks: int, deployed: bool = True, **execution: Any) -> list[str]:
        server = {"type": "generic", "command": "serve", "image": "i", "served_model_name": "m"}
        names = [{"name": name} for name in ("ifeval", "gpqa_diamond")[:tasks]]
        execution = {"type": "slurm", **execution}
        data = {"execution": execution, "evaluation": {"tasks": names}}
        data |= {"deployment": server} if deployed else {"target": TARGET}
        found = read(tmp_path, data).notes
        return [note for note in found if note.startswith("execution.walltime: limits a job, and")]

    assert len(notes(2, walltime="02:00:00")) == 1
    assert notes(2) == notes(1, walltime="02:00:00") == []
    assert notes(2, deployed=False, walltime="02:00:00") == []


def test_the_proxy_of_several_instances_is_reported_without_its_section(tmp_path: Path) -> None:
    for instances, count in ((2, 1), (1, 0)):
        found = read(tmp_path, content(num_nodes=2, num_instances=instances)).notes
        assert (
            sum(note.startswith("execution.proxy: snakeval starts its") for note in found) == count
        )
