"""What Lepton refuses is the reason of each evaluation, and no endpoint is created before."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from standin import Fault, StandIn

from support.on_lepton import OnLepton


@pytest.fixture
def lepton() -> Iterator[StandIn]:
    with StandIn("process") as standin:
        yield standin


class Once(OnLepton):
    """Its commands try each job once."""

    def command(self, *options: str) -> list[str]:
        return [*super().command(*options), "--retries", "0"]


@pytest.fixture
def work(lepton: StandIn, tmp_path: Path) -> Once:
    """A model that would be served, and one that exists."""
    benchmark = {
        "harness": "generic",
        "image": "any/image",
        "command": "echo '{\"v\": 1}' > {{ results }}/f",
        "metrics": {"file": "f", "values": {"v": "v"}},
    }
    served = {
        "kind": "generic", "image": "any/image", "served_model_name": "m",
        "command": f"exec {sys.executable} -m http.server {{{{ port }}}}",
    }  # fmt: skip
    work = Once.below(
        tmp_path,
        models={
            "served": {"deployment": served},
            "other": {"endpoint": {"url": "http://127.0.0.1:9/v1", "model_id": "m"}},
        },
        benchmarks={"b": benchmark},
    )
    work.standin = lepton
    return work


def test_an_unknown_node_group_is_the_reason_of_each_evaluation(work: Once) -> None:
    done = work.snakemake("--lepton-node-group", "h200")
    assert done.exit_code == 1
    reasons = dict(work.table()["reason"])
    assert set(reasons) == {"served/b", "other/b"}
    for reason in reasons.values():
        assert "there is no node group 'h200'; there are: cpu, h100" in reason
    assert work.standin.asked("POST") == []


def test_a_missing_secret_and_an_http_400_are_the_reasons(
    work: Once, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "x")
    work.config["benchmarks"]["b"]["env"] = {"HF_TOKEN": "MY_TOKEN"}
    work.config["models"]["served"]["deployment"]["lepton"] = {"resource_shape": "cpu.small"}
    done = work.snakemake()
    assert done.exit_code == 1, done.output
    for reason in work.table()["reason"]:
        assert "no secret" in reason
        assert "MY_TOKEN" in reason
    assert work.standin.asked("POST /(deployments|endpoints|jobs)") == []
    work.standin.workspace.secrets["MY_TOKEN"] = "x"
    del work.config["models"]["served"]
    body = json.dumps({"code": "Bad", "message": "quota of the project is 0"})
    work.standin.faults.add(Fault("POST /jobs", status=400, times=9, body=body))
    assert work.snakemake().exit_code == 1
    assert "HTTP 400" in work.table()["reason"]["other/b"]
    assert "quota of the project is 0" in work.table()["reason"]["other/b"]
