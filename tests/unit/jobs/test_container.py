"""What an evaluation's container gets of the caller's variables."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import pytest
import yaml

from snakeval.evaluation.attempts import AttemptDirectory
from snakeval.executors.lepton.runtime import LeptonRuntime
from snakeval.jobs.container import container
from snakeval.jobs.gateway import Asked, slots
from snakeval.matrix.expand import expand
from snakeval.run.directory import RunDirectory
from snakeval.runtimes import ContainerSpec
from support.configs import COMMAND, MODEL, config

GATED = {"task": "lm-eval.gpqa_diamond_cot_zeroshot"}


def secrets_of(tmp_path: Path, benchmark: dict[str, object], **variables: str) -> dict[str, str]:
    (evaluation,) = expand(
        config(tmp_path, {"models": {"m": MODEL}, "benchmarks": {"b": benchmark}})
    )
    directory = RunDirectory(tmp_path / "run").evaluation(evaluation.id)
    spec = container(evaluation, directory, LeptonRuntime(), "run", variables=variables)
    return dict(spec.secrets)


@pytest.mark.parametrize(
    ("benchmark", "variables", "secrets"),
    [
        (GATED, {"HF_TOKEN": "x"}, {"HF_TOKEN": "HF_TOKEN"}),
        (GATED, {}, {}),
        ({"task": "lm-eval.gsm8k"}, {"https_proxy": "p:1"}, {"https_proxy": "https_proxy"}),
        (GATED | {"env": {"HF_TOKEN": "MINE"}}, {"HF_TOKEN": "x"}, {"HF_TOKEN": "MINE"}),
        ({"task": "lm-eval.gsm8k"}, {"HF_TOKEN": "x", "KEY": "y"}, {"HF_TOKEN": "HF_TOKEN"}),
        ({"task": "lm-eval.gsm8k"}, {"HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "HF_HUB_OFFLINE"}),
        (
            {"task": "lm-eval.gsm8k", "set_env": {"HF_HUB_OFFLINE": "0"}},
            {"HF_HUB_OFFLINE": "1"},
            {},
        ),
    ],
)
def test_a_harness_gets_the_variables_of_the_hub_that_are_set(
    tmp_path: Path,
    benchmark: dict[str, object],
    variables: dict[str, str],
    secrets: dict[str, str],
) -> None:
    assert secrets_of(tmp_path, benchmark, **variables) == secrets


@pytest.mark.parametrize(
    ("servers", "listed"), [({"m": "http://10.0.0.7:81/v1"}, "hub.org,10.0.0.7"), ({}, "hub.org")]
)
def test_a_container_with_a_proxy_of_its_own_asks_a_served_model_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, servers: dict[str, str], listed: str
) -> None:
    monkeypatch.setenv("HUBS", "hub.org")
    own = {"set_env": {"HTTPS_PROXY": "http://proxy:3128"}, "env": {"NO_PROXY": "HUBS"}}
    rows = {"models": {"m": MODEL}, "benchmarks": {"b": {"task": "lm-eval.gsm8k"} | own}}
    (evaluation,) = expand(config(tmp_path, rows))
    directory = RunDirectory(tmp_path / "run").evaluation(evaluation.id)
    spec = container(evaluation, directory, LeptonRuntime(), "run", servers, variables={})
    given = {**spec.env, **spec.secret_values()}
    assert given["NO_PROXY"] == listed
    assert given.get("no_proxy") == (listed if servers else None)


def test_a_container_asks_a_served_model_without_the_proxy_that_this_process_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    rows = {"models": {"m": MODEL}, "benchmarks": {"b": {"task": "lm-eval.gsm8k"}}}
    (evaluation,) = expand(config(tmp_path, rows))
    directory = RunDirectory(tmp_path / "run").evaluation(evaluation.id)
    servers = {"m": "http://10.0.0.7:81/v1"}
    spec = container(evaluation, directory, LeptonRuntime(), "run", servers, variables={})
    assert (spec.env["no_proxy"], spec.env["NO_PROXY"]) == ("10.0.0.7", "10.0.0.7")
    direct = container(evaluation, directory, LeptonRuntime(), "run", variables={})
    assert not {"no_proxy", "NO_PROXY"} & direct.env.keys()


def concurrency(spec: ContainerSpec, inputs: Path) -> object:
    """Return how many requests a harness is told to have in flight, in its own words."""
    *_, last = spec.argv
    if "--model_args" in spec.argv:
        return json.loads(spec.argv[spec.argv.index("--model_args") + 1])["num_concurrent"]
    if last.endswith("run_config.yml"):
        written = yaml.safe_load((inputs / "run_config.yml").read_text())
        return written["config"]["params"]["parallelism"]
    return int(last.rpartition("--max-connections ")[2])


@pytest.mark.parametrize(
    ("params", "limits", "most"),
    [({}, {}, 64), ({}, {"concurrency": 10}, 10), ({"parallelism": 3}, {}, 3)],
)
@pytest.mark.parametrize(
    "benchmark",
    [
        {"task": "lm-eval.gsm8k"},
        {"task": "tooltalk.tooltalk"},
        COMMAND | {"command": "inspect eval {{ url }} --max-connections {{ params.parallelism }}"},
    ],
    ids=["lm-eval", "eval-factory", "inspect"],
)
def test_every_harness_may_have_as_many_requests_in_flight_as_the_gateway_at_most(
    tmp_path: Path,
    benchmark: dict[str, object],
    params: dict[str, object],
    limits: dict[str, object],
    most: int,
) -> None:
    endpoint = {"url": "http://host/v1", "model_id": "m", "limits": limits}
    rows = {
        "models": {"m": {"endpoint": endpoint}},
        "benchmarks": {"b": benchmark},
        "params": params,
    }
    (evaluation,) = expand(config(tmp_path, rows))
    directory = RunDirectory(tmp_path / "run").evaluation(evaluation.id)
    urls = {"m": "http://127.0.0.1:1/m/v1/chat/completions"}
    asked = Asked(urls, slots(evaluation), Event(), {}, {}, None)  # type: ignore[arg-type]
    spec = container(evaluation, directory, LeptonRuntime(), "run", asked=asked)
    assert concurrency(spec, directory.inputs) == most


def test_each_eval_factory_harness_has_a_port_of_its_own(tmp_path: Path) -> None:
    def port(where: AttemptDirectory | None, **more: object) -> str | None:
        benchmark = {"task": "lm-evaluation-harness.ifeval", **more}
        rows = {"models": {"m": MODEL}, "benchmarks": {"b": benchmark}}
        (evaluation,) = expand(config(tmp_path, rows))
        directory = RunDirectory(tmp_path / "run").evaluation(evaluation.id)
        return container(evaluation, directory, LeptonRuntime(), "run", attempt=where).env.get(
            "ADAPTER_PORT"
        )

    ports = [port(AttemptDirectory(tmp_path / f"attempts/{n}")) for n in range(3)]
    assert len(set(ports)) == 3, "two harnesses on one port receive the answers of one model"
    assert all(20000 <= int(each or 0) < 32000 for each in ports)
    assert port(None) is None, "the script of an evaluation does not change with each start"
    first = AttemptDirectory(tmp_path / "attempts/1")
    assert port(first, set_env={"ADAPTER_PORT": "7"}) == "7"
    assert port(first, task="lm-eval.gsm8k") is None
