"""Tests modes, variables and mounts of ``execution``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.launcher import TARGET, TASKS, made, plain, read


def content(**execution: Any) -> dict[str, Any]:
    return {"target": TARGET, "evaluation": TASKS, "execution": execution}


def test_local_runs_are_sequential_by_default_and_say_so(tmp_path: Path) -> None:
    silent = read(tmp_path, content())
    assert silent.options == ("--cores", "1")
    assert (
        "execution.mode: is sequential, the launcher's default; or write parallel" in silent.notes
    )
    assert read(tmp_path, content(mode="parallel")).options == ()


def test_a_cache_below_the_home_of_root_is_mounted_where_a_user_can_enter(tmp_path: Path) -> None:
    mounts = {"evaluation": {str(tmp_path): "/root/.cache/huggingface"}}
    benchmark = plain(tmp_path, content(mounts=mounts)).benchmarks["ifeval"]
    assert benchmark.mounts[0].target == "/mnt/huggingface"
    assert benchmark.set_env == {"HF_HOME": "/mnt/huggingface"}
    (note,) = (n for n in read(tmp_path, content(mounts=mounts)).notes if "/mnt/" in n)
    assert "since only root can enter /root and containers run as you" in note


@pytest.mark.parametrize("target", ["/root/data", "/root/.cache/huggingface"])
def test_another_place_below_the_home_of_root_is_reported(tmp_path: Path, target: str) -> None:
    data = content(mounts={"evaluation": {str(tmp_path): target}})
    data["evaluation"] = TASKS | {"env_vars": {"HF_HOME": "host:HF_HOME"}}
    benchmark = plain(tmp_path, data).benchmarks["ifeval"]
    assert (benchmark.mounts[0].target, benchmark.set_env) == (target, {})
    (note,) = (n for n in read(tmp_path, data).notes if target in n)
    assert f"write another target than {target}" in note


def test_a_variables_value_in_the_older_form_is_read_as_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "the-secret-itself")
    variables = {"evaluation": {"HF_TOKEN": "${oc.env:MY_TOKEN}"}}
    config = made(tmp_path, content(env_vars=variables))
    assert config.benchmarks["ifeval"].env == {"HF_TOKEN": "MY_TOKEN"}
    assert "the-secret-itself" not in config.model_dump_json()


@pytest.mark.parametrize(
    ("kind", "default"), [("local", "600 s"), ("slurm", "the walltime"), ("lepton", "1200 s")]
)
def test_another_default_time_for_a_server_is_reported(
    tmp_path: Path, kind: str, default: str
) -> None:
    server = {"type": "generic", "command": "serve", "image": "i", "served_model_name": "m"}
    data = {"execution": {"type": kind}, "deployment": server, "evaluation": TASKS}
    note = (
        f"execution.endpoint_readiness_timeout: is 1800 s, and the launcher's default is {default}"
    )
    assert note in read(tmp_path, data).notes
    if kind != "lepton":
        data["execution"] = {"type": kind, "endpoint_readiness_timeout": 600}
        assert note not in read(tmp_path, data).notes
    assert note not in read(tmp_path, {**data, "deployment": {}, "target": TARGET}).notes
