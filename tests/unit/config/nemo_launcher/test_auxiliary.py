"""Tests ``auxiliary_deployments``, such as judges, of the launcher's configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import ConfigError
from snakeval.harnesses import auxiliary_values
from snakeval.harnesses.adapter import Paths
from snakeval.matrix.expand import expand
from support.launcher import TARGET, plain, read

JUDGE = {"type": "vllm", "hf_model_handle": "org/judge", "tensor_parallel_size": 2, "port": 8001}
ASKS = {
    "extra": {
        "judge": {
            "url": "auxiliary_deployments.judge.chat_url",
            "model_id": "auxiliary_deployments.judge.model_id",
            "more": [{"also": "auxiliary_deployments.judge.chat_url"}],
        }
    }
}


def content(judge: dict[str, Any], params: dict[str, Any] = ASKS, **more: Any) -> dict[str, Any]:
    asks = {"name": "ifeval", "nemo_evaluator_config": {"config": {"params": params}}}
    tasks = [asks, {"name": "gpqa_diamond"}]
    return {
        "target": TARGET,
        "evaluation": {"tasks": tasks},
        "auxiliary_deployments": {"judge": judge},
        **more,
    }


def test_a_judge_is_served_for_the_tasks_that_refer_to_it(tmp_path: Path) -> None:
    own = JUDGE | {"env_vars": {"LEVEL": "lit:INFO"}, "num_nodes": 2, "num_instances": 2}
    mounts = {"auxiliary": {"judge": {str(tmp_path): "/data"}}}
    execution = {"mounts": mounts, "endpoint_readiness_timeout": 60}
    data = content(own, env_vars={"HF_TOKEN": "host:HF_TOKEN"}, execution=execution)
    config = plain(tmp_path, data)
    judge = config.auxiliary["judge"].deployment
    assert judge is not None
    assert (judge.kind, judge.port, judge.tensor_parallel_size) == ("vllm", 8001, 2)
    assert (judge.nodes, judge.instances, judge.readiness_timeout) == (1, 2, 60)
    assert (judge.env, judge.set_env) == ({"HF_TOKEN": "HF_TOKEN"}, {"LEVEL": "INFO"})
    assert judge.mounts[0].target == "/data"
    assert config.benchmarks["ifeval"].auxiliary == ("judge",)
    assert config.benchmarks["gpqa_diamond"].auxiliary == ()


def test_the_references_become_the_judges_address_and_name(tmp_path: Path) -> None:
    from snakeval.harnesses import command

    evaluations = expand(plain(tmp_path, content(JUDGE)))
    (asking,) = [each for each in evaluations if each.benchmark == "ifeval"]
    paths = Paths("results", "inputs", "http://m/v1", {"judge": "http://judge/v1/chat/completions"})
    known = auxiliary_values(asking, paths)["judge"]
    (text,) = command(asking, paths).inputs.values()
    assert text.count(known["url"]) == 2
    assert f"model_id: {known['model_id']}" in text
    assert "auxiliary" not in text


def test_without_references_all_tasks_have_the_judge_in_their_environment(tmp_path: Path) -> None:
    config = plain(tmp_path, content(JUDGE, {}))
    assert {b.auxiliary for b in config.benchmarks.values()} == {("judge",)}


def test_references_of_all_tasks_and_of_completions(tmp_path: Path) -> None:
    data = content(JUDGE, {})
    url = {"url": "auxiliary_deployments.judge.completions_url"}
    shared = {"config": {"params": {"extra": {"judge": url}}}}
    data["evaluation"]["nemo_evaluator_config"] = shared
    config = plain(tmp_path, data)
    assert config.params.extra == {"judge": {"url": "{{ auxiliary['judge'].url }}"}}
    judge = config.auxiliary["judge"].deployment
    assert judge is not None
    assert judge.type == "completions"
    assert {b.auxiliary for b in config.benchmarks.values()} == {("judge",)}


def test_a_server_of_type_none_is_none(tmp_path: Path) -> None:
    assert plain(tmp_path, content({"type": "none"}, {})).auxiliary == {}


def test_names_of_variables_and_shared_nodes_are_reported(tmp_path: Path) -> None:
    notes = read(tmp_path, content(JUDGE, execution={"type": "slurm"})).notes
    place = "auxiliary_deployments.judge"
    assert f"{place}: harnesses have $JUDGE_URL and $JUDGE_MODEL_ID, not $JUDGE_CHAT_URL" in notes
    assert any(
        n.startswith(f"{place}.num_nodes: the server shares the model's node") for n in notes
    )


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (content(JUDGE | {"num_nodes": 3, "num_instances": 2}), "2 instances cannot share 3 nodes"),
        (content(JUDGE | {"n_tasks": 2}), "judge.n_tasks: a server runs one task on each node"),
        (content(JUDGE | {"prot": 1}), "auxiliary_deployments.judge.prot: unknown key 'prot'; did"),
        (
            content(JUDGE, {"extra": {"url": "auxiliary_deployments.juge.chat_url"}}),
            "refers to auxiliary_deployments.juge.chat_url, which is missing",
        ),
        (
            content(JUDGE, {"extra": {"url": "auxiliary_deployments.judge.ranking_url"}}),
            "auxiliary_deployments.judge: tasks query its ranking url",
        ),
        (
            content(
                JUDGE, auxiliary={"judge": {"endpoint": {"url": "http://x/v1", "model_id": "m"}}}
            ),
            "auxiliary_deployments.judge: is also in `auxiliary`; rename one",
        ),
    ],
)
def test_errors_name_the_servers_key(tmp_path: Path, data: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plain(tmp_path, data)
    assert sentence in str(caught.value)
