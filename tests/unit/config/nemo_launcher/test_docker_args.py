"""Tests options of docker in the launcher's configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import ConfigError
from support.launcher import TASKS, plain

SERVER = {"type": "generic", "command": "serve", "image": "i", "served_model_name": "m"}


def content(arguments: str) -> dict[str, Any]:
    execution = {"type": "local", "extra_docker_args": arguments}
    return {"deployment": SERVER, "evaluation": TASKS, "execution": execution}


def test_options_apply_to_harnesses_and_servers(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    arguments = (
        f"-v {tmp_path}/data:/data:ro --volume={tmp_path}:/all -e A=1 --env B --net host "
        "--shm-size=2g -m 512m"
    )
    config = plain(tmp_path, content(arguments))
    benchmark = config.benchmarks["ifeval"]
    (model,) = config.models.values()
    server = model.deployment
    assert server is not None
    for user in (benchmark, server):
        assert [(m.target, m.read_only) for m in user.mounts] == [("/data", True), ("/all", False)]
        assert (user.set_env, user.env) == ({"A": "1"}, {"B": "B"})
    assert config.network == "host"
    assert (config.resources.shm_mb, config.resources.mem_mb) == (2048, 512)
    assert (server.shm_mb, server.mem_mb) == (2048, 512)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--privileged -v /a:/b", "--privileged is not supported; use mounts, env_vars"),
        ("--network mine", "--network is not supported"),
        ("--shm-size=lots", "--shm-size is not supported"),
        ("-v /only-one", "--volume is not supported"),
        ("-e MY_TOKEN=abc", "would be saved in the run; export the variable"),
        ("-v 'a", "is not shell text: no closing quotation"),
    ],
)
def test_other_options_are_errors(tmp_path: Path, arguments: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plain(tmp_path, content(arguments))
    assert len(str(caught.value).splitlines()) == 1
    assert "execution.extra_docker_args" in str(caught.value)
    assert sentence in str(caught.value)
