"""The matrix: the evaluations of a configuration and their parameters.

Long because the tests of one module are in one file, and this module has many cases.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakeval.errors import ConfigError
from snakeval.evaluation.definition import TRANSPORT_PARAMS, Evaluation, Identity, Transport
from snakeval.matrix.expand import deployments, expand, split
from snakeval.matrix.facts import Facts
from snakeval.matrix.params import layer_params
from support.configs import COMMAND, MODEL, VALID, changed, config

CHAT = {"endpoint": {"url": "http://host/v1", "model_id": "c"}}
COMPLETIONS = {"endpoint": {"url": "http://host/v1", "model_id": "b", "type": "completions"}}


def ids(evaluations: tuple[Evaluation, ...]) -> list[str]:
    return [evaluation.id for evaluation in evaluations]


def test_each_benchmark_runs_on_each_model_in_the_order_of_the_file(tmp_path: Path) -> None:
    content = {"models": {"z": MODEL, "a": MODEL}, "benchmarks": {"y": COMMAND, "b": COMMAND}}
    loaded = config(tmp_path, content)
    assert ids(expand(loaded)) == ["z/y", "z/b", "a/y", "a/b"]
    assert expand(loaded) == expand(loaded)


@pytest.mark.parametrize(
    ("pairs", "left"),
    [
        ({"include": ["a/x"]}, ["a/x"]),
        ({"include": ["a/*"]}, ["a/x", "a/y"]),
        ({"exclude": ["*/y"]}, ["a/x", "b/x"]),
        ({"include": ["a/*", "b/y"], "exclude": [{"benchmark": "x"}]}, ["a/y", "b/y"]),
    ],
)
def test_pairs_are_included_and_excluded_by_pattern(
    tmp_path: Path, pairs: dict[str, Any], left: list[str]
) -> None:
    content = {"models": {"a": MODEL, "b": MODEL}, "benchmarks": {"x": COMMAND, "y": COMMAND}}
    assert ids(expand(config(tmp_path, content | pairs))) == left


def test_a_repeated_benchmark_is_one_more_for_each_repeat_with_another_seed(
    tmp_path: Path,
) -> None:
    once = {"models": {"m": MODEL}, "benchmarks": {"b": COMMAND}}
    often = {"models": {"m": MODEL}, "benchmarks": {"b": COMMAND | {"repeats": 3}}}
    found = expand(config(tmp_path, often))
    assert ids(found) == ["m/b", "m/b-r2", "m/b-r3"]
    assert [e.identity.params.get("seed") for e in found] == [None, 2, 3]
    assert len({e.fingerprint for e in found}) == 3
    # So that more repeats of what is there already are all that runs.
    assert found[0].fingerprint == expand(config(tmp_path, once))[0].fingerprint
    assert {e.identity.task for e in found} == {"b"}


def test_repeats_count_from_a_seed_that_is_configured(tmp_path: Path) -> None:
    own = COMMAND | {"repeats": 2, "params": {"seed": 7}, "per_model": {"n": {"seed": 20}}}
    content = {"models": {"m": MODEL, "n": MODEL}, "benchmarks": {"b": own}}
    found = expand(config(tmp_path, content))
    assert [e.identity.params["seed"] for e in found] == [7, 8, 20, 21]


def calls(function: Callable[[], object]) -> int:
    """Count the calls in a function: its work, on whatever machine."""
    count = 0

    def called(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


def test_many_patterns_cost_little_for_each_pair(tmp_path: Path) -> None:
    """With every pattern compared to every pair, twice the names were sixteen times the work."""

    def work(size: int) -> int:
        content = {
            "models": {f"m{i}": MODEL for i in range(size)},
            "benchmarks": {f"b{i}": COMMAND for i in range(size)},
            "include": [f"?{i}/?{j}" for i in range(size) for j in range(size)],
        }
        loaded = config(tmp_path, content)
        return calls(lambda: split(loaded)) - calls(
            lambda: split(loaded.model_copy(update={"include": ()}))
        )

    work(1)
    assert work(16) < 10 * work(8)


def test_repeats_are_included_and_excluded_together(tmp_path: Path) -> None:
    content = {
        "models": {"m": MODEL, "n": MODEL},
        "benchmarks": {"b": COMMAND | {"repeats": 2}},
        "exclude": ["m/b"],
    }
    assert ids(expand(config(tmp_path, content))) == ["n/b", "n/b-r2"]


def test_a_repeat_with_the_name_of_a_benchmark_is_an_error(tmp_path: Path) -> None:
    rows = {"b": COMMAND | {"repeats": 2}, "b-r2": COMMAND}
    with pytest.raises(ConfigError, match=r"benchmarks\.b\.repeats: 'b-r2' is also a benchmark"):
        expand(config(tmp_path, {"models": {"m": MODEL}, "benchmarks": rows}))


def test_groups_of_samples_change_no_fingerprint(
    tmp_path: Path,
) -> None:
    row = {"harness": "lm-eval", "task": "t"}
    plain, grouped = expand(
        config(
            tmp_path,
            {
                "models": {"m": MODEL},
                "benchmarks": {"a": row, "b": row | {"samples": {"group": "text"}}},
            },
        )
    )
    assert plain.fingerprint == grouped.fingerprint
    assert grouped.transport.samples == {"group": "text"}
    rows = {"b": COMMAND | {"samples": {"group": "text"}}}
    with pytest.raises(ConfigError, match=r"`samples` is of lm-eval and .*; generic has metrics"):
        expand(config(tmp_path, {"models": {"m": MODEL}, "benchmarks": rows}))


def test_the_place_of_samples_changes_no_fingerprint(tmp_path: Path) -> None:
    samples = {"file": "s.jsonl", "scores": {"v": "v"}}
    told = COMMAND | {"metrics": {"file": "f", "values": {"v": "v"}, "samples": samples}}
    (plain,), (more,) = (
        expand(config(tmp_path, {"models": {"m": MODEL}, "benchmarks": {"b": row}}))
        for row in (COMMAND, told)
    )
    assert plain.fingerprint == more.fingerprint
    assert more.transport.samples["file"] == "s.jsonl"
    assert Evaluation.from_json(more.to_json()) == more


def test_an_unknown_pair_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    content = VALID | {"models": {"llama": MODEL}, "exclude": ["lama/b"]}
    with pytest.raises(ConfigError, match="exclude lama/b: no model 'lama'; did you mean 'llama'"):
        expand(config(tmp_path, content))


def test_an_empty_matrix_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the matrix is empty"):
        expand(config(tmp_path, VALID | {"exclude": ["*/*"]}))


def test_a_pair_that_the_endpoint_cannot_run_is_left_out_with_a_reason(tmp_path: Path) -> None:
    content = {
        "models": {"chat": CHAT, "base": COMPLETIONS},
        "benchmarks": {"hellaswag": {"task": "lm-eval.hellaswag"}},
    }
    evaluations, left_out = split(config(tmp_path, content))
    assert ids(evaluations) == ["base/hellaswag"]
    assert [(item.model, item.benchmark, item.reason) for item in left_out] == [
        (
            "chat",
            "hellaswag",
            "benchmark hellaswag needs a completions endpoint, model chat has a chat endpoint",
        )
    ]


def test_an_explicit_pair_that_the_endpoint_cannot_run_is_an_error(tmp_path: Path) -> None:
    content = {
        "models": {"chat": CHAT, "base": COMPLETIONS},
        "benchmarks": {"hellaswag": {"task": "lm-eval.hellaswag"}},
        "include": ["base/*", "chat/hellaswag"],
    }
    with pytest.raises(ConfigError, match=r"include chat/hellaswag: .* needs a completions"):
        expand(config(tmp_path, content))


def test_a_task_that_several_harnesses_have_must_be_qualified(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        expand(config(tmp_path, {"models": {"m": CHAT}, "benchmarks": ["ifeval"]}))
    for name in ("lm-eval.ifeval", "lm-evaluation-harness.ifeval"):
        assert name in str(refused.value)
    (one,) = expand(config(tmp_path, {"models": {"m": CHAT}, "benchmarks": ["lm-eval.ifeval"]}))
    assert (one.identity.harness, one.identity.task) == ("lm-eval", "ifeval")


def test_an_unknown_task_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no task 'gpqa_dimond' in the catalogue; did you mean"):
        expand(config(tmp_path, {"models": {"m": CHAT}, "benchmarks": ["gpqa_dimond"]}))


def test_a_custom_task_requires_its_harness(tmp_path: Path) -> None:
    own = {"mine": {"harness": "lm-eval", "task": "my_task"}}
    (one,) = expand(config(tmp_path, {"models": {"m": CHAT}, "benchmarks": own}))
    assert (one.identity.task, one.identity.image) == ("my_task", "snakeval/lm-eval:0.4.13")


@pytest.mark.parametrize(
    ("benchmark", "sentence"),
    [
        ({"harness": "generic"}, "a generic benchmark requires `command` and `metrics`"),
        ({"task": "lm-eval.ifeval", "command": "x"}, "belong to harness: generic only"),
        ({"harness": "lm_eval", "task": "x"}, "no harness 'lm_eval' in the catalogue; did you"),
    ],
)
def test_an_impossible_benchmark_is_an_error(
    tmp_path: Path, benchmark: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=r"^benchmarks\.b: ") as refused:
        expand(config(tmp_path, {"models": {"m": CHAT}, "benchmarks": {"b": benchmark}}))
    assert sentence in str(refused.value)


def test_a_runtime_that_cannot_run_a_benchmark_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"benchmarks\.b: runtime docker requires an image"):
        expand(config(tmp_path, VALID | {"runtime": "docker"}))
    content = {"models": {"m": CHAT}, "benchmarks": ["gpqa_diamond_nemo"], "runtime": "process"}
    with pytest.raises(ConfigError, match="runs in its container only; set runtime: auto"):
        expand(config(tmp_path, content))


def test_parameters_are_layered_from_the_catalogue_to_one_benchmark_on_one_model(
    tmp_path: Path,
) -> None:
    content = {
        "params": {"top_p": 0.5, "temperature": 0.5, "max_new_tokens": 5},
        "models": {"m": CHAT, "n": CHAT},
        "benchmarks": {
            "b": {
                "task": "lm-evaluation-harness.ifeval",
                "params": {"temperature": 0.6, "extra": {"num_fewshot": 1}},
                "per_model": {"n": {"temperature": None, "extra": {"tokenizer": "t"}}},
            }
        },
    }
    on_m, on_n = expand(config(tmp_path, content))
    assert on_m.transport.parallelism == 10
    assert on_m.origins["parallelism"] == "catalogue"
    assert (on_m.identity.params["top_p"], on_m.origins["top_p"]) == (0.5, "run")
    assert (on_m.identity.params["temperature"], on_m.origins["temperature"]) == (0.6, "benchmark")
    assert on_n.identity.params["temperature"] is None
    assert on_n.origins["temperature"] == "benchmark on model"
    assert on_n.identity.params["extra"]["num_fewshot"] == 1
    assert on_n.identity.params["extra"]["tokenizer"] == "t"
    assert on_m.identity.params["extra"]["tokenizer"] is None


VALUES = st.dictionaries(
    st.sampled_from(["a", "b", "extra"]),
    st.one_of(st.integers(), st.none(), st.dictionaries(st.sampled_from("xyz"), st.integers())),
)


@given(st.lists(VALUES, max_size=4))
def test_the_strongest_layer_that_sets_a_plain_parameter_wins(layers: list[dict[str, Any]]) -> None:
    resolved = layer_params({str(number): layer for number, layer in enumerate(layers)})
    for key in ("a", "b"):
        setting = [number for number, layer in enumerate(layers) if key in layer]
        assert (key in resolved.values) == bool(setting)
        if setting:
            assert resolved.values[key] == layers[setting[-1]][key]
            assert resolved.origins[key] == str(setting[-1])


IDENTITY = Identity(
    harness="h", adapter="generic", image="i", task="t", model_id="m", endpoint_url="u",
    endpoint_type="chat", params={"temperature": 0.0}, files_digest="f", packages=("p==1",),
    command="c", metrics={"file": "f"},
)  # fmt: skip


@pytest.mark.parametrize(
    "name", [field.name for field in fields(Identity) if field.name not in ("metrics", "format")]
)
def test_everything_that_determines_scores_changes_the_fingerprint(name: str) -> None:
    value = getattr(IDENTITY, name)
    other: object = {**value, "new": 1} if isinstance(value, dict) else (value[0:0] or None)
    if isinstance(value, str):
        other = value + "2"
    if isinstance(value, tuple):
        other = (*value, "q==2")
    assert replace(IDENTITY, **{name: other}).fingerprint != IDENTITY.fingerprint


def test_nothing_else_changes_the_fingerprint(tmp_path: Path) -> None:
    (plain,) = expand(config(tmp_path, VALID))
    endpoint = {"endpoint": {**MODEL["endpoint"], "api_key_name": "KEY"}}
    (tmp_path / "data").mkdir()
    other = {
        "models": {"m": endpoint},
        "benchmarks": {
            "b": COMMAND | {"env": ["HOME"], "mounts": [{"source": "data", "target": "/data"}]}
        },
        "params": {"parallelism": 99, "request_timeout": 99, "max_retries": 99},
        "resources": {"cpus": 2, "mem_mb": 3, "shm_mb": 4, "gpus": 1, "runtime": 5},
        "network": "bridge",
        "runtime": "process",
        "lease": {"heartbeat": 1, "stale": 30},
    }
    (same,) = expand(config(tmp_path, other))
    assert same.transport != plain.transport
    assert same.fingerprint == plain.fingerprint
    assert {field.name for field in fields(Transport)} >= TRANSPORT_PARAMS


def test_fingerprints_of_format_1_never_change(tmp_path: Path) -> None:
    # As the revision before deployments computed them. If one changes, evaluations rerun that an
    # older snakeval finished.
    row = {
        "harness": "lm-eval", "task": "t", "image": "i",
        "params": {"temperature": 0.5, "extra": {"num_fewshot": 5}},
    }  # fmt: skip
    (one,) = expand(config(tmp_path, changed("benchmarks", "b", to=row)))
    assert one.older == ("fa1fd1b133763e46e7a0053eb2c61ba14bb35af2699796016c03a8de3b419b84",)
    (generic,) = expand(config(tmp_path, VALID))
    assert generic.older == ("2c8980da06b18f72a11827333b52131e91ed4a5247dfddb81c621f297458b127",)


VLLM = {"kind": "vllm", "hf_model_handle": "org/model"}


def served(tmp_path: Path, deployment: dict[str, Any], **more: Any) -> Evaluation:
    """The evaluation of a deployed model."""
    content = changed("models", "m", to={"deployment": deployment}) | more
    (one,) = expand(config(tmp_path, content))
    return one


def started(tmp_path: Path, deployment: dict[str, Any]) -> Evaluation:
    """The same evaluation in a run that starts, which reads weights."""
    content = changed("models", "m", to={"deployment": deployment})
    (one,) = expand(config(tmp_path, content), Facts(reads=True))
    return one


def test_the_identity_of_a_deployed_model_has_its_server_and_not_its_place(tmp_path: Path) -> None:
    one = served(tmp_path, VLLM)
    assert one.identity.endpoint_url == "/v1/chat/completions"
    assert (one.identity.model_id, one.identity.endpoint_type) == ("org/model", "chat")
    assert one.identity.deployment["kind"] == "vllm"
    assert one.transport.servers == ("m",)
    back = Evaluation.from_json(one.to_json())
    assert (back, back.fingerprint) == (one, one.fingerprint)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "sglang"},
        {"image": "my/vllm:2"},
        {"command": "vllm serve {{ model }} --port {{ port }}"},
        {"hf_model_handle": "org/other"},
        {"served_model_name": "mine"},
        {"type": "completions"},
        {"endpoints": {"chat": "/chat"}},
        {"set_env": {"VLLM_USE_V1": "0"}},
        {"extra_args": "--max-model-len 4096"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_parts_of_a_deployment_that_determine_scores_change_the_fingerprint(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    before = served(tmp_path, VLLM).fingerprint
    assert served(tmp_path, VLLM | change).fingerprint != before


@pytest.mark.parametrize(
    "change",
    [
        {"port": 8000},
        {"gpus": 4},
        {"gpus": [1]},
        {"tensor_parallel_size": 2, "pipeline_parallel_size": 2, "data_parallel_size": 2},
        {"readiness_timeout": 1, "idle_timeout": 1, "max_restarts": 0},
        {"runtime": "podman"},
        {"env": {"API_TOKEN": "MY_TOKEN"}},
        {"mounts": [{"source": "/tmp", "target": "/data"}]},
        {"shm_mb": 1, "mem_mb": 1},
        {"endpoints": {"health": "/ping", "models": "/models", "embeddings": "/embed"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_local_settings_of_a_deployment_change_no_fingerprint(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    before = served(tmp_path, VLLM).fingerprint
    assert (
        served(tmp_path, VLLM | change, network="bridge", runtime="process").fingerprint == before
    )


def test_the_content_of_a_checkpoint_changes_the_fingerprint_and_its_place_does_not(
    tmp_path: Path,
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "config.json").write_text("{}")
    spec = {"kind": "vllm", "checkpoint_path": "weights"}
    before = started(tmp_path, spec).fingerprint
    weights.rename(tmp_path / "moved")
    assert started(tmp_path, spec | {"checkpoint_path": "moved"}).fingerprint == before
    (tmp_path / "moved" / "config.json").write_text("{ }")
    assert started(tmp_path, spec | {"checkpoint_path": "moved"}).fingerprint != before


@pytest.mark.parametrize("section", ["models", "auxiliary"])
def test_an_impossible_deployment_is_an_error_before_anything_runs(
    tmp_path: Path, section: str
) -> None:
    spec = {"deployment": {"kind": "generic", "command": "serve {{ prot }}"}}
    content = changed(section, "x", to=spec)
    content["benchmarks"]["b"]["auxiliary"] = ["x"] if section == "auxiliary" else []
    with pytest.raises(ConfigError, match=rf"^{section}\.x\.deployment: .* 'prot' is undefined"):
        deployments(config(tmp_path, content))


JUDGE = {"endpoint": {"url": "http://judge/v1", "model_id": "j", "api_key_name": "JUDGE_KEY"}}


def judged(tmp_path: Path, judge: dict[str, Any], *names: str) -> Evaluation:
    """The evaluation of a benchmark that asks the judge, and others who are there."""
    content = changed("benchmarks", "b", "auxiliary", to=[*names])
    others = {name: {"deployment": VLLM} for name in ("helper", "unasked")}
    (one,) = expand(config(tmp_path, content | {"auxiliary": {"judge": judge, **others}}))
    return one


def test_auxiliary_models_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    alone = judged(tmp_path, JUDGE)
    asked = judged(tmp_path, JUDGE, "judge")
    assert alone.fingerprint == expand(config(tmp_path, VALID))[0].fingerprint
    assert asked.identity.auxiliary == {
        "judge": {
            "model_id": "j",
            "endpoint_url": "http://judge/v1/chat/completions",
            "endpoint_type": "chat",
        }
    }
    other = {"endpoint": JUDGE["endpoint"] | {"model_id": "k"}}
    deployed = {"deployment": VLLM}
    makes = (asked, judged(tmp_path, other, "judge"), judged(tmp_path, deployed, "judge"))
    assert len({made.fingerprint for made in (alone, *makes)}) == 4
    keyless = {"endpoint": JUDGE["endpoint"] | {"api_key_name": None}}
    assert judged(tmp_path, keyless, "judge").fingerprint == asked.fingerprint
    elsewhere = {"deployment": VLLM | {"port": 8000, "gpus": 2}}
    assert judged(tmp_path, elsewhere, "judge").fingerprint == makes[2].fingerprint
    assert Evaluation.from_json(makes[2].to_json()) == makes[2]


def test_an_evaluation_requires_the_servers_of_its_model_and_its_auxiliary_models(
    tmp_path: Path,
) -> None:
    assert judged(tmp_path, JUDGE, "judge", "helper").transport.servers == ("helper",)
    assert judged(tmp_path, JUDGE, "judge").transport.auxiliary_keys == {"judge": "JUDGE_KEY"}
    content = changed("models", "m", to={"deployment": VLLM})
    content["models"]["n"] = MODEL
    content["benchmarks"] = {"b": COMMAND | {"auxiliary": ["helper"]}, "c": COMMAND}
    content["auxiliary"] = {name: {"deployment": VLLM} for name in ("unasked", "helper")}
    loaded = config(tmp_path, content)
    servers = {one.id: one.transport.servers for one in expand(loaded)}
    assert servers == {
        "m/b": ("m", "helper"), "m/c": ("m",), "n/b": ("helper",), "n/c": (),
    }  # fmt: skip
    assert list(deployments(loaded)) == ["m", "helper"], "nobody asks the other"


def test_the_content_of_a_benchmarks_files_is_part_of_its_fingerprint(tmp_path: Path) -> None:
    place = tmp_path / "tasks"
    place.mkdir()
    content = {"models": {"m": MODEL}, "benchmarks": {"b": COMMAND | {"files": "tasks"}}}

    def fingerprint() -> str:
        return expand(config(tmp_path, content))[0].fingerprint

    seen = {fingerprint()}
    for name, text in (("a.txt", "1"), ("a.txt", "2"), ("b.txt", "2"), ("sub/c.txt", "")):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text)
        seen.add(fingerprint())
    assert len(seen) == 5
    (place / ".a.txt.swp").write_text("an editor's")
    assert fingerprint() in seen


def test_an_evaluation_is_equal_after_the_way_to_its_job(tmp_path: Path) -> None:
    (one,) = expand(config(tmp_path, VALID))
    back = Evaluation.from_json(one.to_json())
    assert back == one
    assert back.fingerprint == one.fingerprint
