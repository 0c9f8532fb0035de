"""``python -m snakemake_executor_plugin_lepton``: what works, what does not, and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snakemake_executor_plugin_lepton.__main__ import main
from snakemake_executor_plugin_lepton.service import Service
from standin import StandIn

Capture = pytest.CaptureFixture[str]


def checks(capsys: Capture, *options: str, code: int = 0) -> dict[str, dict[str, Any]]:
    assert main(["--json", *options]) == code
    return {check["what"]: check for check in json.loads(capsys.readouterr().out)}


def test_working_settings_are_listed_by_name(
    service: Service, tmp_path: Path, capsys: Capture
) -> None:
    found = checks(
        capsys,
        *("--lepton-node-group", "h100", "--lepton-resource-shape", "cpu.small"),
        *("--lepton-mounts", "node-nfs:shared=/data", "--lepton-mount", "node-nfs:shared=/x"),
        *("--lepton-mount-local", str(tmp_path)),
    )
    assert [*found] == ["workspace", "node group", "resource shape", "volumes", "files"]
    assert found["workspace"]["found"] == "standin answers and takes the token"
    assert found["files"]["found"] == f"by way of {tmp_path}"
    assert main([]) == 0
    assert "files           ok     by jobs' logs, at most 1024 KiB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "what", "says"),
    [
        (["--lepton-node-group", "h200"], "node group", "no node group 'h200'; there are: cpu, h"),
        (["--lepton-resource-shape", "gpu.9"], "resource shape", "no resource shape 'gpu.9'"),
        (["--lepton-mounts", "node-nfs:no=/x"], "volumes", "there is no volume 'node-nfs:no'"),
        (["--lepton-secrets", "NO_SUCH"], "secrets", "`lep secret create -n NO_SUCH -v …`"),
        (["--lepton-s3-prefix", "bucket"], "files", "is not s3://BUCKET/PREFIX"),
        (["--lepton-transport", "s3"], "files", "requires --lepton-s3-prefix"),
        (["--lepton-transport", "mount"], "files", "requires --lepton-mount"),
        (
            ["--lepton-mount", "node-nfs:shared=/x", "--lepton-mount-local", "/no"],
            "files", "--lepton-mount-local /no is no directory",
        ),
        (["--lepton-transport", "pigeon"], "files", "it is one of auto, s3, mount, log"),
    ],
)  # fmt: skip
def test_failing_settings_are_listed_with_a_remedy(
    service: Service, capsys: Capture, options: list[str], what: str, says: str
) -> None:
    found = checks(capsys, *options, code=1)
    assert not found[what]["ok"]
    assert says in found[what]["found"]


def test_a_rejected_token_is_reported_but_never_printed(
    service: Service, lepton: StandIn, capsys: Capture
) -> None:
    token, lepton.workspace.token = lepton.workspace.token, "another"
    assert main([]) == 1
    told = capsys.readouterr().out
    assert "the token is wrong or has expired. Log in with `lep login" in told
    assert token not in told
