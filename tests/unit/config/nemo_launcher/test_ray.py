"""Tests commands on several nodes by running them, with stand-ins of vLLM and Ray."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from jinja2 import Environment, StrictUndefined

from snakeval.config.nemo_launcher import ray
from support.launcher import server
from support.limits import HUNG

SLURM = {"type": "slurm", "num_nodes": 4, "num_instances": 2}
HUB = {"hf_model_handle": "org/m", "served_model_name": "m"}
SIZES = {"tensor_parallel_size": "8", "pipeline_parallel_size": "2", "data_parallel_size": "4"}
VALUES = SIZES | {
    "model": "org/m", "served_model_name": "m", "revision": "", "host": "0.0.0.0", "port": "8123",
    "head": "10.0.0.1", "nodes": "2", "gpus_per_node": "8",
}  # fmt: skip


def run(place: Path, template: str, rank: int, arguments: str = "") -> list[str]:
    """Run a command as one node's part; return what vLLM and Ray were started with."""
    programs = {"vllm": "", "ray": 'case "$1" in status) echo node_1; echo node_2 ;; esac\n'}
    for name, more in programs.items():
        program = place / name
        program.write_text(f'#!/bin/sh\n{more}echo {name} "$@" >> {place}/started\n')
        program.chmod(0o755)
    text = Environment(undefined=StrictUndefined).from_string(template).render(VALUES)
    variables = {
        "PATH": f"{place}:{os.environ['PATH']}",
        "SNAKEVAL_NODE_RANK": str(rank),
        "SNAKEVAL_NODE_ADDRESS": "10.0.0.9",
        "SNAKEVAL_HEAD_ADDRESS": "10.0.0.1",
        "SNAKEVAL_HEAD_PORT": "20001",
        "SNAKEVAL_NODES": "2",
        "SNAKEVAL_NODE_ADDRESSES": "10.0.0.1,10.0.0.9",
    }
    subprocess.run(["sh", "-c", f"{text} {arguments}"], check=True, env=variables, timeout=HUNG)
    return (place / "started").read_text().splitlines()


def test_ray_starts_on_the_head_and_serves_with_the_users_arguments(tmp_path: Path) -> None:
    command = ray.on_several_nodes({}, 2, use_ray=True)
    head, _, serve = run(tmp_path, command, 0, "--more x")
    assert head == "ray start --head --port=20001 --num-gpus=8"
    assert serve.startswith("vllm serve org/m --served-model-name m --tensor-parallel-size 8 ")
    assert serve.endswith("--host 0.0.0.0 --port 8123 --more x")


def test_other_nodes_join_the_heads_ray(tmp_path: Path) -> None:
    command = ray.on_several_nodes({}, 2, use_ray=True)
    assert run(tmp_path, command, 1, "--more x") == [
        "ray health-check --address=10.0.0.1:20001",
        "ray start --block --address=10.0.0.1:20001 --num-gpus=8",
    ]


@pytest.mark.parametrize(
    ("rank", "role"),
    [(0, "--host 0.0.0.0 --port 8123"), (1, "--headless --data-parallel-start-rank 2")],
)
def test_replicas_divide_among_the_nodes_without_ray(tmp_path: Path, rank: int, role: str) -> None:
    command = ray.on_several_nodes({"data_parallel_size": 4}, 2, use_ray=False)
    (serve,) = run(tmp_path, command, rank, "--more x")
    assert "--data-parallel-size 4 " in serve
    assert "--data-parallel-size-local 2 --data-parallel-address 10.0.0.1 " in serve
    assert serve.endswith(f"{role} --more x")


def test_a_model_whose_replicas_do_not_divide_runs_on_ray() -> None:
    assert "ray start" in ray.on_several_nodes({"data_parallel_size": 1}, 2, use_ray=False)


def test_a_users_command_has_the_launchers_variables(tmp_path: Path) -> None:
    command = "vllm $PROC_ID/$NODES_PER_INSTANCE $SLURM_PROCID $MASTER_IP $ALL_NODE_IPS"
    several = ray.with_launchers_variables(command, 2)
    assert run(tmp_path, several, 1) == ["vllm 1/2 1 10.0.0.1 10.0.0.1,10.0.0.9"]
    (tmp_path / "started").unlink()
    alone = ray.with_launchers_variables(command, 1)
    assert run(tmp_path, alone, 1) == ["vllm 0/1 0 127.0.0.1 127.0.0.1"]
    assert ray.with_launchers_variables("serve", 2) == "serve"


def test_a_length_in_a_users_command_is_no_comment_of_a_template(tmp_path: Path) -> None:
    command = ray.with_launchers_variables("X=abc; vllm ${#X}", 1)
    assert run(tmp_path, command, 0) == ["vllm 3"]


def test_a_deployment_with_ray_has_nodes_and_the_launchers_variables(tmp_path: Path) -> None:
    sizes = {"tensor_parallel_size": 8, "pipeline_parallel_size": 2}
    spec = {"type": "vllm_ray", **HUB, **sizes, "extra_args": "--x"}
    made = server(tmp_path, spec, "execution=slurm/default", execution=SLURM)
    assert (made.kind, made.nodes, made.instances) == ("vllm", 2, 2)
    assert made.command is not None
    assert "ray start --head" in made.command
    assert made.extra_args.endswith("--distributed-executor-backend ray --x")
    assert made.set_env["VLLM_ENGINE_READY_TIMEOUT_S"] == "3600"
    alone = server(tmp_path, {"type": "vllm_ray", **HUB})
    assert alone.command is None
    assert alone.extra_args.endswith("--distributed-executor-backend ray")


def test_vllm_on_several_nodes_needs_no_command(tmp_path: Path) -> None:
    sizes = {"tensor_parallel_size": 1, "data_parallel_size": 16}
    made = server(tmp_path, {"type": "vllm", **HUB, **sizes}, execution=SLURM)
    assert made.command is not None
    assert "--data-parallel-size-local 8" in made.command
    assert made.nodes == 2
