"""The series of a configuration become plain models, in the order in which they start."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from snakeval.config.compose import text
from snakeval.config.config import Config
from snakeval.config.load import check
from snakeval.config.source import Source
from snakeval.config.yaml_file import value_of
from snakeval.errors import ConfigError
from snakeval.series.expand import Candidate, Expanded, expand
from snakeval.series.pattern import Found
from snakeval.series.ready import GONE, Judged
from support.configs import COMMAND, MODEL

SERVED = {"kind": "generic", "command": "serve"}


def config(
    pattern: str = "/train/step-{step}",
    *,
    others: Mapping[str, Any] = MappingProxyType({}),
    **keys: Any,
) -> Config:
    benchmarks = keys.pop("benchmarks", {"b": COMMAND})
    rest = {key: keys.pop(key) for key in ("include", "exclude") if key in keys}
    series = {"deployment": SERVED, "checkpoints": {"pattern": pattern, **keys}}
    models = {"run7": series, **others}
    return check(Source({"models": models, "benchmarks": benchmarks, **rest}))


def steps(*values: str, **judged: str) -> dict[str, list[Candidate]]:
    return {
        "run7": [
            Candidate(Found(f"/train/step-{v}", {"step": v}), Judged(judged.get(f"s{v}", "")))
            for v in values
        ]
    }


def names(made: Expanded) -> list[str]:
    return list(made.config.models)


def test_each_ready_checkpoint_is_a_plain_model_whose_server_has_the_name_of_the_series() -> None:
    made = expand(config(), steps("100", "200"))
    assert made.models == {"run7": ("run7@200", "run7@100")}
    model = made.config.models["run7@100"]
    assert model.checkpoints is None
    assert model.deployment is not None
    assert model.deployment.checkpoint_path == "/train/step-100"
    assert model.deployment.served_model_name == "run7"
    assert model.member is not None
    assert model.member.values == {"step": "100"}


def test_the_saved_configuration_reads_as_an_equal_one() -> None:
    others = {"m": MODEL}
    made = expand(config(others=others), steps("0100")).config
    saved = value_of(text(made))
    assert Config.model_validate(saved).model_dump() == made.model_dump()
    assert saved["models"]["run7@0100"]["member"]["values"] == {"step": "0100"}
    assert "checkpoints" not in saved["models"]["run7@0100"]
    assert expand(made, {}).config is made


@pytest.mark.parametrize(
    ("values", "order", "expected"),
    [
        (("9", "10", "100"), "newest", ["100", "10", "9"]),
        (("9", "10", "100"), "oldest", ["9", "10", "100"]),
        (("-1", "1e3", "0.5"), "oldest", ["-1", "0.5", "1e3"]),
        (("9", "10", "final"), "oldest", ["10", "9", "final"]),
    ],
)
def test_steps_are_in_the_order_of_numbers_if_all_are_numbers(
    values: tuple[str, ...], order: str, expected: list[str]
) -> None:
    made = expand(config(order=order), steps(*values))
    assert names(made) == [f"run7@{value}" for value in expected]


def test_several_wildcards_have_their_keys_in_the_patterns_order() -> None:
    pairs = [("1e-4", "10"), ("1e-5", "9"), ("1e-5", "10")]
    found = [Candidate(Found(f"/t/{a}/{b}", {"step": b, "lr": a}), Judged()) for a, b in pairs]
    made = expand(config("/t/{lr}/{step}"), {"run7": found})
    assert names(made) == [
        "run7@lr-1e-5_step-10",
        "run7@lr-1e-4_step-10",
        "run7@lr-1e-5_step-9",
    ]


def test_what_is_left_out_has_its_reason() -> None:
    found = steps("100", "150", "200", "300", "400", s200="not settled yet: x", s300=GONE)
    made = expand(config(every=100, until=300), found)
    assert names(made) == ["run7@100"]
    assert made.why_left_out() == {
        "run7@150": "every is 100",
        "run7@200": "not settled yet: x",
        "run7@300": "gone",
        "run7@400": "until is 300",
    }


def test_an_adapter_is_no_model_of_a_server_of_its_own() -> None:
    found = {
        "run7": [
            Candidate(Found("/t/1", {"step": "1"}), Judged(is_adapter=True)),
            *steps("2")["run7"],
        ]
    }
    made = expand(config(), found)
    assert names(made) == ["run7@2"]
    assert "is a LoRA adapter; add its base model" in made.why_left_out()["run7@1"]


def with_deployment(**deployment: Any) -> Config:
    series = {"deployment": {"kind": "vllm", **deployment}, "checkpoints": {"pattern": "/t/{step}"}}
    return check(Source({"models": {"run7": series}, "benchmarks": {"b": COMMAND}}))


def test_adapters_are_added_to_the_weights_of_their_deployment() -> None:
    found = {
        "run7": [
            Candidate(Found("/t/1", {"step": "1"}), Judged(is_adapter=True)),
            Candidate(Found("/t/2", {"step": "2"}), Judged()),
        ]
    }
    made = expand(with_deployment(hf_model_handle="org/base"), found)
    assert names(made) == ["run7@1"]
    assert made.why_left_out()["run7@2"].startswith("has weights of its own, but")
    deployment = made.config.models["run7@1"].deployment
    assert deployment is not None
    assert (deployment.hf_model_handle, deployment.adapter_path) == ("org/base", "/t/1")
    assert [(m.source, m.target, m.read_only) for m in deployment.mounts] == [("/t", "/t", True)]


def test_a_server_that_swaps_weights_sees_all_of_them() -> None:
    found = {"run7": [Candidate(Found("/t/2", {"step": "2"}), Judged())]}
    deployment = expand(with_deployment(swap=True), found).config.models["run7@2"].deployment
    assert deployment is not None
    assert deployment.checkpoint_path == "/t/2"
    assert [mount.source for mount in deployment.mounts] == ["/t"]


@pytest.mark.parametrize("value", ["a b", "ä", "x" * 60, "a@b", "line\nbreak", "\udcff", "0" * 25])
def test_a_value_that_fits_no_name_is_an_error_with_the_path(value: str) -> None:
    with pytest.raises(ConfigError) as error:
        expand(config(), steps("1", value))
    (problem,) = error.value.problems
    assert problem.where == "models.run7.checkpoints.pattern"
    assert problem.problem.startswith(f"/train/step-{value}: 'run7@")
    assert "rename it, or write a pattern that does not describe it" in problem.hint


def test_two_checkpoints_have_two_names() -> None:
    pattern = "/t/{a}_b-{b}"
    values = [{"a": "1_b-2", "b": "3"}, {"a": "1", "b": "2_b-3"}]
    found = [Candidate(Found(f"/t/{n}", value), Judged()) for n, value in enumerate(values)]
    with pytest.raises(ConfigError, match="/t/0 and /t/1 are both run7@a-1_b-2_b-3"):
        expand(config(pattern), {"run7": found})
    with pytest.raises(ConfigError, match="/train/step-a and /train/step-A are both run7@A"):
        expand(config(), steps("a", "A"))


def test_the_ids_of_an_endpoint_are_its_models() -> None:
    series = {
        "endpoint": {"url": "http://host/v1"},
        "checkpoints": {"pattern": "org/run8-{step}"},
    }
    found = {"run8": [Candidate(Found("org/run8-5", {"step": "5"}), Judged())]}
    made = expand(config(others={"run8": series}), steps("1") | found)
    assert names(made) == ["run7@1", "run8@5"]
    endpoint = made.config.models["run8@5"].endpoint
    assert endpoint is not None
    assert endpoint.model_id == "org/run8-5"


def test_parameters_and_pairs_of_a_series_are_those_of_its_checkpoints() -> None:
    own = {"run7": {"temperature": 0}, "run7@2": {"temperature": 1}, "run7@9": {}}
    made = expand(
        config(
            others={"m": MODEL},
            benchmarks={"b": COMMAND | {"per_model": own}},
            include=["run7/b", "run7@9/b", "m/*"],
            exclude=["run7@1/b", "run9*/b"],
        ),
        steps("1", "2"),
    ).config
    per_model = made.benchmarks["b"].per_model
    assert {name: params.temperature for name, params in per_model.items()} == {
        "run7@1": 0,
        "run7@2": 1,
    }
    assert [pair.model for pair in made.include] == ["run7@*", "m"]
    assert [pair.model for pair in made.exclude] == ["run7@1", "run9*"]


def test_without_any_model_the_error_has_the_reasons() -> None:
    with pytest.raises(ConfigError) as error:
        expand(config(), steps("1", s1="not settled yet: x"))
    assert str(error.value) == (
        "models: no checkpoint of run7 is ready (run7@1: not settled yet: x (/train/step-1))"
    )
    made = expand(config(others={"m": MODEL}), {"run7": []})
    assert names(made) == ["m"]
    assert made.why_left_out() == {"run7": "no checkpoint is ready"}
    with pytest.raises(ConfigError, match="include: no checkpoint of run7 is ready"):
        expand(config(others={"m": MODEL}, include=["run7/b"]), {"run7": []})
